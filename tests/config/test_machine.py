from __future__ import annotations

import subprocess
import sys

import pytest

from votecast.config import machine


def test_memory_is_kept_where_the_c_library_can() -> None:
    code = "from votecast.config import machine; print(machine.keep_memory())"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() in ("True", "False")


def test_threads_set_by_the_user_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    assert machine.set_threads() == before


def test_processes_share_the_cores() -> None:
    assert machine.usable_cores() >= 1
