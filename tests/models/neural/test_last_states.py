"""Test packed sequences against padded ones in every architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.inference.decoders import SHAPE, adapted, backbone_of, rows
from tests.tolerances import assert_rounds_to, rounding
from torch import Tensor
from transformers import AutoConfig, AutoModel

from votecast.inference.causal_layer import TYPES
from votecast.models.neural.last_states import can_pack, first_trained_layer, last_states, padded_last_states

FORWARD = rounding(width=SHAPE["hidden_size"], layers=SHAPE["num_hidden_layers"])
BACKWARD = rounding(width=SHAPE["hidden_size"], layers=SHAPE["num_hidden_layers"], backward=True)

pytestmark = pytest.mark.filterwarnings("ignore:`.*gradient_checkpointing.*` is deprecated:FutureWarning")


@pytest.mark.parametrize("kind", TYPES)
def test_predictions_match_padded_rows(kind: str) -> None:
    model, (ids, mask) = backbone_of(kind), rows()
    assert can_pack(model)
    with torch.no_grad():
        found, wanted = last_states(model, ids, mask), padded_last_states(model, ids, mask)
    assert_rounds_to(found, wanted, FORWARD)


@pytest.mark.parametrize("kind", TYPES)
def test_gradients_are_those_of_padded_rows(kind: str) -> None:
    model, (ids, mask) = adapted(backbone_of(kind)), rows()
    found = gradients(model, last_states(model, ids, mask))
    wanted = gradients(model, padded_last_states(model, ids, mask))
    assert len(found) == 8
    for name, gradient in wanted.items():
        assert_rounds_to(found[name], gradient, BACKWARD)


def test_gradients_reach_weights_trained_in_full() -> None:
    model, (ids, mask) = backbone_of("llama").train(), rows()
    found = gradients(model, last_states(model, ids, mask))
    wanted = gradients(model, padded_last_states(model, ids, mask))
    assert found.keys() == wanted.keys()
    assert "embed_tokens.weight" in found
    for name, gradient in wanted.items():
        assert_rounds_to(found[name], gradient, BACKWARD)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_checkpointing_changes_no_gradient(kind: str) -> None:
    model, (ids, mask) = adapted(backbone_of(kind)), rows()
    plain = gradients(model, last_states(model, ids, mask))
    model.gradient_checkpointing_enable()
    again = gradients(model, last_states(model, ids, mask))
    for name, gradient in plain.items():
        assert_rounds_to(again[name], gradient, BACKWARD)


def test_layers_below_the_first_adapted_keep_nothing() -> None:
    model, (ids, mask) = adapted(backbone_of("llama"), layers=(3,)), rows()
    assert first_trained_layer(model.get_base_model()) == 3
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
    assert_rounds_to(together, alone, FORWARD)


def test_unknown_architectures_are_padded() -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model("gpt2", n_embd=32, n_layer=2, n_head=2, vocab_size=97, n_positions=64)
    model, (ids, mask) = AutoModel.from_config(config).eval(), rows()
    assert not can_pack(model)
    with torch.no_grad():
        torch.testing.assert_close(last_states(model, ids, mask), padded_last_states(model, ids, mask))


def gradients(model: Any, states: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    (states.float() * torch.linspace(-1, 1, states.numel()).view(states.shape)).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
