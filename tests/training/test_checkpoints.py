"""Test that training killed at any moment resumes to equal bytes."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tests.training.networks import Small, numbers
from torch import nn

from votecast.errors import ArtifactError, ConfigError
from votecast.training.loop import train_network
from votecast.training.settings import TrainingSettings
from votecast.types import Run

SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 8,
    "max_tokens": 64,
    "learning_rate": 1e-2,
    "precision": "fp32",
    "log_every": 3,
    "eval_every": 4,
    "save_every": 6,
    "average": "ema",
}


def train(folder: Path | None, rows: int = 60, **other: Any) -> tuple[nn.Module, str]:
    network, settings = Small(dropout=0.2), TrainingSettings(**{**SETTINGS, **other})
    history = train_network(network, numbers(rows), numbers(30, seed=1), settings, seed=1, run=Run(folder))
    return network, "".join(json.dumps(record) + "\n" for record in history.records)


def weights(network: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(network.parameters()).detach()


def steps(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


class Killed(BaseException):
    """Stand-in for SIGKILL: nothing is cleaned up."""


@contextmanager
def faulty_disk(fail: Callable[[], None], *, fails_removal: bool = True) -> Iterator[None]:
    """Call `fail` at every write, flush, rename and removal."""
    save_file, write_text, fsync, rename, replace, rmtree = (
        safetensors.torch.save_file,
        Path.write_text,
        os.fsync,
        os.rename,
        Path.replace,
        shutil.rmtree,
    )

    def half_saved(tensors: Any, path: Path) -> None:
        path.write_bytes(b"half a file")
        fail()
        save_file(tensors, path)

    def half_written(path: Path, text: str, *args: Any, **kwargs: Any) -> int:
        write_text(path, text[: len(text) // 2], *args, **kwargs)
        fail()
        return write_text(path, text, *args, **kwargs)

    def failing(inner: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            fail()
            return inner(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", half_saved)
        patch.setattr(Path, "write_text", half_written)
        patch.setattr(os, "fsync", failing(fsync))
        patch.setattr(os, "rename", failing(rename))
        patch.setattr(Path, "replace", failing(replace))
        if fails_removal:
            patch.setattr(shutil, "rmtree", failing(rmtree))
        yield


def failing_from(count: int, error: BaseException) -> Callable[[], None]:
    calls = itertools.count(1)

    def fail() -> None:
        if next(calls) >= count:
            raise error

    return fail


@pytest.fixture(scope="module")
def undisturbed() -> tuple[torch.Tensor, str]:
    network, records = train(None)
    return weights(network), records


def operations(folder: Path, **faults: bool) -> int:
    calls = itertools.count()
    with faulty_disk(lambda: next(calls) and None, **faults):
        train(folder)
    return next(calls)


def test_a_kill_at_any_write_flush_rename_or_removal_changes_nothing(
    tmp_path: Path, undisturbed: tuple[torch.Tensor, str]
) -> None:
    total = operations(tmp_path / "counted")
    assert total > 30
    for count in range(1, total + 1):
        folder = tmp_path / str(count)
        with faulty_disk(failing_from(count, Killed())), pytest.raises(Killed):
            train(folder)
        network, records = train(folder)
        assert torch.equal(weights(network), undisturbed[0]), count
        assert records == undisturbed[1], count
        assert (folder / "metrics.jsonl").read_text() == records, count
        assert steps(folder) == ["step-000000012", "step-000000016"], count


def test_a_full_disk_raises_one_error_and_keeps_finished_steps(
    tmp_path: Path, undisturbed: tuple[torch.Tensor, str]
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    total = operations(tmp_path / "counted", fails_removal=False)
    for count in range(1, total + 1, 3):
        folder = tmp_path / str(count)
        fault = faulty_disk(failing_from(count, full), fails_removal=False)
        with fault, pytest.raises(ArtifactError, match="No space left on device"):
            train(folder)
        network, records = train(folder)
        assert torch.equal(weights(network), undisturbed[0]), count
        assert records == undisturbed[1], count


def train_in_a_process(*folders: Path, settings: tuple[str, ...] = ()) -> int:
    more = ["save_every=4", "eval_every=3", "dropout=0.2", "average=last", *settings]
    command = [sys.executable, "-m", "tests.training.trained", os.pathsep.join(map(str, folders)), *more]
    return subprocess.run(command, check=False).returncode


def test_a_killed_process_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for point in ("fsync 3", "step 7"):  # while it writes its first checkpoint, then after its second
        assert train_in_a_process(killed, settings=(f"die={point}",)) == -signal.SIGKILL
    assert train_in_a_process(killed, whole) == 0
    for name in ("metrics.jsonl", "weights-0.safetensors"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """Return the output of a training killed at step 14."""
    with pytest.MonkeyPatch.context() as patch:
        inner, calls = torch.optim.AdamW.step, itertools.count(1)

        def step(self: Any, *args: Any, **kwargs: Any) -> Any:
            if next(calls) == 14:
                raise Killed
            return inner(self, *args, **kwargs)

        patch.setattr(torch.optim.AdamW, "step", step)
        with pytest.raises(Killed):
            train(tmp_path)
    assert steps(tmp_path) == ["step-000000006", "step-000000012"]
    return tmp_path


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json", "whole.json"])
@pytest.mark.parametrize("damage", ["torn", "changed", "absent"])
def test_a_damaged_checkpoint_is_passed_over(
    unfinished: Path, name: str, damage: str, undisturbed: tuple[torch.Tensor, str], caplog: pytest.LogCaptureFixture
) -> None:
    file = unfinished / "checkpoints" / "step-000000012" / name
    content = file.read_bytes()
    if damage == "absent":
        file.unlink()
    else:
        file.write_bytes(content[:-7] if damage == "torn" else content[:-7] + bytes(7))
    network, records = train(unfinished)
    assert "step-000000012 is damaged" in caplog.text
    assert torch.equal(weights(network), undisturbed[0])
    assert records == undisturbed[1]


def test_without_a_complete_checkpoint_training_restarts(
    unfinished: Path, undisturbed: tuple[torch.Tensor, str]
) -> None:
    for path in (unfinished / "checkpoints").glob("*/whole.json"):
        path.unlink()
    assert torch.equal(weights(train(unfinished)[0]), undisturbed[0])


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first, records = train(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(torch.optim.AdamW, "step")
        again, same = train(tmp_path)
    assert torch.equal(weights(first), weights(again))
    assert records == same


@pytest.mark.parametrize(
    ("change", "named"), [({"learning_rate": 1e-3}, "learning_rate"), ({"rows": 59}, "rows"), ({"epochs": 3}, "epochs")]
)
def test_a_checkpoint_from_another_recipe_is_refused(unfinished: Path, change: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=rf"a checkpoint from another recipe \(different: .*{named}"):
        train(unfinished, **change)


def test_fewer_tokens_in_a_pass_do_not_make_another_recipe(unfinished: Path) -> None:
    _, records = train(unfinished, max_tokens=32)
    assert json.loads(records.splitlines()[-1])["step"] == 16


@pytest.mark.parametrize("keep", [1, 3])
def test_the_number_of_kept_checkpoints_is_a_setting(tmp_path: Path, keep: int) -> None:
    train(tmp_path, save_every=4, keep=keep)
    assert steps(tmp_path) == ["step-000000008", "step-000000012", "step-000000016"][-keep:]
