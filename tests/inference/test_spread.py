"""Test that a backbone on several devices stays in place."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from tests.tolerances import assert_rounds_to, rounding

from votecast.inference.backbones import is_spread
from votecast.inference.engine import Engine
from votecast.inference.settings import InferenceSettings
from votecast.models.decoder import DecoderNetwork
from votecast.models.neural.backbone import Source
from votecast.text.sequences import Sequences


@pytest.fixture
def network() -> DecoderNetwork:
    torch.manual_seed(0)
    return DecoderNetwork(Source.of("tiny:llama").load("decoder"), both_orders=False).eval()


def spread(network: DecoderNetwork) -> DecoderNetwork:
    """Mark a model as spread by accelerate; layers stay on the CPU."""
    network.backbone.hf_device_map = OrderedDict({"layers.0": "cpu", "layers.1": "disk"})
    return network


def test_only_modules_outside_a_spread_backbone_move(network: DecoderNetwork) -> None:
    assert not is_spread(network.backbone)
    spread(network).to(torch.float64)
    assert {p.dtype for p in network.backbone.parameters()} == {torch.float32}
    assert network.score.weight.dtype == torch.float64


def test_a_spread_backbone_predicts_as_one_that_is_not(network: DecoderNetwork) -> None:
    sequences = Sequences.from_lists([list(range(5, 5 + n)) for n in (3, 40, 17)])
    expected = torch.from_numpy(Engine(network).encode(sequences, pad_id=0))
    engine = Engine(spread(network), InferenceSettings(devices=("cpu", "cpu")))
    (replica,) = engine.replicas
    assert replica.network.backbone is network.backbone
    assert replica.pass_in(replica.dtype) is replica.network
    found = torch.from_numpy(engine.encode(sequences, pad_id=0))
    assert_rounds_to(found, expected, rounding(width=64, layers=2))


def test_device_map_is_passed_only_when_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from votecast.models.decoder import DecoderModel
    from votecast.models.neural.settings import DecoderSettings

    asked: list[Any] = []
    load = Source.load
    monkeypatch.setattr(Source, "load", lambda self, *args, **kwargs: (asked.append(kwargs), load(self, *args))[1])
    for device_map in (None, "auto"):
        DecoderModel(DecoderSettings(name="tiny:llama", device_map=device_map)).load_backbone()
    assert [found["options"].get("device_map") for found in asked] == [None, "auto"]
