"""Training in two processes, started by accelerate: the same curve, the same forecasts, one voice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.training.launching import curve, ended, errors, kill_process, largest_gap, start

from votecast import load_judge
from votecast.cli import main

ONE_FOLD = ("--small", "--folds.n", "4", "--fold", "0", "--model.text.max_length", "64")
CROSS = ("cross_encoder", *ONE_FOLD, "--model.dropout", "0.0")
LORA = ("smollm2_lora", *ONE_FOLD, "--model.adapter.dropout", "0.0", "--model.training.max_tokens", "256")
REFIT = ("cross_encoder", "--small", "--folds.n", "2", "--final", "refit", "--model.text.max_length", "64")
CLOSE = 1e-5
"""Losses and forecasts may differ by this, for sums are taken in another order."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with votes.jsonl."""
    folder = tmp_path_factory.mktemp("launches")
    assert main(["simulate", "--rows", "64", "--out", str(folder / "votes.jsonl")]) == 0
    return folder


def words(recipe: tuple[str, ...], place: Path, name: str, rows: int) -> list[str]:
    learn = {"batch_size": rows, "log_every": 1, "learning_rate": 5e-3, "precision": "fp32", "warmup": 1}
    settings = [f"--model.training.{key}={value}" for key, value in learn.items()]
    files = ["--train", str(place / "votes.jsonl"), "--out", str(place / name)]
    return ["train", *recipe, *files, "--calibration.method", "none", *settings]


def forecasts(judge: Path) -> np.ndarray:
    return load_judge(judge).fitted.out_of_fold.raw


def check_same(one: Path, other: Path) -> None:
    """The same losses, norms and forecasts within `CLOSE`."""
    ours, theirs = curve(one), curve(other)
    assert len(ours["loss"]) > 3
    assert max(ours["loss"]) - min(ours["loss"]) > 100 * CLOSE
    for figure, values in ours.items():
        assert largest_gap(values, theirs[figure]) < CLOSE * (10 if figure == "grad_norm" else 1), figure
    assert np.abs(forecasts(one) - forecasts(other)).max() < CLOSE


@pytest.mark.slow
@pytest.mark.parametrize(("name", "recipe"), [("cross", CROSS), ("lora", LORA)])
def test_two_processes_learn_what_one_learns(place: Path, name: str, recipe: tuple[str, ...]) -> None:
    assert main(words(recipe, place, f"{name}-alone", 8)) == 0
    for file in ("multi_cpu", "fsdp"):
        code, out, err = ended(start(file, *words(recipe, place, f"{name}-{file}", 4)))
        assert code == 0, err
        assert out.count("log loss ") == out.count("\njudge ") == 1
        assert err.count("read ") == err.count("cut: ") == 1
        assert "WARNING" not in err
        check_same(place / f"{name}-alone", place / f"{name}-{file}")


@pytest.mark.slow
def test_a_training_over_folds_goes_on_after_one_process_was_killed(place: Path) -> None:
    command = words((*REFIT, "--model.training.save_every=1"), place, "killed", 4)
    started = start("multi_cpu", *command)
    kill_process(started, 1, once=place / ".killed.work" / "fold_1" / "checkpoints" / "step-*2")
    code, out, err = ended(started)
    assert (code, out, errors(err)) == (1, "", [])
    assert "the same command with --resume continues it" in err
    code, _, err = ended(start("multi_cpu", *command, "--resume"))
    assert code == 0, err
    assert not (place / ".killed.work").exists()
    command[command.index(str(place / "killed"))] = str(place / "whole")
    assert ended(start("multi_cpu", *command))[0] == 0
    assert load_judge(place / "killed").hash == load_judge(place / "whole").hash


def test_what_is_wrong_in_all_processes_is_told_once(place: Path) -> None:
    code, out, err = ended(start("multi_cpu", *words(CROSS, place, "never", 4), "--model.training.order", "upwards"))
    assert (code, out, len(errors(err))) == (1, "", 1)
    assert "upwards" in errors(err)[0]
    assert not (place / "never").exists()


def test_what_is_wrong_in_one_process_ends_all_and_is_told_once(place: Path) -> None:
    command = words(CROSS, place, "never", 4)
    code, out, err = ended(start("multi_cpu", *command, module="tests.training.failing"))
    assert (code, out, errors(err)) == (1, "", ["error: process 1 of 2: there is no room"])
    assert not (place / "never").exists()
