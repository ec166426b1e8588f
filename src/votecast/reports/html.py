"""A document as one HTML file: offline, without scripts, every text escaped.

Called by the verbs report, rank and cascade with the document of a page.
"""

from __future__ import annotations

import base64
import hashlib
import math
from functools import cache
from importlib.resources import files
from pathlib import Path

import jinja2

from votecast import __version__
from votecast.artifacts import atomic_file
from votecast.reports.charts.row_chart import draw_row_chart
from votecast.reports.charts.shapes import Picture
from votecast.reports.charts.xy_chart import draw_xy_chart
from votecast.reports.document import Chart, Document, Series
from votecast.reports.page_format import (
    brief,
    make_visible,
    shade_cells,
    shorten,
    show_cell,
    show_metric,
    show_rows,
)

_LONGEST_NAME = 200
"""Characters of a name or a cell that are shown."""


def write_page(document: Document, path: Path, *, overwrite: bool = False) -> None:
    """Write a document as one HTML file without scripts or external resources.

    Raises:
        ArtifactError: If something is in the way, or the disk refuses.
    """
    text = render(document)
    with atomic_file(path, overwrite=overwrite) as part:
        part.write_text(text, "utf-8")


def render(document: Document) -> str:
    """Render a document as the text of an HTML file; the same document gives the same text.

    Example:
        >>> page = render(Document("<Votes>", "", [], [], [], make_environment().from_string("")))
        >>> "<h1>&lt;Votes&gt;</h1>" in page, "<script" in page
        (True, False)
    """
    environment, anchors = make_environment(), _Anchors()
    anchors.new("content")
    if document.summary:
        anchors.new("summary")
    contents: list[tuple[str, str]] = []  # anchors and titles, filled by the macro `section`
    sections = environment.get_template(document.template).render(document.values, anchors=anchors, contents=contents)
    style = _read_template("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        document=document,
        sections=sections,
        contents=contents,
        style=style,
        style_hash=digest,
        version=__version__,
    )


@cache
def make_environment() -> jinja2.Environment:
    """Make the environment of all templates: what they print is escaped, shortened and cleaned.

    Example:
        >>> make_environment().from_string("{{ x|spec('.1%') }} {{ y }}").render(x=0.5, y="<b>")
        '50.0% &lt;b&gt;'
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read_template),
        autoescape=True,
        extensions=["jinja2.ext.do"],
        undefined=jinja2.StrictUndefined,
        finalize=_make_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "brief": lambda text: brief(text, _LONGEST_NAME),
        "is_known": math.isfinite,
        "shorten": shorten,
        "spec": format,
    }
    environment.globals |= {
        "Chart": Chart,
        "Series": Series,
        "draw": draw_chart,
        "shades": shade_cells,
        "show_cell": show_cell,
        "show_metric": show_metric,
        "show_rows": show_rows,
    }
    return environment


def draw_chart(chart: Chart) -> list[Picture]:
    """Draw a chart as one picture, or as several where it has very many rows."""
    return draw_row_chart(chart) if chart.kind in ("bars", "dots") else [draw_xy_chart(chart)]


def _read_template(name: str) -> str:
    return (files("votecast.reports") / "templates" / name).read_text("utf-8")


def _make_harmless(value: object) -> object:
    """Shorten and clean every expression of a template; text that is marked as HTML already stays as it is."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    start, rest = shorten(value)
    return make_visible(f"{start}\u2026 ({rest})" if rest else value)


class _Anchors:
    """Names of places on one page, none of them twice."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def new(self, wanted: str) -> str:
        """Return the wanted name, with a number if it is taken."""
        self._taken[wanted] = self._taken.get(wanted, 0) + 1
        if self._taken[wanted] == 1:
            return wanted
        return self.new(f"{wanted}-{self._taken[wanted]}")
