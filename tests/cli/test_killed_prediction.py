"""Test that killed predictions resume to the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROWS = 2500


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    """Return three shards of short battles."""
    path = tmp_path / "votes.jsonl"
    lines = ({"prompt": f"why {n}", "response_a": "so " * (n % 9), "response_b": "no"} for n in range(ROWS))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def kill_when(words: list[str], work: Path, shards: int) -> None:
    """Run the command and kill it after a number of shards."""
    child = subprocess.Popen([sys.executable, "-m", "votecast", *words], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    assert child.stderr is not None
    try:
        while len(list(work.glob("[0-9]*.shard"))) < shards:
            assert child.poll() is None, child.stderr.read()
            assert time.monotonic() < deadline, "the command wrote no shards"
            time.sleep(0.005)
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


def test_a_killed_run_resumes_to_the_same_bytes(votecast: Callable, arena: Path, votes: Path, tmp_path: Path) -> None:
    words = ["predict", "--judge", str(arena / "judge"), "--input", str(votes), "--out"]
    quiet, out = tmp_path / "quiet", tmp_path / "killed"
    assert votecast(*words, quiet / "p.csv").code == 0
    out.mkdir()
    kill_when([*words, str(out / "p.csv")], out / ".p.csv.work", 1)
    ran = votecast(*words, out / "p.csv")
    assert ran.code == 1
    assert "pass --resume to continue it, or --overwrite to start over" in ran.err
    ran = votecast(*words, out / "p.csv", "--resume", "--json", "-")
    assert ran.code == 0, ran.err
    assert "rows were predicted by an earlier run" in ran.err
    assert "reused" not in json.loads(ran.out)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {p.name: p.read_bytes() for p in quiet.iterdir()}
