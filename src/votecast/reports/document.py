"""The content of a page: headline metrics, findings and facts, and the template of its sections with its values.

Page modules make a `Document`; `votecast.reports.html` turns it into HTML. Every text is plain: templates escape it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import jinja2

from votecast.metrics import Figure

Cell = str | int | float | Figure | None
"""A cell of a table: text, a count, a number, a number with its 95 % interval, or nothing."""

Level = Literal["good", "note", "warning"]
"""What a finding is: "warning" for what a reader must not overlook."""


@dataclass(frozen=True)
class Series:
    """Points of a chart that belong together, named in its legend where there are several."""

    name: str
    # numbers, or names for dots and bars
    x: Sequence[float] | Sequence[str]
    y: Sequence[float]
    # ends of the intervals of y, where there are some
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    # a name for each point, shown beside it
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
        kind: "bars" and "dots" (with intervals) name the points from top to bottom; "lines" and "scatter" have numbers
            on both axes; "reliability" is lines over the diagonal of a perfectly calibrated judge.
        title: What it shows.
        x_label: What the horizontal axis shows, with its unit.
        y_label: What the vertical axis shows, with its unit.
        series: What is drawn.
        mark: Where a line is drawn across dots and bars, such as 0 for differences.
        log_x: Whether the horizontal axis is logarithmic.
        percent: Whether the drawn numbers are shares, shown in per cent: of bars and dots the numbers, of lines and
            scatter the vertical axis, of reliability both axes.
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
class Metric:
    """A headline metric, with a note on what it compares with, such as "class prior 1.112"."""

    name: str
    value: int | float | Figure
    note: str = ""
    percent: bool = False


@dataclass(frozen=True)
class Remark:
    """A finding of the summary, in one or two sentences."""

    level: Level
    text: str


@dataclass(frozen=True)
class Document:
    """A whole page.

    Args:
        title: Heading and window title.
        subtitle: One line below it.
        metrics: Headline metrics, shown first.
        summary: Findings, most important first.
        facts: Names and values: judge, hash, file, rows, versions.
        template: The sections: a file in `templates`, or a template made by `make_environment`.
        values: What the template shows.
    """

    title: str
    subtitle: str
    metrics: Sequence[Metric]
    summary: Sequence[Remark]
    facts: Sequence[tuple[str, str]]
    template: str | jinja2.Template
    values: Mapping[str, object] = field(default_factory=dict)
