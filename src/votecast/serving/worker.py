"""A worker: loads the judges it is told, says what they are, and answers one batch after the other.

Started by the front as `python -m votecast.serving.worker FD`, with one end of a socket. It ends itself as soon as the
front is gone.
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
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from votecast.errors import VotecastError
from votecast.serving.frames import pack, receive, send, unpack


def main() -> None:
    """Work until the front is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # when to end is the front's to say
    line = _Line(socket.socket(fileno=int(sys.argv[1])))
    logging.basicConfig(level=logging.WARNING, handlers=[_ToFront(line.say)])
    while "modules" in (order := line.heard()):
        _import(order["modules"])
    judges = _load(order, line.say)
    gc.freeze()  # modules and judges stay; the collector need not walk through them again and again
    while True:
        asked = line.heard()
        line.say({"rows": judges[asked["judge"]].answers(asked["rows"])})


class _Line:
    """The socket to the front; a thread reads ahead, and ends the process when there is no more to come."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._lock = end, threading.Lock()
        self._heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def heard(self) -> Any:
        """The next message of the front."""
        return self._heard.get()

    def say(self, message: Any) -> None:
        """Tell the front something."""
        try:
            with self._lock:
                send(self._end, pack(message))
        except OSError:
            os._exit(0)

    def _listen(self) -> None:
        while (body := receive(self._end)) is not None:
            self._heard.put(unpack(body))
        os._exit(0)


class _ToFront(logging.Handler):
    """Lets the front log what is logged here."""

    def __init__(self, say: Callable[[Any], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record on."""
        self._say({"log": record.getMessage(), "level": record.levelno})


def _import(names: list[str]) -> None:
    """Import what another worker had to import, which takes longer than to load most judges."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable()
        for name in names:
            with suppress(Exception):  # whoever needs it will say what is wrong with it
                importlib.import_module(name)
        logging.disable(logging.NOTSET)


def _load(order: dict[str, Any], say: Callable[[Any], None]) -> dict[str, Any]:
    """Load the judges, and say of each what it is or why it cannot be had."""
    from votecast.serving.scoring import ServedJudge

    judges: dict[str, ServedJudge] = {}
    told: dict[str, Any] = {}
    for name, place in order["judges"].items():
        try:
            judge = ServedJudge.load(name, place, precision=order["precision"])
            facts = judge.facts()
        except VotecastError as error:
            told[name] = {"failed": _line(str(error))}
        except Exception as error:  # noqa: BLE001 - the front says it in one line
            told[name] = {"failed": _line(f"{place}: {type(error).__name__}: {error}")}
        else:
            judges[name], told[name] = judge, facts.to_dict()
    say({"judges": told, "modules": list(sys.modules)})
    return judges


def _line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    main()
