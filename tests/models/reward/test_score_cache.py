"""Test the score cache: keys, kills and concurrent processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.judges.rewards import pairs, reward_folder, reward_model

from votecast.errors import ArtifactError
from votecast.models.reward import score_cache
from votecast.models.reward.score_cache import ScoreCache

CHILD = """
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("cache", sys.argv[2])  # by itself: what is around it takes seconds
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
cache = module.ScoreCache(sys.argv[1], {"model": "m"})
cache.add([(b"kept", 1.25)])
cache._file.execute("BEGIN IMMEDIATE")
cache._file.execute("INSERT INTO rewards VALUES (?, ?)", (b"torn", 2.0))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_added_scores_survive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "rewards.cache"
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), score_cache.__file__], env=dict(os.environ), check=False
    )
    assert child.returncode == -signal.SIGKILL
    with ScoreCache(path, {"model": "m"}) as cache, sqlite3.connect(path) as file:
        assert cache.find([b"kept", b"torn"]) == {b"kept": 1.25}
        assert file.execute("SELECT count(*) FROM rewards").fetchone() == (1,)
    file.close()


def test_two_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rewards.cache"
    with ScoreCache(path, {"model": "m"}) as one, ScoreCache(path, {"model": "m"}) as two:
        one.add([(b"%d" % n, float(n)) for n in range(600)])
        two.add([(b"x", -1.0)])
        assert len(two.find([b"%d" % n for n in range(600)])) == 600 and one.find([b"x"]) == {b"x": -1.0}


def test_another_model_finds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rewards.cache"
    with ScoreCache(path, {"model": "m", "sha256": "1"}) as cache:
        cache.add([(b"1", 1.0)])
    with ScoreCache(path, {"model": "m", "sha256": "2"}) as cache:
        assert cache.find([b"1"]) == {}


@pytest.mark.parametrize("foreign", [b"no database, but a text that is long enough to be taken for one" * 9, None])
def test_a_file_of_another_program(tmp_path: Path, foreign: bytes | None) -> None:
    path = tmp_path / "other.db"
    if foreign is None:
        with sqlite3.connect(path) as file:
            file.execute("CREATE TABLE things (name TEXT)")
        file.close()
    else:
        path.write_bytes(foreign)
    before = path.read_bytes()
    with pytest.raises(ArtifactError, match="name another file"):
        ScoreCache(path, {"model": "m"})
    assert path.read_bytes() == before


def test_a_model_asks_the_file_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, path = reward_folder(tmp_path / "model"), tmp_path / "rewards.cache"
    battles = pairs(("p", "a", "b"), ("p", "a", "c"))
    first = reward_model(folder)
    first.cache = ScoreCache(path, first.about_scores())
    expected = first.answer_scores(first.prepare(battles))
    second = reward_model(folder)
    second.cache = ScoreCache(path, second.about_scores())
    monkeypatch.setattr(type(second), "_encode", None)
    assert np.array_equal(second.answer_scores(second.prepare(battles)), expected)
    first.cache.close()
    second.cache.close()
