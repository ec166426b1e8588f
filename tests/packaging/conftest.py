"""Provide a small judge and empty wheels for packs."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.cli.conftest import votecast  # noqa: F401 - a fixture
from tests.packaging.fakes import fake_wheel

from votecast.cli import main


@pytest.fixture(autouse=True)
def _pip_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run pip without settings of the user."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a contest test.csv and a judge."""
    folder = tmp_path_factory.mktemp("arena")
    test = ["simulate", "--rows", "60", "--seed", "1", "--no-votes", "--out", str(folder / "test.csv")]
    assert main(["simulate", "--rows", "240", "--out", str(folder / "train.csv")]) == 0
    assert main(test) == 0
    train = ["train", "baseline", "--train", str(folder / "train.csv"), "--out", str(folder / "judge")]
    assert main([*train, "--folds.n", "2"]) == 0
    return folder


@pytest.fixture(scope="session")
def links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return wheels by package name; one depends on another."""
    folder = tmp_path_factory.mktemp("links")
    for line in metadata.requires("votecast") or []:
        requirement = Requirement(line)
        if requirement.marker is None:
            fake_wheel(folder, requirement.name, requires=["joblib"] if requirement.name == "scikit-learn" else [])
    fake_wheel(folder, "joblib")
    return folder
