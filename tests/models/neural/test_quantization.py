"""Test weights in 4, 8 and 16 bits: loading, saving, errors."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from votecast.data.battles import Battles
from votecast.errors import ConfigError, MissingExtraError
from votecast.judges.trained import TrainedJudge
from votecast.models.decoder import DecoderNetwork
from votecast.models.neural.adapters import AdapterSettings, add_adapter
from votecast.models.neural.backbone import Source
from votecast.models.neural.quantization import load_options, set_compute_type, stored_bits
from votecast.text.tokenization import tiny_tokenizer
from votecast.training.summary import count_parameters

PLAIN = SimpleNamespace()


def backbone(weights: str, source: str = "tiny:llama", *, double: bool = True, compute: Any = "bf16") -> Any:
    found = Source.of(source)
    options = load_options(weights, double, compute, found.config())
    return set_compute_type(compute, found.load("decoder", options=options))


def packed(model: Any) -> Iterator[torch.Tensor]:
    return (p.detach() for p in model.parameters() if type(p).__name__ == "Params4bit")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint in 4 bits in the usual layout."""
    folder = tmp_path_factory.mktemp("stored")
    torch.manual_seed(1)
    model = backbone("nf4")
    model.save_pretrained(folder)
    tiny_tokenizer().save(folder)
    return folder


@pytest.mark.parametrize("weights", ["nf4", "int8", "bf16", "fp16"])
def test_a_judge_on_quantized_weights_loads_without_them(weights: str, arena: Battles, tmp_path: Path) -> None:
    settings = {"folds.n": 2, "folds.only": 0, "model.name": "tiny:llama", "model.weights": weights}
    short = {"model.text.max_length": 64, "model.adapter": {"rank": 2}, "model.training.batch_size": 8}
    judge = TrainedJudge("decoder", settings | short).fit(arena[:32])
    kinds = {type(p).__name__ for p in judge.fitted.members[0].network.parameters()}
    assert bool(kinds & {"Params4bit", "Int8Params"}) == (weights in ("nf4", "int8"))
    judge.save_pretrained(tmp_path / "judge")
    member = tmp_path / "judge" / "members" / "0"
    assert sorted(path.name for path in member.iterdir()) == ["base.json", "delta.safetensors", "metrics.jsonl"]
    found = TrainedJudge.from_pretrained(tmp_path / "judge").predict_proba(arena[:6])
    assert np.array_equal(found, judge.predict_proba(arena[:6]))


def test_four_bits_are_near_the_full_weights_and_nearer_without_double_quantisation() -> None:
    torch.manual_seed(0)
    ids = torch.arange(5, 25)[None]
    full = Source.of("tiny:llama").load("decoder")

    def gap(double: bool) -> float:
        torch.manual_seed(0)
        model = backbone("nf4", double=double, compute="fp32")
        with torch.no_grad():
            return float((model(ids).last_hidden_state - full(ids).last_hidden_state).abs().mean())

    assert 0 < gap(False) < 0.3
    assert 0 < gap(True) < 0.3


def test_predicting_during_training_keeps_the_weights() -> None:
    model = backbone("nf4")
    before = [value.clone() for value in packed(model)]
    constants = [p.quant_state.absmax.clone() for p in model.parameters() if hasattr(p, "quant_state")]
    with torch.no_grad():
        model.eval()(torch.arange(5, 25)[None])
    assert all(torch.equal(*pair) for pair in zip(before, packed(model), strict=True))
    after = [p.quant_state.absmax for p in model.parameters() if hasattr(p, "quant_state")]
    assert all(torch.equal(*pair) for pair in zip(constants, after, strict=True))


def test_a_checkpoint_in_four_bits_is_not_quantised_twice(stored: Path) -> None:
    first, second = backbone("nf4", str(stored)), backbone("nf4", str(stored), compute="fp32")
    torch.manual_seed(1)
    as_made = backbone("nf4")
    assert stored_bits(Source.of(str(stored)).config()) == 4
    for values in zip(packed(as_made), packed(first), packed(second), strict=True):
        assert torch.equal(values[0], values[1])
        assert torch.equal(values[0], values[2])
    assert {module.compute_dtype for module in second.modules() if hasattr(module, "compute_dtype")} == {torch.float32}


@pytest.mark.parametrize("weights", ["fp32", "bf16", "int8"])
def test_a_checkpoint_in_four_bits_is_held_in_no_other_way(stored: Path, weights: str) -> None:
    with pytest.raises(ConfigError, match=rf"stored in 4 bits, and model.weights is {weights}; set it to nf4"):
        backbone(weights, str(stored))


def test_formats_of_others_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"format 'gptq'; allowed are the 4 and 8 bits of bitsandbytes"):
        load_options("nf4", True, "auto", SimpleNamespace(quantization_config={"quant_method": "gptq", "bits": 4}))


def test_without_bitsandbytes_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[quant\]'"):
        load_options("nf4", True, "auto", PLAIN)
    assert load_options("bf16", True, "auto", PLAIN) == {"dtype": torch.bfloat16}


def test_numbers_of_four_bits_count_as_one_parameter_each() -> None:
    networks = [DecoderNetwork(backbone(weights), both_orders=False) for weights in ("fp32", "nf4")]
    counts = [count_parameters(add_adapter(network, AdapterSettings(rank=2))) for network in networks]
    assert counts[0] == counts[1]
