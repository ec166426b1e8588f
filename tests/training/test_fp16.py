"""Test training in fp16 with a scaled loss: learning, skipped steps, resume, and what a device computes in.

The arithmetic is torch's fp16 on the CPU; a stand-in says that the device has it, as a T4 does.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.devices import A100, CUDA, T4, compute_as
from tests.training.networks import Small, numbers
from torch import Tensor

from votecast.config.precision import choose_precision
from votecast.data.simulation import simulate
from votecast.errors import ConfigError, JudgeError
from votecast.judges.trained import TrainedJudge
from votecast.models.neural.backbone import Source
from votecast.models.neural.quantization import compute_type
from votecast.training.loop import train_network
from votecast.training.mixed_precision import training_precision
from votecast.training.settings import TrainingSettings
from votecast.training.step import Stepper
from votecast.training.tracking import History
from votecast.types import Run

FAST = {"batch_size": 8, "max_tokens": 64, "learning_rate": 1e-2, "log_every": 1, "save_every": 2}
FIRST_SCALE = 2.0**16
"""Of torch's GradScaler."""


class Killed(BaseException):
    """Stand-in for SIGKILL: no code may catch it."""


class Steep(Small):
    """A network whose gradients overflow while the loss is scaled by more than `limit`, and whose outputs at times."""

    def __init__(self, limit: float = FIRST_SCALE / 8, forward_fails: tuple[int, ...] = ()) -> None:
        super().__init__(dropout=0.1)
        self.limit, self.fails, self.calls = limit, forward_fails, 0

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        out = super().forward(ids, mask)
        if self.training:
            self.calls += 1
            out.register_hook(lambda grad: grad * (torch.inf if self._is_steep(grad) else 1))
            if self.calls in self.fails:
                out = out * torch.inf
        return out

    def _is_steep(self, grad: Tensor) -> bool:
        return float(grad.detach().abs().max()) * 8 * 2 > self.limit  # the mean over 8 rows and two views


def train(network: Small, run: Run | None = None, **other: Any) -> History:
    settings = TrainingSettings(**FAST | other)
    return train_network(network, numbers(64), numbers(30, seed=1), settings, seed=1, run=run or Run())


def weights(network: Small) -> Tensor:
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach()


@pytest.fixture(autouse=True)
def _on_a_t4(monkeypatch: pytest.MonkeyPatch) -> None:
    compute_as(T4, monkeypatch)


def test_auto_learns_in_fp16_where_there_is_no_bf16() -> None:
    history, exact = train(Small(), epochs=6), train(Small(), epochs=6, precision="fp32")
    assert {record["loss_scale"] for record in history.records if "loss" in record} == {FIRST_SCALE}
    assert not any("loss_scale" in record for record in exact.records)
    assert history.best_log_loss == pytest.approx(exact.best_log_loss, abs=0.02)
    assert history.best_log_loss < 0.5


def test_steps_that_overflow_are_skipped_halve_the_scale_and_are_none_of_the_schedule(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    network = Steep()
    with caplog.at_level(logging.INFO):
        history = train(network, Run(tmp_path), epochs=2, warmup=4)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == history.records
    steps = [line for line in lines if "loss" in line]
    assert [line["loss_scale"] for line in steps] == [FIRST_SCALE / 2**halved for halved in (1, 2, *[3] * 14)]
    assert [line["skipped"] for line in steps] == [1, 2, *[3] * 14]
    assert ["grad_norm" in line for line in steps] == [False] * 3 + [True] * 13
    rates = [line["learning_rate"] for line in steps[3:8]]  # the warm-up begins with the first step that is taken
    assert rates == pytest.approx([0, 0.0025, 0.005, 0.0075, 0.01])
    assert "step 1: the gradient overflowed fp16; the step is skipped" in caplog.text
    assert "3 of 16 steps were skipped because they overflowed fp16" in caplog.text


def test_a_skipped_step_changes_no_weight_and_its_loss_is_not_in_the_mean() -> None:
    network = Steep(limit=float("inf"), forward_fails=(1,))
    before = weights(network)
    with pytest.raises(JudgeError, match=r"all 1 steps overflowed fp16, and nothing was learnt; set .* to fp32"):
        train(network, max_steps=1, max_tokens=1000)
    assert torch.equal(weights(network), before)
    history = train(Steep(limit=float("inf"), forward_fails=(2,)), max_steps=4, max_tokens=1000, log_every=2)
    assert all(np.isfinite(value) for record in history.records for value in record.values())


def test_a_network_that_always_overflows_stops() -> None:
    with pytest.raises(JudgeError, match=r"26 steps in a row overflowed fp16, the last with rows .*to fp32"):
        train(Steep(limit=0.0), epochs=4)


def test_a_killed_training_resumes_with_its_scale_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Steep()
    expected = train(whole, epochs=2).records
    take, left = Stepper.take, [2, 5]  # in the middle of the overflows, and after them

    def dying(self: Stepper, *args: Any, **kwargs: Any) -> Any:
        found = take(self, *args, **kwargs)
        if left:
            left[0] -= 1
            if not left[0]:
                left.pop(0)
                raise Killed
        return found

    monkeypatch.setattr(Stepper, "take", dying)
    for _ in range(2):
        with pytest.raises(Killed):
            train(Steep(), Run(tmp_path), epochs=2, save_every=1)
    network = Steep()
    assert train(network, Run(tmp_path), epochs=2, save_every=1).records == expected
    assert not left
    assert torch.equal(weights(network), weights(whole))


@pytest.mark.parametrize(
    ("wanted", "kind", "found"),
    [("auto", T4, "fp16"), ("auto", A100, "bf16"), ("fp16", A100, "fp16"), ("fp32", T4, "fp32")],
)
def test_a_gpu_without_bf16_computes_in_fp16(
    wanted: Any, kind: Any, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute_as(kind, monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_precision(wanted, CUDA, setting="model.compute") == found
    assert compute_type(wanted) == found


def test_a_sharded_network_whose_loss_cannot_be_scaled_learns_in_fp32() -> None:
    assert training_precision("auto", CUDA, is_sharded=True) == "fp32"


@pytest.mark.parametrize("setting", ["model.training.precision", "model.inference.precision", "model.compute"])
def test_a_card_without_bf16_is_an_error_before_the_model_is_loaded(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*args: Any, **options: Any) -> None:
        raise AssertionError("the model is loaded")

    monkeypatch.setattr(Source, "load", load)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    small = {"model.name": "tiny:llama", "model.weights": "nf4", "model.adapter": {"rank": 2}, "folds.n": 2}
    monkeypatch.setattr("votecast.models.neural.neural_model.Processes", lambda: type("P", (), {"device": CUDA}))
    judge = TrainedJudge("decoder", {**small, setting: "bf16"})
    message = rf"{setting.removeprefix('model.')} is bf16, which cuda:0 \(Tesla T4\) does not compute in; allowed"
    with pytest.raises(ConfigError, match=message):
        judge.fit(next(simulate(rows=20, seed=3, batch=20))[0])
