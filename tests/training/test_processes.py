from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tests.tolerances import after_training
from tests.training import trained
from tests.training.networks import Small
from torch import nn

from votecast.errors import ConfigError
from votecast.training import sharding
from votecast.training.settings import TrainingSettings
from votecast.training.training_rows import deal_rows

FEW_BITS = nn.Parameter(torch.zeros(3, dtype=torch.int8), requires_grad=False)
PATIENCE = 300
"""Seconds after which processes that wait for each other have failed."""
NONE: Mapping[str, str] = MappingProxyType({})
FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}


def train(
    folder: Path, *settings: str, count: int, ends: int = 0, also: Path | None = None, env: Mapping[str, str] = NONE
) -> list[dict[str, float]]:
    """Train in one or more new processes, and then in `also`; return the first one's output."""
    folder.mkdir(exist_ok=True)
    (folder / "meeting").unlink(missing_ok=True)
    shared = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"} | env
    if count > 1:
        shared |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1"}
    folders = os.pathsep.join(map(str, (folder, also) if also else (folder,)))
    command = [sys.executable, "-m", "tests.training.trained", folders, *settings]
    started = [
        subprocess.Popen(command, env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else shared)
        for rank in range(count)
    ]
    try:
        assert [process.wait(PATIENCE) for process in started] == [ends] * count
    finally:  # those that wait for one that is gone
        for process in started:
            process.kill()
            process.wait()
    return records(folder)


def train_here(folder: Path, *settings: str) -> list[dict[str, float]]:
    """Train in this process; return its output."""
    trained.train(folder, dict(word.split("=") for word in settings))
    return records(folder)


def records(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_train_as_one_with_steps_of_twice_the_rows(tmp_path: Path) -> None:
    alone = train_here(tmp_path / "alone", "batch_size=8")
    both = train(tmp_path / "both", "batch_size=4", count=2)
    assert [list(record) for record in both] == [list(record) for record in alone]
    moved = after_training(steps=16, learning_rate=1e-2)
    for one, two in zip(alone, both, strict=True):
        # the gradient is clipped to 1: a loss moves by no more than the weights
        assert np.allclose(list(one.values()), list(two.values()), rtol=moved, atol=0)
    first, second = (load_file(tmp_path / "both" / f"weights-{rank}.safetensors") for rank in (0, 1))
    expected = load_file(tmp_path / "alone" / "weights-0.safetensors")
    for name, value in expected.items():
        assert np.array_equal(first[name], second[name])
        assert np.allclose(first[name], value, rtol=0, atol=moved)


ZERO_2 = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"}
# few tokens per pass give processes unequal numbers of passes
AVERAGED = ("max_tokens=24", "average_last=2", "average_decay=0.5", "epochs=3", "eval_every=5", "save_every=4")


@pytest.mark.parametrize(("average", "env", "killed"), [("ema", ZERO_2, False), ("last", FSDP, True)])
def test_sharded_processes_match_one_process_and_resume(
    tmp_path: Path, average: str, env: dict[str, str], killed: bool
) -> None:
    settings, folder = (f"average={average}", *AVERAGED), tmp_path / "both"
    alone = train_here(tmp_path / "alone", *settings, "batch_size=10")
    if killed:
        train(folder, *settings, "batch_size=5", "die=step 11", count=2, env=env, ends=-signal.SIGKILL)
    whole = tmp_path / "whole" if killed else None
    both = train(folder, *settings, "batch_size=5", count=2, env=env, also=whole)
    moved = after_training(steps=18, learning_rate=1e-2)
    for one, two in zip(alone, both, strict=True):
        assert np.allclose(list(one.values()), list(two.values()), rtol=moved, atol=0)
    expected = load_file(tmp_path / "alone" / "weights-0.safetensors")
    parts = [load_file(folder / f"weights-{rank}.safetensors") for rank in (0, 1)]
    for name, value in expected.items():
        assert np.array_equal(parts[0][name], parts[1][name])
        assert np.allclose(parts[0][name], value, rtol=0, atol=moved)
    if whole:
        assert records(whole) == both
        for name, value in load_file(whole / "weights-0.safetensors").items():
            assert np.array_equal(value, parts[0][name])


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        (Small(), TrainingSettings(optimizer="adamw_8bit"), "optimizer is 'adamw_8bit', whose moments"),
        (Small(), TrainingSettings(precision="fp16"), "precision is 'fp16'"),
        (nn.ParameterList([FEW_BITS]), TrainingSettings(), r"few bits \(int8\)"),
    ],
)
def test_unsupported_sharding_is_refused(network: nn.Module, settings: TrainingSettings, message: str) -> None:
    cpu = torch.device("cpu")
    with (
        pytest.raises(ConfigError, match=message),
        sharding.shard_network(network, settings, cpu, True),
    ):
        pass


def test_every_row_of_a_step_goes_to_one_process_and_all_have_about_as_much_to_do() -> None:
    costs = np.random.default_rng(0).integers(10, 500, 64)
    parts = [deal_rows(np.arange(64), costs, process, 4) for process in range(4)]
    assert sorted(np.concatenate(parts)) == list(range(64))
    loads = [costs[part].sum() for part in parts]
    assert max(loads) < 1.1 * min(loads)
