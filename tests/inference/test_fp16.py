"""Test predictions in fp16: chosen where a GPU has no bf16, compared with fp32, and left where it is not enough.

The arithmetic is torch's fp16 on the CPU; a stand-in says that the device has it, as a T4 does.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from tests.devices import A100, CUDA, T4, compute_as
from tests.inference.decoders import Scorer, backbone_of, pairs, rows
from tests.inference.networks import network_of, sequences
from tests.tolerances import assert_rounds_to

from votecast.errors import ConfigError
from votecast.inference.decoder_pass import DecoderStack
from votecast.inference.engine import FP16_GAP, Engine, Replica, dtype_of
from votecast.inference.settings import InferenceSettings
from votecast.models.decoder import DecoderNetwork
from votecast.models.neural.backbone import Source
from votecast.models.neural.last_states import last_states, padded_last_states
from votecast.models.neural.quantization import load_options, set_compute_type
from votecast.text.sequences import Padded

pytestmark = pytest.mark.filterwarnings("ignore:`.*gradient_checkpointing.*` is deprecated:FutureWarning")

FP16 = InferenceSettings(precision="fp16")
FP16_ROUNDING = 8 * torch.finfo(torch.float16).eps
"""Of a few layers: each rounds its dense parts to fp16, and the states between them stay in fp32."""


@pytest.fixture(autouse=True)
def _on_a_t4(monkeypatch: pytest.MonkeyPatch) -> None:
    compute_as(T4, monkeypatch)


def encode(network: Any, settings: InferenceSettings, rows: Any) -> torch.Tensor:
    return torch.from_numpy(Engine(network, settings).encode(rows, pad_id=0))


def exact(network: Any, rows: Any) -> torch.Tensor:
    return encode(network, InferenceSettings(precision="fp32"), rows)


def test_auto_is_fp16_on_a_gpu_without_bf16_and_fp16_is_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dtype_of(InferenceSettings(), CUDA) == torch.float16
    assert dtype_of(InferenceSettings(), torch.device("cpu")) == torch.float32
    compute_as(A100, monkeypatch)
    assert dtype_of(InferenceSettings(), CUDA) == torch.bfloat16
    monkeypatch.undo()
    with pytest.raises(ConfigError, match=r"inference\.precision is fp16, which cpu does not compute in; allowed"):
        Engine(network_of("bert"), FP16)


@pytest.mark.parametrize("kind", ["bert", "deberta-v3", "distilbert"])
def test_fp16_is_close_to_fp32(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    network, given = network_of(kind), sequences()
    found, wanted = encode(network, FP16, given), exact(network, given)
    assert not torch.equal(found, wanted)
    assert_rounds_to(found, wanted, FP16_GAP)
    assert not caplog.text


class Fragile(torch.nn.Module):
    """Add a number to the outputs of a network wherever a state is in fp16 and the sequence is as long as `length`."""

    def __init__(self, error: float, length: int) -> None:
        super().__init__()
        self.linear, self.error, self.length = torch.nn.Linear(1, 3), error, length

    def encode(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor | None) -> torch.Tensor:
        y = self.linear(ids.sum(1, keepdim=True) / 100)
        if y.dtype != torch.float16:
            return y
        return torch.where(mask.sum(1, keepdim=True) == self.length, y + self.error, y)


@pytest.mark.parametrize(("error", "said"), [(float("inf"), "overflows"), (0.5, "changes outputs by")])
def test_fp32_is_taken_with_one_warning_where_fp16_is_not_enough(
    error: float, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    network, given = Fragile(error, 40), sequences()
    engine = Engine(network, FP16)
    for _ in range(2):
        found = torch.from_numpy(engine.encode(given, pad_id=0))
        assert torch.equal(found, exact(network, given))
    (message,) = caplog.messages
    assert message.startswith(f"fp16 {said}")


def test_fp16_stays_with_a_warning_where_fp32_does_not_fit(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Replica, batch: Padded) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Replica, "fp16_gap", full)
    assert np.isfinite(Engine(Fragile(0.5, 40), FP16).encode(sequences(), pad_id=0)).all()
    assert "fp16 was not compared with fp32, which does not fit in the memory" in caplog.text


def test_later_rows_that_overflow_fp16_are_computed_in_fp32() -> None:
    network, given = Fragile(float("inf"), 5), sequences((5000, 40, 5))  # the first batch is the longest row
    found = Engine(network, InferenceSettings(precision="fp16", max_tokens=40)).encode(given, pad_id=0)
    assert np.array_equal(found[2], exact(network, given).numpy()[2])
    assert np.isfinite(found).all()


@torch.no_grad()
def enlarge_states(model: Any) -> Any:
    """Let the states of a decoder go beyond 65,504, as those of Gemma-2 do, while each part stays below it."""
    first = model.layers[0]
    if model.config.model_type == "gemma2":
        first.post_feedforward_layernorm.weight.fill_(4e4)
        return model
    model.embed_tokens.weight.copy_(model.embed_tokens.weight.sign() * 6e4)
    out = first.mlp(first.post_attention_layernorm(model.embed_tokens.weight))
    first.mlp.down_proj.weight.mul_(2e4 / float(out.abs().max()))
    return model


@pytest.mark.parametrize("kind", ["gemma2", "llama"])
def test_decoders_keep_their_states_in_fp32(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    network, given = Scorer(enlarge_states(backbone_of(kind, initializer_range=0.3))).eval(), pairs(4)
    found = encode(network, FP16, given)
    assert isinstance(Engine(network, FP16).replicas[0].pass_in(torch.float16).backbone, DecoderStack)
    assert_rounds_to(found, exact(network, given), FP16_ROUNDING)
    assert not caplog.text


def in_four_bits(compute: Any) -> Any:
    found = Source.of("tiny:gemma2")
    torch.manual_seed(0)
    model = found.load("decoder", options=load_options("nf4", True, compute, found.config()))
    enlarge_states(model)
    return set_compute_type(compute, model.eval())


def test_four_bits_in_fp16_keep_norms_and_states_in_fp32_as_peft_prepares_them() -> None:
    ids, mask = rows()
    model = in_four_bits("fp16")
    prepared = prepare_model_for_kbit_training(copy.deepcopy(model), use_gradient_checkpointing=False)
    with torch.no_grad():
        wanted = padded_last_states(prepared, ids, mask)
        assert_rounds_to(last_states(model, ids, mask), wanted, FP16_ROUNDING)
        assert_rounds_to(padded_last_states(model, ids, mask), wanted, FP16_ROUNDING)


def test_adapters_on_four_bits_in_fp16_learn_as_those_on_a_model_that_peft_has_prepared() -> None:
    ids, mask = rows()
    found = []
    for prepare in (False, True):
        model = in_four_bits("fp16")
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False) if prepare else model
        torch.manual_seed(2)
        config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        model = get_peft_model(model.requires_grad_(False), config)
        with torch.autocast("cpu", dtype=torch.float16):
            states = (padded_last_states if prepare else last_states)(model, ids, mask)
        weights = torch.randn(states.shape, generator=torch.Generator().manual_seed(3))
        (states * weights).sum().backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.requires_grad})
    ours, theirs = found
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert gradient.dtype == torch.float32
        assert_rounds_to(ours[name], gradient, 4 * FP16_ROUNDING)


def test_the_check_of_four_bits_computes_them_in_fp32() -> None:
    network, given = DecoderNetwork(in_four_bits("fp16"), both_orders=False).eval(), pairs(4)
    torch.nn.init.normal_(network.score.weight)
    engine = Engine(network, FP16)
    gap = engine.replicas[0].fp16_gap(given.padded(np.arange(len(given)), pad_id=0))
    assert 0 < gap < FP16_GAP
    half = engine.encode(given, pad_id=0)
    engine.replicas[0].dtype = torch.float32
    found = torch.from_numpy(engine.encode(given, pad_id=0))
    assert not np.array_equal(half, found.numpy())
    set_compute_type("fp32", network.backbone)
    assert_rounds_to(found, exact(network, given), FP16_ROUNDING**2)
