"""Test votecast predict --engine ray in a process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray")

from .conftest import bytes_of, write_votes

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write two files of one part each."""
    for name, rows in (("a", 1000), ("b", 5)):
        write_votes(tmp_path / "pairs" / f"{name}.jsonl", rows)
    return tmp_path


def command(folder: Path, *words: str) -> subprocess.Popen[str]:
    whole = [sys.executable, "-m", "votecast", "predict", "--input", "pairs/*.jsonl", "--part-rows", "1024", *words]
    return subprocess.Popen(
        whole, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def raylets(folder: Path) -> list[str]:
    """Return the raylets started from a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").resolve() == folder.resolve():
                found.append((process / "cmdline").read_bytes().split(b"\0")[0].decode())
        except OSError:
            continue
    return [name for name in found if Path(name).name == "raylet"]


def test_stopped_and_resumed_it_gives_the_bytes_of_one_process(folder: Path) -> None:
    write_votes(folder / "pairs" / "a.jsonl", 16 * 1024)  # leaves much to do when the first part is written
    out, deadline = folder / "out", time.monotonic() + 180
    child = command(folder, "--out", "out/", "--engine", "ray", "--num-actors", "1")
    while not list(out.glob(".manifest.json.work/part-*")):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline, "the command wrote no part"
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    _, complaints = child.communicate(timeout=120)
    assert child.returncode == 143, complaints
    assert "run the same command with --resume to continue it" in complaints
    assert "Traceback" not in complaints
    assert not (out / "manifest.json").exists()
    assert raylets(folder) == []
    child = command(folder, "--out", "out/", "--engine", "ray", "--resume", "--json", "-")
    output, complaints = child.communicate(timeout=300)
    assert child.returncode == 0, complaints
    assert "rows were predicted by an earlier run" in complaints
    assert "core_worker" not in complaints
    assert '"rows": 16389' in output
    near = command(folder, "--out", "near")
    assert near.communicate(timeout=300)
    assert bytes_of(out) == bytes_of(folder / "near")


def test_a_cluster_that_does_not_answer_is_one_line(folder: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        child = command(folder, "--out", "out/", "--engine", "ray", "--address", address)  # bound, and not listening
        _, complaints = child.communicate(timeout=120)
    assert child.returncode == 1
    assert "error: no Ray cluster answers at" in complaints
    assert address.rpartition(":")[2] in complaints
    assert len(complaints.splitlines()) == 1
    assert not (folder / "out").exists()
