"""What the user sees: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


class _Results(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command line to end quietly when nobody reads on."""
        raise BrokenPipeError


def results() -> Console:
    """The console for results; text is shown as it is, without markup or emoji codes."""
    return _Results(highlight=False, markup=False, emoji=False)


def remarks() -> Console:
    """The console for everything that is not a result."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def error(message: str) -> None:
    """Show one error."""
    line = Text.assemble(("error: ", "bold red"), _visible(message))
    remarks().print(line, soft_wrap=True)


def remark(message: str) -> None:
    """Show a remark that is not a result."""
    remarks().print(Text(_visible(message)), soft_wrap=True)


@contextlib.contextmanager
def saying_how_to_go_on() -> Iterator[None]:
    """Show what an error knows about the work that is kept."""
    try:
        yield
    except BaseException as error:
        for note in getattr(error, "__notes__", []):
            remark(note)
        raise


def say(message: str) -> None:
    """Show one line of results."""
    results().print(Text(_visible(message)), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1, whole: str = "") -> None:
    """Show a table that fits 80 columns; those after the first `text_columns` are numbers, `whole` is never wrapped."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for place, name in enumerate(columns):
        drawn.add_column(
            name,
            justify="left" if place < text_columns else "right",
            overflow="fold",
            no_wrap=bool(whole) and name == whole,
        )
    for row in rows:
        drawn.add_row(*(Text(_visible(cell)) for cell in row))
    results().print(drawn)


def prose(text: str, *, indent: int = 0) -> None:
    """Show text wrapped to the width of the screen; lines after the first are indented."""
    width = max(results().width, indent + 20)
    say(textwrap.fill(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False))


def facts(pairs: Mapping[str, Any]) -> None:
    """Show names and values, a pair a line."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        prose(f"{name:<{width}}  {value}", indent=width + 2)


def cite(judge: Mapping[str, str | None]) -> str:
    """Name a judge and its hash, as every output does."""
    if not judge.get("name"):
        return "unknown: the predictions do not name it"
    return f"{judge['name']} ({(judge.get('hash') or 'no hash')[:12]})"


def _visible(text: str) -> str:
    """Text that a terminal cannot mistake for commands, and that standard output can encode."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
    encoding = sys.stdout.encoding or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)
