"""Bars and dots: named points from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from votecast.metrics import Figure
from votecast.reports.charts.scales import Scale, linear, logarithmic
from votecast.reports.charts.shapes import (
    FONT,
    SERIES,
    Picture,
    Shape,
    fitted,
    line,
    marker,
    rect,
    swatches,
    text,
    width_of,
)
from votecast.reports.document import Chart
from votecast.reports.numbers import shown

WIDTH = 460.0
_NAMES_AT_MOST = 0.47
_GAP, _EDGE, _ROW, _THIN = 8.0, 14.0, 21.0, 11.0
_SAID = 80
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


def draw_rows(chart: Chart) -> list[Picture]:
    """Bars or dots with their intervals, one row a name."""
    names, points = _gathered(chart)
    values = [value for row in points for point in row for value in (point.value, point.low, point.high)]
    values += [] if chart.mark is None else [chart.mark]
    if chart.kind == "bars" and not chart.log_x:
        values.append(0.0 if chart.mark is None else chart.mark)
    widest = max((width_of(name) for name in names), default=0.0)
    left = min(widest, WIDTH * _NAMES_AT_MOST) + _GAP
    starts = range(0, max(len(names), 1), _ROWS_AT_ONCE)
    parts = [(names[start : start + _ROWS_AT_ONCE], points[start : start + _ROWS_AT_ONCE]) for start in starts]
    return [_Rows(chart, *part, values, left).picture() for part in parts]


class _Rows:
    """The rows of one picture."""

    def __init__(
        self,
        chart: Chart,
        names: Sequence[str],
        points: Sequence[Sequence[_Point]],
        values: Sequence[float],
        left: float,
    ) -> None:
        self.chart, self.names, self.points = chart, names, points
        self.shown = [[self._words(point) for point in row] for row in points]
        is_bar = chart.kind == "bars"
        room = max((width_of(words) for row in self.shown for words in row), default=0.0) + _GAP if is_bar else _EDGE
        stop = WIDTH - max(room, _EDGE)
        self.scale: Scale = (
            logarithmic(values, left, stop)
            if chart.log_x
            else linear(values, left, stop, ticks=4, percent=chart.percent)
        )
        several = len(chart.series) > 1
        self.step = _THIN if several else 0.0
        self.row = _ROW if not several else len(chart.series) * _THIN + 8
        self.bottom = len(names) * self.row + 4

    def picture(self) -> Picture:
        """The rows between their axis and its names."""
        shapes = [*self._axis()]
        for place, (name, row) in enumerate(zip(self.names, self.points, strict=True)):
            middle = 4 + (place + 0.5) * self.row
            shapes.append(self._name(name, middle))
            for point, words in zip(row, self.shown[place], strict=True):
                offset = (point.series - (len(self.chart.series) - 1) / 2) * self.step
                shapes += self._point(name, point, words, middle + offset)
        height = self.bottom + (36 if self.chart.x_label else 20)
        legend = swatches(self.chart.kind, [series.name for series in self.chart.series])
        return Picture(WIDTH, height, shapes, self._description(), legend)

    def _axis(self) -> list[Shape]:
        shapes, last = [], -math.inf
        for value, words in self.scale.ticks:
            x, half = self.scale(value), width_of(words) / 2
            shapes.append(line(x, 2, x, self.bottom, "grid"))
            if x - half > last + 4 and x + half <= WIDTH:
                shapes.append(text(x, self.bottom + 14, words, "soft", anchor="middle"))
                last = x + half
        if self.chart.mark is not None:
            shapes.append(line(self.scale(self.chart.mark), 2, self.scale(self.chart.mark), self.bottom, "zero"))
        if self.chart.x_label:
            middle = (self.scale.start + self.scale.stop) / 2
            words = fitted(self.chart.x_label, WIDTH)
            half = width_of(words) / 2
            shapes.append(text(min(max(middle, half), WIDTH - half), self.bottom + 31, words, "soft", anchor="middle"))
        return shapes

    def _name(self, name: str, middle: float) -> Shape:
        drawn = fitted(name, self.scale.start - _GAP)
        shape = text(self.scale.start - _GAP, middle + FONT * 0.35, drawn, anchor="end")
        return Shape(shape.tag, shape.attributes, shape.text, "" if drawn == name else name)

    def _point(self, name: str, point: _Point, words: str, y: float) -> list[Shape]:
        if not math.isfinite(point.value):
            return []
        hint, x = f"{name}: {words or self._words(point)}", self.scale(point.value)
        if self.chart.kind == "bars":
            origin = self.scale.start if self.chart.log_x else self.scale(self.chart.mark or 0.0)
            thick = 13.0 if not self.step else _THIN - 2
            bar = rect(min(origin, x), y - thick / 2, abs(x - origin), thick, f"bar s{point.series % SERIES}", hint)
            return [bar, *self._interval(point, y), text(self._beside(point), y + FONT * 0.35, words, "soft")]
        return [*self._interval(point, y), marker(x, y, point.series, hint)]

    def _interval(self, point: _Point, y: float) -> list[Shape]:
        if not (math.isfinite(point.low) and math.isfinite(point.high)):
            return []
        kind = "span over" if self.chart.kind == "bars" else f"span s{point.series % SERIES}"
        return [line(self.scale(point.low), y, self.scale(point.high), y, kind)]

    def _beside(self, point: _Point) -> float:
        ends = [point.value, *(end for end in (point.low, point.high) if math.isfinite(end))]
        origin = self.scale.start if self.chart.log_x else self.scale(self.chart.mark or 0.0)
        return max(origin, *map(self.scale, ends)) + 5

    def _words(self, point: _Point) -> str:
        figure = Figure(point.value, point.low, point.high)
        cell = int(point.value) if point.value.is_integer() and not math.isfinite(point.low) else figure
        found = shown(cell, percent=self.chart.percent and isinstance(cell, Figure))
        if self.chart.percent and not isinstance(cell, Figure):
            found = shown(float(cell), percent=True)
        return point.label or (
            f"{found.text} ({found.interval})" if found.interval and self.chart.kind == "dots" else found.text
        )

    def _description(self) -> str:
        said = [
            f"{name[:_SAID]}: {', '.join(self._words(point) for point in row if math.isfinite(point.value))}"
            for name, row in list(zip(self.names, self.points, strict=True))[:_ROWS_AT_ONCE]
        ]
        return f"{self.chart.x_label or 'Values'}. {'; '.join(said)}."


def _gathered(chart: Chart) -> tuple[list[str], list[list[_Point]]]:
    """The points of all series by name, in the order in which the names first appear."""
    rows: dict[str, list[_Point]] = {}
    for number, series in enumerate(chart.series):
        missing = [math.nan] * len(series.y)
        labels = series.labels or [""] * len(series.y)
        ends = zip(series.low or missing, series.high or missing, strict=True)
        for name, value, (low, high), label in zip(series.x, series.y, ends, labels, strict=True):
            rows.setdefault(str(name), []).append(_Point(number, float(value), float(low), float(high), label))
    return list(rows), list(rows.values())
