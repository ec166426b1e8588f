"""Bars and dots: named points from top to bottom.

Called by `votecast.reports.charts.draw_chart`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from votecast.metrics import Figure
from votecast.reports.charts.scales import Scale, linear_scale, log_scale
from votecast.reports.charts.shapes import (
    FONT,
    SERIES,
    Picture,
    SvgShape,
    draw_legend,
    draw_ticks,
    fit_text,
    line,
    marker,
    rect,
    text,
    text_width,
)
from votecast.reports.document import Chart
from votecast.reports.page_format import show_cell

WIDTH = 460.0
_NAMES_AT_MOST = 0.47
_GAP, _EDGE, _ROW, _THIN = 8.0, 14.0, 21.0, 11.0
_DESCRIBED = 80
"""Characters of a name in the description."""
_ROWS_AT_ONCE = 40
"""Longer charts become several pictures, so that each fits on a printed page."""


@dataclass(frozen=True)
class _Point:
    series: int
    value: float
    low: float
    high: float
    label: str


def draw_row_chart(chart: Chart) -> list[Picture]:
    """Draw bars or dots with their intervals, one row for each name."""
    rows: dict[str, list[_Point]] = {}
    for number, series in enumerate(chart.series):
        missing = [math.nan] * len(series.y)
        labels = series.labels or [""] * len(series.y)
        ends = zip(series.low or missing, series.high or missing, strict=True)
        for name, value, (low, high), label in zip(series.x, series.y, ends, labels, strict=True):
            rows.setdefault(str(name), []).append(_Point(number, float(value), float(low), float(high), label))
    values = [value for row in rows.values() for point in row for value in (point.value, point.low, point.high)]
    values += [] if chart.mark is None else [chart.mark]
    if chart.kind == "bars" and not chart.log_x:
        values.append(0.0 if chart.mark is None else chart.mark)
    widest = max(map(text_width, rows), default=0.0)
    left = min(widest, WIDTH * _NAMES_AT_MOST) + _GAP
    entries = list(rows.items())
    starts = range(0, max(len(entries), 1), _ROWS_AT_ONCE)
    return [_RowPicture(chart, entries[start : start + _ROWS_AT_ONCE], values, left).draw() for start in starts]


class _RowPicture:
    """The rows of one picture."""

    def __init__(
        self, chart: Chart, rows: Sequence[tuple[str, Sequence[_Point]]], values: Sequence[float], left: float
    ) -> None:
        self.chart, self.rows = chart, rows
        room = _EDGE
        if chart.kind == "bars":  # the values stand behind the bars
            words = (self._words(point) for _, row in rows for point in row)
            room = max(max(map(text_width, words), default=0.0) + _GAP, _EDGE)
        stop = WIDTH - room
        self.scale: Scale = (
            log_scale(values, left, stop)
            if chart.log_x
            else linear_scale(values, left, stop, ticks=4, percent=chart.percent)
        )
        several = len(chart.series) > 1
        self.step = _THIN if several else 0.0
        self.row_height = _ROW if not several else len(chart.series) * _THIN + 8
        self.bottom = len(rows) * self.row_height + 4

    def draw(self) -> Picture:
        """Draw the rows between their axis and its names."""
        chart, scale = self.chart, self.scale
        shapes = draw_ticks(scale, 2, self.bottom, self.bottom + 14, WIDTH)
        if chart.mark is not None:
            shapes.append(line(scale(chart.mark), 2, scale(chart.mark), self.bottom, "zero"))
        if chart.x_label:
            words = fit_text(chart.x_label, WIDTH)
            half = text_width(words) / 2
            middle = min(max((scale.start + scale.stop) / 2, half), WIDTH - half)
            shapes.append(text(middle, self.bottom + 31, words, "soft", anchor="middle"))
        for place, (name, row) in enumerate(self.rows):
            middle = 4 + (place + 0.5) * self.row_height
            drawn = fit_text(name, scale.start - _GAP)
            shape = text(scale.start - _GAP, middle + FONT * 0.35, drawn, anchor="end")
            shapes.append(SvgShape(shape.tag, shape.attributes, shape.text, "" if drawn == name else name))
            for point in row:
                y = middle + (point.series - (len(chart.series) - 1) / 2) * self.step
                shapes += self._draw_point(name, point, y)
        height = self.bottom + (36 if chart.x_label else 20)
        legend = draw_legend(chart.kind, [series.name for series in chart.series])
        return Picture(WIDTH, height, shapes, self._describe(), legend)

    def _draw_point(self, name: str, point: _Point, y: float) -> list[SvgShape]:
        if not math.isfinite(point.value):
            return []
        words, x = self._words(point), self.scale(point.value)
        hint, interval = f"{name}: {words}", []
        if math.isfinite(point.low) and math.isfinite(point.high):
            kind = "span over" if self.chart.kind == "bars" else f"span s{point.series % SERIES}"
            interval = [line(self.scale(point.low), y, self.scale(point.high), y, kind)]
        if self.chart.kind != "bars":
            return [*interval, marker(x, y, point.series, hint)]
        origin = self.scale.start if self.chart.log_x else self.scale(self.chart.mark or 0.0)
        thick = _THIN - 2 if self.step else _ROW - 8
        bar = rect(min(origin, x), y - thick / 2, abs(x - origin), thick, f"bar s{point.series % SERIES}", hint)
        ends = [point.value, *(end for end in (point.low, point.high) if math.isfinite(end))]
        beside = max(origin, *map(self.scale, ends)) + 5
        return [bar, *interval, text(beside, y + FONT * 0.35, words, "soft")]

    def _words(self, point: _Point) -> str:
        if point.label:
            return point.label
        is_count = point.value.is_integer() and not math.isfinite(point.low)
        if is_count and self.chart.percent:
            return show_cell(point.value, percent=True).text
        found = show_cell(
            int(point.value) if is_count else Figure(point.value, point.low, point.high), percent=self.chart.percent
        )
        return f"{found.text} ({found.interval})" if found.interval and self.chart.kind == "dots" else found.text

    def _describe(self) -> str:
        described = [
            f"{name[:_DESCRIBED]}: {', '.join(self._words(point) for point in row if math.isfinite(point.value))}"
            for name, row in self.rows
        ]
        return f"{self.chart.x_label or 'Values'}. {'; '.join(described)}."
