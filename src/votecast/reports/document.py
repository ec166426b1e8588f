"""The content of a page: headline metrics, findings, and sections of paragraphs, tables, charts and examples.

Page modules compose a `Document`; `votecast.reports.html` turns it into HTML. Every text is plain text: it is escaped
when it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from votecast.metrics import Figure

Cell = str | int | float | Figure | None
"""A cell of a table: text, a count, a number, a number with its 95 % interval, or nothing."""


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Args:
        columns: Headings.
        rows: One cell for each heading; None is left empty.
        caption: What the table shows, in a sentence.
        percent: Headings whose numbers are shares and are shown in per cent.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    percent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Series:
    """Points of a chart that belong together.

    Args:
        name: Shown in the legend where there are several.
        x: Numbers, or names for dots and bars.
        y: Numbers.
        low: Lower ends of the intervals of y, where there are some.
        high: Upper ends.
        labels: A name for each point, shown beside it.
    """

    name: str
    x: Sequence[float] | Sequence[str]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    labels: Sequence[str] | None = None

    @classmethod
    def of_figures(cls, name: str, names: Sequence[str], figures: Sequence[tuple[float, float, float]]) -> Series:
        """Return named points with their intervals."""
        values, low, high = ([figure[end] for figure in figures] for end in range(3))
        return cls(name, list(names), values, low, high)


@dataclass(frozen=True)
class Chart:
    """A chart.

    Args:
        kind: "bars" and "dots" name the points and draw them from top to bottom (dots with their intervals); "lines"
            and "scatter" have numbers on both axes; "reliability" is lines over the diagonal on which a perfectly
            calibrated judge would lie.
        title: What it shows.
        x_label: What the horizontal axis shows, with its unit.
        y_label: What the vertical axis shows, with its unit.
        series: What is drawn.
        mark: Where a line is drawn across dots and bars, such as 0 for differences.
        log_x: Whether the horizontal axis is logarithmic.
        percent: Whether the drawn numbers are shares and are shown in per cent: of bars and dots the numbers, of lines
            and scatter the vertical axis, of reliability both axes.
    """

    kind: Literal["bars", "dots", "lines", "scatter", "reliability"]
    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    mark: float | None = None
    log_x: bool = False
    percent: bool = False


@dataclass(frozen=True)
class Heatmap:
    """A table of numbers as shades.

    Args:
        title: What it shows.
        rows: Names of the rows.
        columns: Names of the columns.
        values: Shape (rows, columns); None where there is nothing to show.
        percent: Whether the values are shares and are shown in per cent.
        middle: The value without a shade, such as 0.5 for win rates; None shades from the least to the greatest.
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    percent: bool = True
    middle: float | None = None


@dataclass(frozen=True)
class Example:
    """Texts to read, side by side.

    Args:
        title: Why it is shown.
        facts: Names and values, such as the prediction and the vote.
        above: Heading and text over the full width, such as the prompt.
        columns: Headings and texts that stand beside each other, such as the two answers.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    above: tuple[str, str]
    columns: Sequence[tuple[str, str]]


Item = Table | Chart | Heatmap | Example


@dataclass(frozen=True)
class Section:
    """A part of a page, listed in its table of contents.

    Args:
        key: Anchor: lower-case letters, digits and hyphens.
        title: Heading.
        text: Paragraphs above the items.
        items: What is shown, in order.
    """

    key: str
    title: str
    text: Sequence[str] = ()
    items: Sequence[Item] = ()


@dataclass(frozen=True)
class Metric:
    """A headline metric.

    Args:
        name: What it measures.
        value: Count, number, or number with its interval.
        note: What it compares with, such as "class prior 1.112".
        percent: Whether it is a share and is shown in per cent.
    """

    name: str
    value: int | float | Figure
    note: str = ""
    percent: bool = False


@dataclass(frozen=True)
class Remark:
    """A finding of the summary.

    Args:
        level: "good", "note", or "warning" for what a reader must not overlook.
        text: One or two sentences.
    """

    level: Literal["good", "note", "warning"]
    text: str


@dataclass(frozen=True)
class Document:
    """A whole page.

    Args:
        title: Heading and window title.
        subtitle: One line below it.
        summary: Findings, most important first.
        facts: Names and values: judge, hash, file, rows, versions.
        sections: The parts.
        metrics: Headline metrics, shown first.
    """

    title: str
    subtitle: str
    summary: Sequence[Remark]
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    metrics: Sequence[Metric] = ()
