"""Sequences end to end are read as padded ones are, in every architecture."""

from __future__ import annotations

from typing import Any

import peft
import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel

from votecast.inference.causal import TYPES
from votecast.judges.neural.causal import first_learning, last_states, padded_last_states, takes_packed

pytestmark = pytest.mark.filterwarnings("ignore:`.*gradient_checkpointing.*` is deprecated:FutureWarning")
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "vocab_size": 97,
    "pad_token_id": 0,
    "max_position_embeddings": 128,
}
WINDOWED = {"sliding_window": 5}
OWN: dict[str, dict[str, Any]] = {
    "mistral": WINDOWED,
    "qwen2": {**WINDOWED, "use_sliding_window": True, "max_window_layers": 2},
    "qwen3": {**WINDOWED, "use_sliding_window": True, "max_window_layers": 2},
    "gemma2": {**WINDOWED, "attn_logit_softcapping": 2.0, "query_pre_attn_scalar": 16},
    "gemma3_text": {**WINDOWED, "query_pre_attn_scalar": 16, "sliding_window_pattern": 2},
}


def backbone_of(kind: str, seed: int = 0, **more: Any) -> Any:
    torch.manual_seed(seed)
    name = kind.split("+")[0]
    config = AutoConfig.for_model(name, **(SHAPE | OWN.get(kind, {}) | more))
    model = AutoModel.from_config(config).eval()
    for parameter in model.parameters():  # norms that do something
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.3)
    return model


def rows(lengths: tuple[int, ...] = (3, 17, 1, 8, 8)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(3, 97, mask.shape, generator=generator) * mask
    return ids, mask


def adapted(model: Any, layers: tuple[int, ...] = (2, 3)) -> Any:
    names = [f"layers.{i}.self_attn.{name}" for i in layers for name in ("q_proj", "v_proj")]
    torch.manual_seed(2)
    model = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=names, init_lora_weights=False))
    return model.train()


@pytest.mark.parametrize("kind", TYPES)
def test_forecasts_are_those_of_padded_rows(kind: str) -> None:
    model, (ids, mask) = backbone_of(kind), rows()
    assert takes_packed(model)
    with torch.no_grad():
        found, wanted = last_states(model, ids, mask), padded_last_states(model, ids, mask)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", TYPES)
def test_gradients_are_those_of_padded_rows(kind: str) -> None:
    model, (ids, mask) = adapted(backbone_of(kind)), rows()
    found = gradients(model, last_states(model, ids, mask))
    wanted = gradients(model, padded_last_states(model, ids, mask))
    assert len(found) == 8
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-4)


def test_gradients_reach_weights_trained_in_full() -> None:
    model, (ids, mask) = backbone_of("llama").train(), rows()
    found = gradients(model, last_states(model, ids, mask))
    wanted = gradients(model, padded_last_states(model, ids, mask))
    assert found.keys() == wanted.keys()
    assert "embed_tokens.weight" in found
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_checkpointing_changes_no_gradient(kind: str) -> None:
    model, (ids, mask) = adapted(backbone_of(kind)), rows()
    plain = gradients(model, last_states(model, ids, mask))
    model.gradient_checkpointing_enable()
    again = gradients(model, last_states(model, ids, mask))
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient)


def test_layers_below_the_first_adapted_keep_nothing() -> None:
    model, (ids, mask) = adapted(backbone_of("llama"), layers=(3,)), rows()
    assert first_learning(model.get_base_model()) == 3
    kept: list[Any] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: (kept.append(None), x)[1], lambda x: x):
        last_states(model, ids, mask)
    few = len(kept)
    model.get_base_model().layers[0].input_layernorm.weight.requires_grad_()
    kept.clear()
    with torch.autograd.graph.saved_tensors_hooks(lambda x: (kept.append(None), x)[1], lambda x: x):
        last_states(model, ids, mask)
    assert few < len(kept) / 2


def test_the_model_is_left_as_it_was() -> None:
    model, (ids, mask) = backbone_of("llama"), rows()
    before = model.config._attn_implementation
    last_states(model, ids, mask)
    assert model.config._attn_implementation == before


def test_what_lies_beside_a_sequence_changes_nothing() -> None:
    model, (ids, mask) = backbone_of("gemma2"), rows()
    with torch.no_grad():
        together = last_states(model, ids, mask)
        alone = torch.cat([last_states(model, ids[i : i + 1], mask[i : i + 1]) for i in range(len(ids))])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_unknown_architectures_are_padded() -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model("gpt2", n_embd=32, n_layer=2, n_head=2, vocab_size=97, n_positions=64)
    model, (ids, mask) = AutoModel.from_config(config).eval(), rows()
    assert not takes_packed(model)
    with torch.no_grad():
        torch.testing.assert_close(last_states(model, ids, mask), padded_last_states(model, ids, mask))


def gradients(model: Any, states: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    (states.float() * torch.linspace(-1, 1, states.numel()).view(states.shape)).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
