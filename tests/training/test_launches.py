"""Test training in two processes: equal curves, predictions and messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.tolerances import rounding
from tests.training.launching import curve, ended, errors, kill_process, largest_gap, start

from votecast import load_judge
from votecast.cli import main

ONE_FOLD = ("--small", "--folds.n", "4", "--fold", "0", "--model.text.max_length", "64")
CROSS = ("cross_encoder", *ONE_FOLD, "--model.dropout", "0.0")
LORA = ("smollm2_lora", *ONE_FOLD, "--model.adapter.dropout", "0.0", "--model.training.max_tokens", "256")
REFIT = ("cross_encoder", "--small", "--folds.n", "2", "--final", "refit", "--model.text.max_length", "64")
NETWORKS = {"cross": CROSS, "lora": LORA}
SEVERAL = "tests.training.several"
CLOSE = rounding(width=64, layers=2)
"""Tolerance of losses and predictions; sums add up in another order."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with votes.jsonl."""
    folder = tmp_path_factory.mktemp("launches")
    assert main(["simulate", "--rows", "64", "--out", str(folder / "votes.jsonl")]) == 0
    return folder


def words(recipe: tuple[str, ...], place: Path, name: str, rows: int) -> list[str]:
    learn = {"batch_size": rows, "log_every": 1, "learning_rate": 5e-3, "precision": "fp32", "warmup": 1}
    settings = [f"--model.training.{key}={value}" for key, value in learn.items()]
    files = ["--train", str(place / "votes.jsonl"), "--out", str(place / name)]
    return ["train", *recipe, *files, "--calibration.method", "none", *settings]


def predictions(judge: Path) -> np.ndarray:
    return load_judge(judge).fitted.out_of_fold.raw


def check_same(one: Path, other: Path) -> None:
    """Assert equal losses, norms and predictions within `CLOSE`."""
    ours, theirs = curve(one), curve(other)
    assert len(ours["loss"]) > 3
    assert max(ours["loss"]) - min(ours["loss"]) > 100 * CLOSE
    for figure, values in ours.items():
        assert largest_gap(values, theirs[figure]) < CLOSE * (10 if figure == "grad_norm" else 1), figure
    assert np.abs(predictions(one) - predictions(other)).max() < CLOSE


def together(*commands: list[str]) -> list[str]:
    """Run several commands in one start of the processes."""
    return [word for command in commands for word in ("++", *command)]


@pytest.fixture(scope="module")
def alone(place: Path) -> Path:
    """Return judges that one process trained in the same folder."""
    for name, recipe in NETWORKS.items():
        assert main(words(recipe, place, f"{name}-alone", 8)) == 0
    return place


def check_voice(out: str, err: str, commands: int) -> None:
    """Assert that only one process printed, before the error that ends the last command."""
    err = err.partition("error: ")[0]
    assert out.count("log loss ") == out.count("\njudge ") == commands
    assert err.count("read ") == err.count("truncated: ") == commands
    warnings = [line for line in err.splitlines() if "WARNING" in line]
    assert len(warnings) < 2 * commands and all("random weights" in line for line in warnings)


@pytest.mark.slow
def test_two_processes_match_one_resume_after_a_kill_and_end_with_one_that_fails(alone: Path) -> None:
    refit = words((*REFIT, "--model.training.save_every=1"), alone, "killed", 4)
    started = start("multi_cpu", *refit)
    kill_process(started, 1, once=alone / ".killed.work" / "fold_1" / "checkpoints" / "step-*2")
    code, out, err = ended(started)
    assert (code, out, len(errors(err))) == (1, "", 1)
    assert "one of its processes died; exit code -9" in errors(err)[0]
    assert "run the same command with --resume to continue it" in err
    whole = [str(alone / "whole") if word == str(alone / "killed") else word for word in refit]
    others = [words(recipe, alone, f"{name}-multi_cpu", 4) for name, recipe in NETWORKS.items()]
    never = words(CROSS, alone, "never", 4)
    commands = [[*refit, "--resume"], whole, *others, ["failing", *never]]
    code, out, err = ended(start("multi_cpu", *together(*commands), module=SEVERAL))
    assert (code, errors(err)) == (1, ["error: process 1 of 2: there is no room"]), err
    assert not (alone / "never").exists()
    assert not (alone / ".killed.work").exists()
    assert load_judge(alone / "killed").hash == load_judge(alone / "whole").hash
    check_voice(out, err, 4)
    for name in NETWORKS:
        check_same(alone / f"{name}-alone", alone / f"{name}-multi_cpu")


@pytest.mark.slow
def test_two_sharded_processes_match_one_and_report_an_error_of_both_once(alone: Path) -> None:
    commands = [words(recipe, alone, f"{name}-fsdp", 4) for name, recipe in NETWORKS.items()]
    commands.append([*words(CROSS, alone, "never", 4), "--model.training.order", "upwards"])
    code, out, err = ended(start("fsdp", *together(*commands), module=SEVERAL))
    assert (code, len(errors(err))) == (1, 1), err
    assert "upwards" in errors(err)[0]
    assert not (alone / "never").exists()
    check_voice(out, err, 2)
    for name in NETWORKS:
        check_same(alone / f"{name}-alone", alone / f"{name}-fsdp")
