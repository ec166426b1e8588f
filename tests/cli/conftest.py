"""Provide a small arena, a trained judge and an in-process command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from votecast.cli import main

ROWS = 240


@dataclass(frozen=True)
class Ran:
    """Exit code, standard output and standard error of one command."""

    code: int
    out: str
    err: str


@pytest.fixture
def votecast(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run one command in this process."""

    def run(*words: object) -> Ran:
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with train.csv, unlabelled test.csv and a judge."""
    folder = tmp_path_factory.mktemp("arena")
    assert main(["simulate", "--rows", str(ROWS), "--out", str(folder / "train.csv")]) == 0
    test = ["simulate", "--rows", "60", "--seed", "1", "--no-votes", "--out", str(folder / "test.csv")]
    assert main(test) == 0
    train = [
        "train",
        "baseline",
        "--train",
        str(folder / "train.csv"),
        "--out",
        str(folder / "judge"),
        "--folds.n",
        "2",
    ]
    assert main(train) == 0
    return folder
