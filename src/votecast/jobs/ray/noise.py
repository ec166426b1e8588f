"""Ray talks on standard error from Python and from C++; what a user should know of it comes as an error instead."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator

from ray.data import DataContext

_SETTINGS = ("enable_progress_bars", "print_on_execution_start", "wait_for_min_actors_s", "target_max_block_size")
"""What a run sets for the whole process."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No bars, no plans, no warnings of Ray for as long as the block lasts; its settings are those of before again."""
    context = DataContext.get_current()
    settings = {name: getattr(context, name) for name in _SETTINGS}
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    before = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        with _quiet_below(), _quiet_beside(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"ray(\.|$)")
            yield
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)
        for name, value in settings.items():
            setattr(context, name, value)


@contextlib.contextmanager
def _quiet_below() -> Iterator[None]:
    """Send what is not written through Python's `sys.stderr` nowhere."""
    ours = sys.stderr
    try:
        is_real = ours.fileno() == 2
    except (AttributeError, OSError, io.UnsupportedOperation):
        is_real = False
    if not is_real:  # somebody else, such as a test, has taken standard error for itself
        yield
        return
    ours.flush()
    kept = os.dup(2)
    # It is never closed: a progress bar that began in the block may hand it on behind it.
    sys.stderr = os.fdopen(os.dup(kept), "w", buffering=1, encoding=ours.encoding, errors=ours.errors)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        sys.stderr = ours
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _quiet_beside() -> Iterator[None]:
    """Keep what Ray says of dead workers and nodes off standard output, where results may be on their way."""
    from ray._private import worker

    said = getattr(worker, "print_to_stdstream", None)
    if said is not None:
        worker.print_to_stdstream = _unheard
    try:
        yield
    finally:
        if said is not None:
            worker.print_to_stdstream = said


def _unheard(*_: object, **__: object) -> None:
    """What Ray says of itself."""
