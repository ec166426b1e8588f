"""Lines, scattered points and reliability diagrams: numbers on both axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from votecast.reports.charts.placing import Labels
from votecast.reports.charts.scales import Scale, linear, logarithmic
from votecast.reports.charts.shapes import SERIES, Picture, Shape, fitted, line, marker, path, swatches, text, width_of
from votecast.reports.document import Chart, Series
from votecast.reports.numbers import shown

WIDTH, HEIGHT = 460.0, 320.0
_SQUARE = 400.0
_TOP, _RIGHT, _BELOW = 10.0, 22.0, 42.0
_MARKED = 60
"""Lines with more points than this are drawn without a mark on each."""


def draw_plane(chart: Chart) -> list[Picture]:
    """Lines or points between two axes."""
    return [_Plane(chart).picture()]


class _Plane:
    """One picture with two axes."""

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        self.reliability = chart.kind == "reliability"
        self.height = _SQUARE if self.reliability else HEIGHT
        bottom = self.height - _BELOW
        self.y: Scale = linear(
            [*self._ys(), *([chart.mark] if chart.mark is not None else [])],
            bottom,
            _TOP,
            percent=chart.percent,
            snap=True,
        )
        names = max((width_of(words) for _, words in self.y.ticks), default=0.0)
        left = names + (26 if chart.y_label else 8)
        stop = WIDTH - _RIGHT
        if chart.log_x:
            self.x: Scale = logarithmic(self._xs(), left, stop)
        else:
            self.x = linear(self._xs(), left, stop, percent=chart.percent and self.reliability, snap=self.reliability)

    def picture(self) -> Picture:
        """The series over their axes, names last so that nothing hides them."""
        labels = Labels(self.x.start, WIDTH, self.height - _BELOW)
        shapes = [*self._axes()]
        if self.reliability:
            shapes.append(line(self.x(0.0), self.y(0.0), self.x(1.0), self.y(1.0), "zero"))
        for number, series in enumerate(self.chart.series):
            shapes += self._series(number, series, labels)
        legend = swatches(self.chart.kind, [series.name for series in self.chart.series])
        return Picture(WIDTH, self.height, [*shapes, *labels.shapes()], self._description(), legend)

    def _axes(self) -> list[Shape]:
        shapes, bottom, last = [], self.y.start, -math.inf
        for value, words in self.y.ticks:
            shapes.append(line(self.x.start, self.y(value), self.x.stop, self.y(value), "grid"))
            shapes.append(text(self.x.start - 6, self.y(value) + 4, words, "soft", anchor="end"))
        for value, words in self.x.ticks:
            x, half = self.x(value), width_of(words) / 2
            shapes.append(line(x, self.y.stop, x, bottom, "grid"))
            if x - half > last + 4 and x + half <= WIDTH:
                shapes.append(text(x, bottom + 16, words, "soft", anchor="middle"))
                last = x + half
        if self.chart.mark is not None:
            shapes.append(line(self.x.start, self.y(self.chart.mark), self.x.stop, self.y(self.chart.mark), "zero"))
        below, beside = fitted(self.chart.x_label, WIDTH - self.x.start), fitted(self.chart.y_label, self.height - 10)
        shapes.append(text((self.x.start + self.x.stop) / 2, bottom + 35, below, "soft", anchor="middle"))
        shapes.append(text(12, self.height / 2 - _BELOW / 3, beside, "soft", anchor="middle", turn=True))
        return shapes

    def _series(self, number: int, series: Series, labels: Labels) -> list[Shape]:
        points = [
            (self.x(x), self.y(y), place)
            for place, (x, y) in enumerate(zip(_numbers(series.x), series.y, strict=True))
            if math.isfinite(x) and math.isfinite(y)
        ]
        kind = f"s{number % SERIES}"
        shapes = self._intervals(series, points, kind)
        if self.chart.kind != "scatter" and len(points) > 1:
            shapes.append(path([(x, y) for x, y, _ in points], f"curve {kind}"))
        if len(points) <= _MARKED or self.chart.kind == "scatter":
            shapes += [marker(x, y, number, self._hint(series, place)) for x, y, place in points]
        for x, y, place in points:
            labels.keep_clear(x, y)
            if series.labels is not None and series.labels[place] and not self.reliability:
                labels.add(x, y, series.labels[place])
        return shapes

    def _intervals(self, series: Series, points: Sequence[tuple[float, float, int]], kind: str) -> list[Shape]:
        if series.low is None or series.high is None:
            return []
        ends = [(x, self.y(series.low[i]), self.y(series.high[i])) for x, _, i in points if _finite(series, i)]
        if self.chart.kind == "lines" and len(ends) > 1:
            around = [(x, high) for x, _, high in ends] + [(x, low) for x, low, _ in reversed(ends)]
            return [path(around, f"band {kind}", closed=True)]
        return [line(x, low, x, high, f"span {kind}") for x, low, high in ends]

    def _hint(self, series: Series, place: int) -> str:
        x, y = _numbers(series.x)[place], series.y[place]
        percent = self.chart.percent
        named = series.labels[place] if series.labels is not None else ""
        across = shown(float(x), percent=percent and self.reliability).text
        return f"{named or series.name}: {across}, {shown(float(y), percent=percent).text}"

    def _xs(self) -> list[float]:
        return [
            *([0.0, 1.0] if self.reliability else []),
            *(x for series in self.chart.series for x in _numbers(series.x)),
        ]

    def _ys(self) -> list[float]:
        ends = [end for s in self.chart.series for part in (s.low, s.high) if part is not None for end in part]
        return [*([0.0, 1.0] if self.reliability else []), *(y for s in self.chart.series for y in s.y), *ends]

    def _description(self) -> str:
        said = []
        for series in self.chart.series:
            xs, ys = [x for x in _numbers(series.x) if math.isfinite(x)], [y for y in series.y if math.isfinite(y)]
            if xs and ys:
                span = " to ".join(shown(end, percent=self.chart.percent).text for end in (min(ys), max(ys)))
                said.append(f"{series.name}: {len(xs):,} points from {_short(min(xs))} to {_short(max(xs))}, {span}")
        return f"{self.chart.y_label} against {self.chart.x_label}. {'; '.join(said)}."


def _numbers(values: Sequence[float] | Sequence[str]) -> list[float]:
    return [float(value) for value in values]


def _finite(series: Series, place: int) -> bool:
    low, high = series.low, series.high
    return low is not None and high is not None and math.isfinite(low[place]) and math.isfinite(high[place])


def _short(value: float) -> str:
    return shown(value).text
