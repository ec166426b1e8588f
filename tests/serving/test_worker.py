"""Test a worker over its socket."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from votecast.serving.judge_runner import JudgeRunner
from votecast.serving.worker import load_judges
from votecast.serving.worker_messages import frame, pack, read_message

BATTLE = {"prompt": ["Why?"], "response_a": ["Because."], "response_b": ["Gravity pulls."]}


class Line:
    """A started worker and the socket to it."""

    def __init__(self) -> None:
        self.end, theirs = socket.socketpair()
        self._stream = self.end.makefile("rb")
        words = [sys.executable, "-P", "-m", "votecast.serving.worker", str(theirs.fileno())]
        self.process = subprocess.Popen(words, pass_fds=[theirs.fileno()])
        theirs.close()

    def send(self, body: bytes) -> None:
        self.end.sendall(frame(body))

    def close(self) -> None:
        self._stream.close()
        self.end.close()

    def receive(self) -> Any:
        return read_message(self._stream)


@pytest.fixture
def line() -> Iterator[Line]:
    started = Line()
    yield started
    started.close()
    started.process.kill()
    started.process.wait()


def test_a_worker_reports_judges_answers_batches_and_ends_with_its_server(line: Line, tmp_path: Path) -> None:
    line.send(pack({"modules": ["json", "no_such_module"]}))
    line.send(pack({"judges": {"good": "bundled:baseline", "bad": str(tmp_path)}, "precision": None}))
    listed = line.receive()["judges"]
    assert listed["good"]["family"] == "baseline" and str(tmp_path) in listed["bad"]["failed"]
    asked = [{"battle": BATTLE}, {"battle": BATTLE, "order": "given", "explain": True}]
    line.send(pack({"judge": "good", "rows": asked}))
    line.send(pack({"judge": "good", "rows": asked[:1]}))
    first, second = line.receive()["rows"], line.receive()["rows"]
    assert first[0] == second[0] and first[0]["probabilities"] == first[1]["probabilities"] and "orders" in first[1]
    line.close()
    assert line.process.wait(60) == 0


def test_a_loading_worker_ends_with_the_server(line: Line) -> None:
    line.send(pack({"judges": {"it": "bundled:baseline"}, "precision": None}))
    line.close()
    assert line.process.wait(60) == 0


def test_why_a_judge_cannot_be_loaded_is_one_line_whatever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise RuntimeError("Error(s) in loading:\n\tsize mismatch\n\tmissing keys")

    monkeypatch.setattr(JudgeRunner, "load", load)
    sent: list[Any] = []
    assert load_judges({"judges": {"it": "folder"}, "precision": None}, sent.append) == {}
    line = "folder: RuntimeError: Error(s) in loading: size mismatch missing keys"
    assert sent[0]["judges"] == {"it": {"failed": line}}
