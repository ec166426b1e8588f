"""Test that vectors return in input order for any batching."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from tests.inference.networks import ROUNDING, network_of, sequences
from tests.tolerances import assert_rounds_to

from votecast.errors import ConfigError, JudgeError
from votecast.inference.engine import Engine, Replica
from votecast.inference.settings import InferenceSettings
from votecast.text.sequences import Padded, Sequences

KINDS = ["bert", "deberta-v3", "modernbert", "distilbert"]


def encode(network: Any, rows: Sequences, settings: InferenceSettings | None = None, **options: Any) -> Any:
    return Engine(network, settings or InferenceSettings()).encode(rows, pad_id=0, **options)


def assert_same(found: np.ndarray, wanted: np.ndarray) -> None:
    assert_rounds_to(torch.from_numpy(found), torch.from_numpy(wanted), ROUNDING)


@torch.no_grad()
def one_by_one(network: Any, rows: Sequences) -> np.ndarray:
    ids = [torch.from_numpy(rows[i].astype(np.int64))[None] for i in range(len(rows))]
    return torch.cat([network.encode(row, torch.ones_like(row)) for row in ids]).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_keep_input_order_and_rows_are_independent(kind: str) -> None:
    network, rows = network_of(kind), sequences()
    wanted = one_by_one(network, rows)
    for tokens in (1, 64, 4096):
        found = encode(network, rows, InferenceSettings(max_tokens=tokens))
        assert found.dtype == np.float32
        assert_same(found, wanted)


def test_a_row_moves_by_less_than_1e_6_with_the_rows_beside_it() -> None:
    network, rows = network_of("bert"), sequences()
    p = torch.from_numpy(encode(network, rows)).softmax(1).numpy()  # `InferenceSettings` documents 1e-6
    for i in range(len(rows)):
        alone = torch.from_numpy(encode(network, rows.take([i]))).softmax(1).numpy()
        np.testing.assert_allclose(alone[0], p[i], atol=1e-6)


def test_the_same_input_gives_the_same_bytes() -> None:
    network, rows = network_of("deberta-v3"), sequences()
    first, second = (encode(network, rows) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    engine = Engine(network)
    assert engine.encode(rows, pad_id=0).tobytes() == first.tobytes()
    assert engine.encode(rows, pad_id=0).tobytes() == first.tobytes()


def test_changed_weights_are_seen_by_the_next_call() -> None:
    network, rows = network_of("bert"), sequences()
    before = encode(network, rows)
    with torch.no_grad():
        for parameter in network.backbone.bert.encoder.parameters():
            parameter.data.mul_(1.5)
    assert_same(encode(network, rows), one_by_one(network, rows))
    assert not np.allclose(encode(network, rows), before, atol=1e-3)


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_dropout_is_off_during_the_call_and_on_again_after_it(kind: str) -> None:
    network, rows = network_of(kind), sequences()
    wanted = one_by_one(network, rows)
    network.train()
    assert_same(encode(network, rows), wanted)
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_no_sequences_give_no_vectors() -> None:
    assert encode(network_of("bert"), Sequences.from_lists([])).shape == (0, 0)


def test_progress_counts_tokens() -> None:
    calls: list[tuple[str, int, int]] = []
    rows = sequences()
    settings = InferenceSettings(max_tokens=80)
    encode(network_of("bert"), rows, settings, progress=lambda *step: calls.append(step))
    assert len(calls) > 2
    assert calls == sorted(calls)
    assert calls[-1] == ("tokens", int(rows.lengths.sum()), int(rows.lengths.sum()))


def test_devices_share_the_work() -> None:
    network, rows = network_of("bert"), sequences(tuple(range(1, 60)))
    alone = encode(network, rows, InferenceSettings(max_tokens=64))
    both = encode(network, rows, InferenceSettings(max_tokens=64, devices=("cpu", "cpu")))
    assert both.tobytes() == alone.tobytes()


@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cpu")])
def test_out_of_memory_halves_the_batch_and_continues(
    devices: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network, rows = network_of("bert"), sequences()
    wanted = encode(network, rows)
    real, tried = Replica.encode, []

    def small(self: Replica, padded: Padded) -> np.ndarray:
        tried.append(padded.ids.size)
        if padded.ids.size > 90:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, padded)

    monkeypatch.setattr(Replica, "encode", small)
    with caplog.at_level(logging.WARNING):
        found = encode(network, rows, InferenceSettings(max_tokens=400, devices=devices))
    assert_same(found, wanted)
    assert "out of memory with 8 sequences at once; going on with 160 tokens" in caplog.text
    assert sum(size > 90 for size in tried) <= 2 * len(devices)


def test_a_sequence_that_does_not_fit_raises_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Replica, padded: Padded) -> np.ndarray:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Replica, "encode", full)
    with pytest.raises(JudgeError, match="one sequence of 40 tokens does not fit .* lower text.max_length"):
        encode(network_of("bert"), sequences())


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="inference.devices names 'cuda:7'; this machine has cpu"):
        encode(network_of("bert"), sequences(), InferenceSettings(devices=("cuda:7",)))


@pytest.mark.parametrize(
    ("kind", "precision"),
    [("bert", "bf16"), ("distilbert", "bf16"), ("bert", "int8"), ("deberta-v3", "int8")],
)
def test_rounded_outputs_are_close(kind: str, precision: Any) -> None:
    network, rows = network_of(kind), sequences()
    exact = encode(network, rows)
    found = encode(network, rows, InferenceSettings(precision=precision))
    assert 0 < np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


def test_int8_is_refused_where_unsupported() -> None:
    with pytest.raises(ConfigError, match="int8, and this architecture has no such form"):
        encode(network_of("distilbert"), sequences(), InferenceSettings(precision="int8"))


def test_threads_are_set_only_during_the_call() -> None:
    before, seen = torch.get_num_threads(), []
    network = network_of("bert")
    plain = network.backbone.classifier.forward

    def watched(x: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return plain(x)

    network.backbone.classifier.forward = watched
    encode(network, sequences(), InferenceSettings(threads=2))
    assert set(seen) == {2}
    assert torch.get_num_threads() == before
