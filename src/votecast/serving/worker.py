"""A worker process: loads judges, reports their facts, and scores one batch after the other.

The front starts it as `python -m votecast.serving.worker FD` with one end of a socket; it ends as soon as the front is
gone.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import queue
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from votecast.errors import VotecastError
from votecast.serving.worker_messages import frame, pack, read_message

if TYPE_CHECKING:
    from votecast.serving.judge_runner import JudgeRunner


def main() -> None:
    """Serve the front until it is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # the front decides when to end
        signal.signal(number, signal.SIG_IGN)
    front = _Front(socket.socket(fileno=int(sys.argv[1])))
    logging.basicConfig(level=logging.WARNING, handlers=[_FrontHandler(front)])
    while "modules" in (order := front.receive()):
        _import_modules(order["modules"])
    judges = load_judges(order, front.send)
    # modules and judges stay: the garbage collector need not visit them
    gc.freeze()
    while True:
        batch = front.receive()
        front.send({"rows": judges[batch["judge"]].score(batch["rows"])})


class _Front:
    """The socket to the front; its thread ends the process with the front."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._lock = end, threading.Lock()
        self._received: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def receive(self) -> dict[str, Any]:
        """Return the next message."""
        return self._received.get()

    def send(self, message: object) -> None:
        """Send a message."""
        try:
            with self._lock:  # libraries log from threads of their own
                self._end.sendall(frame(pack(message)))
        except OSError:
            os._exit(0)

    def _read(self) -> None:
        with self._end.makefile("rb") as stream:
            while (message := read_message(stream)) is not None:
                self._received.put(message)
        os._exit(0)  # also in the middle of a batch


class _FrontHandler(logging.Handler):
    """Sends log records to the front."""

    def __init__(self, front: _Front) -> None:
        super().__init__()
        self._front = front

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        self._front.send({"log": record.getMessage(), "level": record.levelno})


def _import_modules(names: Iterable[str]) -> None:
    """Import what another worker has imported, which takes longer than to load most judges."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable()
        for name in names:
            with suppress(Exception):  # the code that needs it raises again
                importlib.import_module(name)
        logging.disable(logging.NOTSET)


def load_judges(order: dict[str, Any], send: Callable[[object], None]) -> dict[str, JudgeRunner]:
    """Load judges, and send their facts or why they cannot be loaded."""
    from votecast.serving.judge_runner import JudgeRunner

    judges: dict[str, JudgeRunner] = {}
    report: dict[str, object] = {}
    for name, place in order["judges"].items():
        try:
            judge = JudgeRunner.load(name, place, precision=order["precision"])
            report[name] = judge.facts().to_dict()
            judges[name] = judge
        except Exception as error:  # noqa: BLE001 - the front reports it in one line
            reason = str(error) if isinstance(error, VotecastError) else f"{place}: {type(error).__name__}: {error}"
            report[name] = {"failed": " ".join(reason.split())}
    send({"judges": report, "modules": list(sys.modules)})
    return judges


if __name__ == "__main__":
    main()
