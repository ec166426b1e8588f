"""Ctrl-C and SIGTERM get through, even if they come while Ray lets go of an object."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SECONDS = 1.0


@contextlib.contextmanager
def insistent() -> Iterator[None]:
    """Repeat these signals every second until the block is left.

    What a handler raises is lost if Python is just running a destructor, and Ray has many of them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    timers: list[threading.Timer] = []

    def hear(number: int, frame: FrameType | None) -> None:
        timer = threading.Timer(_SECONDS, os.kill, (os.getpid(), number))
        timer.daemon = True
        timers.append(timer)
        timer.start()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, hear)
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
