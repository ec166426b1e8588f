"""Test that Ctrl-C and SIGTERM leave no partial output."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROWS = 12_000


def rows() -> Iterator[bytes]:
    yield b"id,prompt,response_a,response_b,winner\n"
    for number in range(ROWS):
        yield b"%d,why %d,%s,no,a\n" % (number, number, b"because " * 100)


def stop_while_writing(words: list[str], folder: Path, number: signal.Signals, begun: str = ".out*") -> tuple[int, str]:
    """Send a signal to a command that is waiting for input."""
    child = subprocess.Popen(
        [sys.executable, "-m", "votecast", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=folder,
    )
    assert child.stdin is not None
    assert child.stderr is not None
    try:
        child.stdin.writelines(rows())
        child.stdin.flush()
        deadline = time.monotonic() + 60
        while not list(folder.glob(begun)):
            assert child.poll() is None, child.stderr.read().decode()
            assert time.monotonic() < deadline, "the command began no output"
            time.sleep(0.02)
        child.send_signal(number)
        code = child.wait(60)
        return code, child.stderr.read().decode()
    finally:
        child.kill()
        child.stdin.close()
        child.stderr.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_convert(tmp_path: Path, number: signal.Signals, code: int) -> None:
    found, complaints = stop_while_writing(["convert", "-", "out.parquet"], tmp_path, number)
    assert found == code
    assert "Traceback" not in complaints
    assert list(tmp_path.iterdir()) == []


def test_predict(arena: Path, tmp_path: Path) -> None:
    words = ["predict", "--judge", str(arena / "judge"), "--input", "-", "--out", "out.csv"]
    code, complaints = stop_while_writing(words, tmp_path, signal.SIGINT, begun=".out.csv.work/[0-9]*.shard")
    assert code == 130
    assert "interrupted" in complaints
    assert "run the same command with --resume to continue it" in complaints
    assert "Traceback" not in complaints
    assert [path.name for path in tmp_path.iterdir()] == [".out.csv.work"]
