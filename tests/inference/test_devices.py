"""Test which devices a process takes, and where the bytes of a network are allocated."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import bitsandbytes
import pytest
import torch
from tests.inference.networks import network_of, sequences
from torch.utils._python_dispatch import TorchDispatchMode

from votecast.errors import ConfigError, JudgeError
from votecast.inference import engine
from votecast.inference.devices import copy_to_device, devices_of
from votecast.inference.engine import Engine, Replica
from votecast.inference.settings import InferenceSettings
from votecast.models.decoder import DecoderModel, DecoderSettings
from votecast.models.neural import quantization
from votecast.models.neural.backbone import Source

META = torch.device("meta")


class Allocated(TorchDispatchMode):
    """Count the bytes of every new storage, by device."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {x.untyped_storage()._cdata for x in args if isinstance(x, torch.Tensor)}
        found = func(*args, **(kwargs or {}))
        for made in found if isinstance(found, tuple | list) else [found]:
            if isinstance(made, torch.Tensor) and made.untyped_storage()._cdata not in given:
                self.bytes[made.device.type] += made.untyped_storage().nbytes()
        return found


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(quantization, "choose_precision", lambda *_, **__: "fp16")


def launch(monkeypatch: pytest.MonkeyPatch, rank: int, processes: int) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, str(rank))
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, str(processes))


def few_bits(weights: str = "nf4") -> DecoderModel:
    return DecoderModel(DecoderSettings(name="tiny:llama", weights=weights, compute="fp32", adapter={"rank": 2}))


@pytest.mark.parametrize("weights", ["fp32", "nf4", "int8"])
def test_a_second_device_gets_its_copy_straight(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = few_bits(weights).initial_network().eval()
    torch.nn.init.normal_(network.score.weight)
    rows = sequences()
    before = Engine(network).encode(rows, pad_id=0)
    size = sum(p.untyped_storage().nbytes() for p in network.parameters())
    with Allocated() as allocated:
        replica = Replica(network, META, InferenceSettings(precision="fp32"))
    assert allocated.bytes["meta"] >= size
    assert allocated.bytes["cpu"] < size / 100  # a mask and the like
    assert {p.device for p in replica.network.parameters()} == {META}
    assert {p.device.type for p in network.parameters()} == {"cpu"}
    assert Engine(network).encode(rows, pad_id=0).tobytes() == before.tobytes()
    ids = torch.arange(5, 13)[None]  # (1, 8)
    with torch.no_grad():
        one, other = (
            made.encode(ids, torch.ones_like(ids), None)
            for made in (network, copy_to_device(network, torch.device("cpu:0")))  # not `cpu`, so that it is copied
        )
    assert torch.equal(one, other)
    if weights == "int8":
        made = next(m for m in replica.network.modules() if isinstance(m, bitsandbytes.nn.Linear8bitLt))
        assert (made.weight.CB, made.state.CB.device, made.state.SCB.device) == (None, META, META)
    if weights == "nf4":
        copied, original = (
            next(m for m in made.modules() if isinstance(m, bitsandbytes.nn.Linear4bit))
            for made in (replica.network, network)
        )
        assert copied.quant_state is copied.weight.quant_state
        assert copied.weight.quant_state.state2.absmax.device == META
        assert original.weight.quant_state.state2.absmax.device.type == "cpu"


def test_tied_weights_stay_tied() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    network[1].weight = network[0].weight
    copied = copy_to_device(network, META)
    assert copied[1].weight is copied[0].weight


def test_one_process_takes_every_gpu_and_each_of_several_its_own(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names(*devices: str) -> list[str]:
        return list(map(str, devices_of(InferenceSettings(devices=devices))))

    assert names() == ["cuda:0", "cuda:1"]
    assert few_bits().load_options["device_map"] == {"": "cuda:0"}
    for rank in range(3):
        launch(monkeypatch, rank, 3)
        assert names() == [f"cuda:{rank % 2}"]
        assert names("cpu", "cuda:1") == [["cpu"], ["cuda:1"]][rank % 2]
        assert few_bits().load_options["device_map"] == {"": f"cuda:{rank % 2}"}
    assert "device_map" not in few_bits("bf16").load_options
    spread = DecoderModel(DecoderSettings(name="tiny:llama", device_map="auto"))
    with pytest.raises(ConfigError, match="device_map is auto, .* and 3 processes have been started.*set it to null"):
        spread.load_backbone()


def test_hidden_gpus_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ConfigError, match=r"this machine has cpu \(CUDA_VISIBLE_DEVICES is empty\)"):
        devices_of(InferenceSettings(devices=("cuda:0",)))


def test_weights_that_do_not_fit_are_one_error_with_the_setting_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 11.00 GiB")

    network = network_of("bert")
    monkeypatch.setattr(engine, "copy_to_device", full)
    monkeypatch.setattr(engine, "devices_of", lambda _: [torch.device("cpu"), META])
    with pytest.raises(JudgeError, match="out of memory with the weights of the network on meta; .*model.weights nf4"):
        Engine(network)
    network_of("bert").backbone.save_pretrained(tmp_path)
    monkeypatch.setattr("transformers.AutoModel.from_pretrained", full)
    with pytest.raises(JudgeError, match=f"out of memory with the weights of '{tmp_path}'; .*model.weights nf4"):
        Source.of(str(tmp_path)).load("encoder")


def test_the_other_devices_stop_at_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def fail(self: Replica, padded: Any) -> None:
        calls.append(len(padded.ids))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Replica, "encode", fail)
    settings = InferenceSettings(max_tokens=8, devices=("cpu", "cpu"))
    with pytest.raises(JudgeError, match="does not fit into the memory"):
        Engine(network_of("bert"), settings).encode(sequences(tuple(range(1, 60))), pad_id=0)
    assert len(calls) <= 2
