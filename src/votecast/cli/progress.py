"""Progress bars on a terminal, after two seconds; a line a minute where the output is a file or a pipe."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from votecast.cli.screen import remark, remarks

PAIRS = "pairs"
DELAY = 2.0
"""Seconds before a bar appears: what is quicker needs none."""


MINUTE = 60.0
"""Seconds between two lines of work that nobody sees a bar of."""


class RateColumn(ProgressColumn):
    """Steps, rows or pairs a second."""

    def render(self, task: Task) -> Text:
        """The rate as text; empty until there is one."""
        what = " pairs" if task.description == PAIRS else ""
        return Text(f"{task.speed:,.1f}{what}/s" if task.speed else "", style="dim")


class Bars:
    """Bars for the work inside a `with` block.

    Example:
        >>> with Bars() as bars:
        ...     bars.rows(10)
    """

    def __init__(self) -> None:
        console = remarks()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            RateColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._timer = threading.Timer(DELAY, self._progress.start)
        self._timer.daemon = True
        self._lines = threading.Thread(target=self._tell, daemon=True)
        self._done = threading.Event()
        self._now = ""
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._timer.start()
        if self._progress.disable:
            self._lines.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        self._done.set()
        self._progress.stop()

    def steps(self, doing: str, done: int, steps: int) -> None:
        """Told by long work what it does, how many steps are done, and how many there are."""
        self._update(doing, done, steps if steps > 1 else None, f"{done}/{steps}" if steps > 1 else "")

    def rows(self, done: int, total: int | None = None) -> None:
        """Told by work on a file how many rows are done, and about how many there are if that is known."""
        self._count("rows", done, total)

    def pairs(self, done: int, total: int | None = None) -> None:
        """Told by a judge at work how many pairs are forecast; the rate is that of this run, not of an earlier one."""
        self._count(PAIRS, done, total)

    def _count(self, name: str, done: int, total: int | None) -> None:
        total = max(done, total) if total else None
        self._update(name, done, total, f"{done:,}/{total:,}" if total else f"{done:,}")

    def _tell(self) -> None:
        """Say every minute how far the work is."""
        while not self._done.wait(MINUTE):
            if self._now:
                remark(self._now)

    def _update(self, name: str, done: int, total: int | None, count: str) -> None:
        if name not in self._tasks:
            for earlier in self._tasks.values():
                self._progress.update(earlier, visible=False)
            self._tasks[name] = self._progress.add_task(name, total=total, count=count)
        self._progress.update(self._tasks[name], completed=done, total=total, count=count)
        self._now = f"{name} {count}".strip()
