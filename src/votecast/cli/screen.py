"""What the user sees: results on standard output, notes, errors and progress on standard error.

Used by every verb.
"""

from __future__ import annotations

import functools
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from votecast.types import Judge

DELAY = 2.0
"""Seconds before a bar appears."""

MINUTE = 60.0
"""Seconds without a note after which there is a line of progress, where there is no terminal."""

_notes = {"last": 0.0}  # time of the last note


class _Results(Console):
    def on_broken_pipe(self) -> None:
        """Raise, so that the command line ends quietly on a closed pipe."""
        raise BrokenPipeError


# text is shown as it is, without markup or emoji codes
_results_console = functools.partial(_Results, highlight=False, markup=False, emoji=False)
notes_console = functools.partial(Console, stderr=True, highlight=False, markup=False, emoji=False)


def print_line(message: str = "") -> None:
    """Print one line of results."""
    _results_console().print(Text(_make_safe(message)), soft_wrap=True)


def print_note(message: str) -> None:
    """Print a note that is not a result."""
    _notes["last"] = time.monotonic()
    notes_console().print(Text(_make_safe(message)), soft_wrap=True)


def print_error(message: str) -> None:
    """Print one error."""
    notes_console().print(Text.assemble(("error: ", "bold red"), _make_safe(message)), soft_wrap=True)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1, whole: str = ""
) -> None:
    """Print a table that fits 80 columns: first columns of text, then of numbers; `whole` is never wrapped."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for place, name in enumerate(columns):
        drawn.add_column(
            name,
            justify="left" if place < text_columns else "right",
            overflow="fold",
            no_wrap=bool(whole) and name == whole,
        )
    for row in rows:
        drawn.add_row(*(Text(_make_safe(cell)) for cell in row))
    _results_console().print(drawn)


def print_prose(text: str, *, indent: int = 0) -> None:
    """Print text wrapped to the width of the screen; lines after the first are indented."""
    width = max(_results_console().width, indent + 20)
    wrapped = textwrap.fill(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    print_line(wrapped)


def print_facts(pairs: Mapping[str, object]) -> None:
    """Print names and values, a pair a line."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        print_prose(f"{name:<{width}}  {value}", indent=width + 2)


def judge_text(judge: Judge | Mapping[str, str]) -> str:
    """Name a judge and its hash, as every output does."""
    name, digest = (judge.get("name"), judge.get("hash")) if isinstance(judge, Mapping) else (judge.name, judge.hash)
    return f"{name} ({(digest or 'no hash')[:12]})" if name else "unknown: the predictions do not name it"


def number_text(figure: Mapping[str, float | None] | None) -> str:
    """Format the value of a figure of the JSON; "" where it is not defined.

    Example:
        >>> number_text({"value": 0.51234}), number_text({"value": None}), number_text(None)
        ('0.5123', '', '')
    """
    value = figure["value"] if figure else None
    return "" if value is None else f"{value:.4f}"


def interval_text(figure: Mapping[str, float | None], sign: str = "") -> str:
    """Format the interval of a figure of the JSON; "" where it is not defined.

    Example:
        >>> interval_text({"low": -0.5, "high": 0.25}, "+")
        '-0.5000 to +0.2500'
    """
    low, high = figure["low"], figure["high"]
    return "" if low is None or high is None else f"{low:{sign}.4f} to {high:{sign}.4f}"


def gain_text(gain: Mapping[str, float | None]) -> str:
    """Format a difference with its interval.

    Example:
        >>> gain_text({"value": 0.1, "low": 0.05, "high": None})
        '+0.1000 (+0.0500 to ?)'
    """
    value, low, high = ("?" if gain[end] is None else f"{gain[end]:+.4f}" for end in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _make_safe(text: str) -> str:
    """Escape what a terminal could take for commands, and what standard output cannot encode."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
    encoding = sys.stdout.encoding or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


class Bars:
    """Progress of the work inside a `with` block, and the notes of its error.

    A terminal gets bars after two seconds, a file or pipe a line where there was no note for a minute. Where the work
    fails, the notes of the error (such as how to resume) are printed.

    Example:
        >>> with Bars() as bars:
        ...     bars.rows(10)
    """

    def __init__(self) -> None:
        console = notes_console()
        self._progress: Progress | None = _new_progress(console) if console.is_terminal else None
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._done = threading.Event()
        self._now = self._name = ""
        self._began = (0.0, 0)  # when the current step began, and with how much done
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._done.set()
        self._watcher.join()  # it may be starting the bars right now
        if self._progress is not None:
            self._progress.stop()
        for note in getattr(error, "__notes__", ()):
            print_note(note)

    def steps(self, doing: str, done: int, steps: int) -> None:
        """Show the current step, how many are done, and how many there are."""
        self._update(doing, done, steps if steps > 1 else None)

    def rows(self, done: int, total: int | None = None) -> None:
        """Show how many rows are done, and about which share of all if that is known."""
        self._update("rows", done, total, is_estimate=True)

    def pairs(self, done: int, total: int | None = None) -> None:
        """Show how many pairs are predicted; the rate is that of this run, without rows of an earlier one."""
        self._update("pairs", done, total, is_estimate=True)

    def _watch(self) -> None:
        """Start the bars if the work takes longer than the delay; without a terminal, print lines."""
        if self._progress is not None:
            if not self._done.wait(DELAY):
                self._progress.start()
            return
        while not self._done.wait(MINUTE):
            if self._now and time.monotonic() - _notes["last"] >= MINUTE:
                print_note(self._now)

    def _update(self, name: str, done: int, total: int | None, *, is_estimate: bool = False) -> None:
        total = max(done, total) if total else None
        count = f"{done:,}/{total:,}" if total else f"{done:,}" if done else ""
        if (
            total and is_estimate
        ):  # the number of rows in a file is estimated anew as it is read: show no changing total
            count = f"{done:,} ({done / total:.0%})"
        if name != self._name:
            self._name, self._began = name, (time.monotonic(), done)
        began, first = self._began
        left = (time.monotonic() - began) * (total - done) / (done - first) if total and done > first else 0.0
        self._now = f"{name} {count}".strip() + (f", {timedelta(seconds=round(left))} left" if left >= 1 else "")
        if self._progress is not None:
            if name not in self._tasks:  # a step that comes again, as in the next fold, begins with its own time
                for earlier in [*self._tasks]:
                    self._progress.remove_task(self._tasks.pop(earlier))
                self._tasks[name] = self._progress.add_task(name, total=total, count=count)
            self._progress.update(self._tasks[name], completed=done, total=total, count=count)


def _new_progress(console: Console) -> Progress:
    from rich import progress

    class RateColumn(progress.ProgressColumn):
        """Steps, rows or pairs a second; empty until there are some."""

        def render(self, task: progress.Task) -> Text:
            """Return the rate."""
            what = " pairs" if task.description == "pairs" else ""
            return Text(f"{task.speed:,.1f}{what}/s" if task.speed else "", style="dim")

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[count]}"),
        RateColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
    )
