"""Test training in length groups, shortest first."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.training.networks import Small, numbers
from tests.training.test_processes import train as train_in_processes

from votecast.errors import ConfigError
from votecast.training.checkpoints import Checkpoints
from votecast.training.loop import train_network
from votecast.training.settings import TrainingSettings
from votecast.training.tracking import History
from votecast.training.training_rows import StepPlan
from votecast.types import Run

CURRICULUM: dict[str, Any] = {
    "batch_size": 8,
    "max_tokens": 64,
    "precision": "fp32",
    "order": "length",
    "group": 20,
    "log_every": 1,
}


def train(run: Run, **other: Any) -> History:
    settings = TrainingSettings(**CURRICULUM | other)
    return train_network(Small(), numbers(), numbers(30, seed=1), settings, seed=1, run=run)


def saved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the steps at which a checkpoint is written."""
    steps: list[int] = []
    inner = Checkpoints.save

    def save(self: Checkpoints, step: int, *args: Any) -> None:
        steps.append(step)
        inner(self, step, *args)

    monkeypatch.setattr(Checkpoints, "save", save)
    return steps


def test_no_step_mixes_groups_and_the_schedule_is_one() -> None:
    costs = np.random.default_rng(0).integers(1, 500, 450)
    plan = StepPlan(costs, rows=16, epochs=2, group=200)
    assert (plan.epoch_steps, plan.steps) == (13 + 13 + 4, 60)
    ordered = np.sort(costs)
    for epoch in (0, 1):
        steps = plan.epoch(epoch)
        assert len(steps) == plan.epoch_steps
        for first, last, low, high in ((0, 13, 0, 200), (13, 26, 200, 400), (26, 30, 400, 450)):
            assert np.array_equal(np.sort(costs[np.concatenate(steps[first:last])]), ordered[low:high])
    assert [step for step in range(1, 61) if plan.ends_group(step)] == [13, 26, 30, 43, 56, 60]
    history = train(Run(), epochs=2, warmup=3, schedule="linear", learning_rate=1.0)
    rates = [record["learning_rate"] for record in history.records if "learning_rate" in record]
    assert rates == pytest.approx([0, 1 / 3, 2 / 3, *(1 - np.arange(15) / 15)])


def test_lengths_rise_from_group_to_group() -> None:
    history = train(Run())
    tokens = np.diff([0, *(record["tokens"] for record in history.records if "tokens" in record)])
    assert len(tokens) == 9
    thirds = tokens.reshape(3, 3).sum(1)
    assert thirds[0] < thirds[1] < thirds[2]
    assert tokens.sum() == numbers().examples.costs.sum()


def test_a_checkpoint_follows_each_group_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = saved(monkeypatch)
    train(Run(tmp_path / "null"), epochs=2)
    assert steps == [3, 6, 9, 12, 15, 18]
    steps.clear()
    train(Run(tmp_path / "group"), save_every="group", eval_every="group")
    assert steps == [3, 6, 9]
    steps.clear()
    train(Run(tmp_path / "four"), save_every=4)
    assert steps == [4, 8, 9]
    steps.clear()
    train(Run(tmp_path / "epoch"), save_every="epoch", epochs=2)
    assert steps == [9, 18]


def test_evaluation_may_follow_each_group() -> None:
    assert [record["step"] for record in train(Run(), eval_every="group").evaluations] == [3, 6, 9]


def test_groups_need_the_curriculum() -> None:
    with pytest.raises(ConfigError, match="order 'shuffled' has no groups"):
        TrainingSettings.parse({"save_every": "group"})
    with pytest.raises(ConfigError, match="group"):
        TrainingSettings.parse({"order": "length", "group": 0})


def test_a_curriculum_is_not_broken_off_before_its_long_rows() -> None:
    with pytest.raises(ConfigError, match="max_steps is 5 and an epoch has 9 steps, from short rows to long ones"):
        train(Run(), max_steps=5)
    with pytest.raises(ConfigError, match="max_steps is 12"):
        train(Run(), epochs=2, max_steps=12)
    assert train(Run(), epochs=2, max_steps=9).records[-1]["step"] == 9


@pytest.mark.parametrize("count", [1, 2])
def test_a_killed_curriculum_resumes_to_the_same_bytes(tmp_path: Path, count: int) -> None:
    settings = ("order=length", "group=20", "dropout=0.2", f"batch_size={8 // count}", "average=last")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_in_processes(killed, *settings, "die=step 8", count=count, ends=-signal.SIGKILL)
    assert sorted(path.name for path in (killed / "checkpoints").iterdir()) == ["step-000000003", "step-000000006"]
    train_in_processes(killed, *settings, count=count, also=whole)
    for name in ("metrics.jsonl", *(f"weights-{rank}.safetensors" for rank in range(count))):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
