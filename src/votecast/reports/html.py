"""A document as one HTML file: offline, without scripts, every text escaped."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from votecast import __version__
from votecast.artifacts import atomic_file
from votecast.reports.charts import draw
from votecast.reports.document import Chart, Document, Example, Heatmap, Item, Table
from votecast.reports.numbers import Shown, shown, shown_rows
from votecast.reports.shades import shades
from votecast.reports.texts import LONGEST, shortened, visible

_TEMPLATES = "templates"
_INTERVALS = 3
"""Intervals in a row of a table that stand beside their numbers."""
_CELL = 200
"""Characters of a name or a cell that are shown."""


def write_page(document: Document, path: Path, *, overwrite: bool = False) -> None:
    """Write a document as one HTML file that needs nothing else: no network, no scripts, no other file.

    Args:
        document: What is on the page.
        path: The file.
        overwrite: Whether an existing file may be replaced.

    Raises:
        ArtifactError: If something is in the way, or the disk refuses.
        MissingExtraError: If the packages of the extra `report` are not installed.
    """
    text = render(document)
    with atomic_file(path, overwrite=overwrite) as part:
        part.write_text(text, "utf-8")


def render(document: Document) -> str:
    """A document as the text of an HTML file; the same document gives the same text.

    Raises:
        MissingExtraError: If the packages of the extra `report` are not installed.

    Example:
        >>> page = render(Document("<Votes>", "", [], [], []))
        >>> "<h1>&lt;Votes&gt;</h1>" in page, "<script" in page
        (True, False)
    """
    style = _read("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = _environment().get_template("page.html")
    text: str = page.render(document=document, style=style, style_hash=digest, version=__version__)
    return text


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"kind": _kind, "wide": _wide, "rows": shown_rows, "shortened": shortened, "brief": _brief}
    environment.globals |= {"draw": draw, "shades": shades, "shown": shown, "LONGEST": LONGEST, "Anchors": _Anchors}
    return environment


def _read(name: str) -> str:
    return (files("votecast.reports") / _TEMPLATES / name).read_text("utf-8")


def _finalize(value: Any) -> Any:
    """What every expression of a template passes through; text that is marked as HTML already stays as it is."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    start, rest = shortened(value)
    return visible(f"{start}\u2026 ({rest})" if rest else value)


def _brief(text: str) -> str:
    return text if len(text) <= _CELL else text[:_CELL] + "\u2026"


def _wide(rows: list[list[Shown]]) -> bool:
    """Whether there is room for intervals only below their numbers."""
    return any(sum(bool(cell.interval) for cell in row) > _INTERVALS for row in rows)


def _kind(item: Item) -> str:
    kinds = {Table: "table", Chart: "chart", Heatmap: "heatmap", Example: "example"}
    return kinds[type(item)]


class _Anchors:
    """Names of places on one page, none of them twice."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def new(self, wanted: str) -> str:
        """A name like the wanted one."""
        self._taken[wanted] = self._taken.get(wanted, 0) + 1
        if self._taken[wanted] == 1:
            return wanted
        return self.new(f"{wanted}-{self._taken[wanted]}")
