"""Isolate every test: no network, no user settings, one thread."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
# The processes that tests start run offline/sitecustomize.py first, which keeps them from the network.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).with_name("offline")), os.environ.get("PYTHONPATH")])
)

import pytest
from hypothesis import settings

settings.register_profile("votecast", deadline=None)  # machines are shared and loaded: no test is timed
settings.load_profile("votecast")


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.delenv("VOTECAST_CONFIG", raising=False)
    monkeypatch.delenv("VOTECAST_DEBUG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="session")
def outside_votes() -> Path:
    """Return the folder named by VOTECAST_DATA, or skip the test."""
    folder = os.environ.get("VOTECAST_DATA")
    if not folder:
        pytest.skip("needs outside votes: set VOTECAST_DATA to their folder (see benchmarks/DATA.md)")
    return Path(folder)
