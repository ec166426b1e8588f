"""Test 8-bit and paged moments: learning and resuming."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.networks import Small, numbers

from votecast.errors import ConfigError, MissingExtraError
from votecast.training.checkpoints import Checkpoints
from votecast.training.loop import train_network
from votecast.training.optimizer import make_optimizer, moments_of
from votecast.training.settings import TrainingSettings
from votecast.training.step import Stepper
from votecast.types import Run

SETTINGS = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2, "precision": "fp32", "save_every": 2, "log_every": 1}
IN_BITS = ["adamw_8bit", "paged_adamw", "paged_adamw_8bit"]


class Killed(BaseException):
    """Stand-in for SIGKILL: no code may catch it."""


def train(folder: Path | None = None, **settings: Any) -> tuple[torch.Tensor, list[dict[str, Any]]]:
    network = Small(width=128, dropout=0.1)
    found = train_network(
        network, numbers(), numbers(30, seed=1), TrainingSettings(**SETTINGS | settings), seed=1, run=Run(folder)
    )
    return torch.cat([p.detach().flatten() for p in network.parameters()]), found.records


@pytest.mark.parametrize("optimizer", IN_BITS)
def test_training_matches_full_moments(optimizer: str) -> None:
    full, bits = (train(optimizer=name)[1][-1]["log_loss"] for name in ("adamw", optimizer))
    assert bits < 0.7
    assert abs(bits - full) < 0.1


@pytest.mark.parametrize("optimizer", IN_BITS)
@pytest.mark.parametrize("average", ["none", "ema"])
def test_killed_training_resumes_to_the_same_bits(
    optimizer: str, average: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = train(optimizer=optimizer, average=average)
    take, left = Stepper.take, [5, 7]

    def dying(self: Stepper, *args: Any, **kwargs: Any) -> Any:
        if left:
            left[0] -= 1
            if not left[0]:
                left.pop(0)
                raise Killed
        return take(self, *args, **kwargs)

    monkeypatch.setattr(Stepper, "take", dying)
    for _ in range(2):
        with pytest.raises(Killed):
            train(tmp_path, optimizer=optimizer, average=average)
    found = train(tmp_path, optimizer=optimizer, average=average)
    assert not left
    assert torch.equal(found[0], undisturbed[0])
    assert found[1] == undisturbed[1]


def test_moments_of_large_parameters_are_kept_in_8_bits_on_the_disk(tmp_path: Path) -> None:
    settings = TrainingSettings(**SETTINGS | {"optimizer": "adamw_8bit"})
    network = Small(width=128)
    optimizer = make_optimizer(network, settings)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    held = moments_of(optimizer, dict(network.named_parameters()))
    kinds = {name: value.dtype for name, value in held.items()}
    assert kinds["state1.body.weight"] == torch.uint8
    assert kinds["state1.norm.weight"] == torch.float32
    assert not any("qmap" in name for name in held)


def test_moments_of_another_optimizer_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise Killed

    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", lambda *args, **kwargs: (save(*args, **kwargs), full()))
    with pytest.raises(Killed):
        train(tmp_path, optimizer="adamw_8bit")
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="different: optimizer"):
        train(tmp_path, optimizer="adamw")


def test_without_bitsandbytes_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[quant\]'"):
        make_optimizer(Small(), TrainingSettings(optimizer="adamw_8bit"))
