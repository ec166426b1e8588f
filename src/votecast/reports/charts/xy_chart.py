"""Lines, scattered points and reliability diagrams: numbers on both axes.

Called by the templates through `votecast.reports.html`.
"""

from __future__ import annotations

import math

from votecast.reports.charts.scales import Scale, linear_scale, log_scale
from votecast.reports.charts.shapes import (
    SERIES,
    Picture,
    SvgShape,
    draw_legend,
    draw_ticks,
    fit_text,
    line,
    marker,
    path,
    place_labels,
    text,
    text_width,
)
from votecast.reports.document import Chart, Series
from votecast.reports.page_format import show_cell

WIDTH, HEIGHT = 460.0, 320.0
_SQUARE = 400.0
_TOP, _RIGHT, _BELOW = 10.0, 22.0, 42.0
_MARKED = 60
"""Lines with more points than this are drawn without a mark on each."""


def draw_xy_chart(chart: Chart) -> Picture:
    """Draw lines or points between two axes, names last so that nothing hides them."""
    is_reliability = chart.kind == "reliability"
    height = _SQUARE if is_reliability else HEIGHT
    bottom = height - _BELOW
    x, y = _scales(chart, bottom)
    shapes = []
    for value, words in y.ticks:
        shapes.append(line(x.start, y(value), x.stop, y(value), "grid"))
        shapes.append(text(x.start - 6, y(value) + 4, words, "soft", anchor="end"))
    shapes += draw_ticks(x, y.stop, bottom, bottom + 16, WIDTH)
    if chart.mark is not None:
        shapes.append(line(x.start, y(chart.mark), x.stop, y(chart.mark), "zero"))
    below, beside = fit_text(chart.x_label, WIDTH - x.start), fit_text(chart.y_label, height - 10)
    shapes.append(text((x.start + x.stop) / 2, bottom + 35, below, "soft", anchor="middle"))
    shapes.append(text(12, height / 2 - _BELOW / 3, beside, "soft", anchor="middle", turn=True))
    if is_reliability:
        shapes.append(line(x(0.0), y(0.0), x(1.0), y(1.0), "zero"))
    named: list[tuple[float, float, str]] = []
    for number, series in enumerate(chart.series):
        shapes += _draw_series(chart, number, series, x, y, named)
    shapes += place_labels(named, x.start, WIDTH, bottom)
    legend = draw_legend(chart.kind, [series.name for series in chart.series])
    return Picture(WIDTH, height, shapes, _describe(chart), legend)


def _scales(chart: Chart, bottom: float) -> tuple[Scale, Scale]:
    """Return both axes; those of a reliability diagram run from 0 to 1 at least."""
    is_reliability = chart.kind == "reliability"
    whole = [0.0, 1.0] if is_reliability else []
    xs = [*whole, *(float(value) for series in chart.series for value in series.x)]
    ys = [*whole, *(value for series in chart.series for value in series.y)]
    ys += [end for series in chart.series for ends in (series.low, series.high) if ends is not None for end in ends]
    ys += [] if chart.mark is None else [chart.mark]
    y = linear_scale(ys, bottom, _TOP, percent=chart.percent, snap=True)
    start = max((text_width(words) for _, words in y.ticks), default=0.0) + (26 if chart.y_label else 8)
    stop = WIDTH - _RIGHT
    if chart.log_x:
        return log_scale(xs, start, stop), y
    return linear_scale(xs, start, stop, percent=chart.percent and is_reliability, snap=is_reliability), y


def _draw_series(
    chart: Chart, number: int, series: Series, x: Scale, y: Scale, named: list[tuple[float, float, str]]
) -> list[SvgShape]:
    numbers = [float(value) for value in series.x]
    places = [
        place for place, point in enumerate(zip(numbers, series.y, strict=True)) if all(map(math.isfinite, point))
    ]
    points = [(x(numbers[place]), y(series.y[place])) for place in places]
    kind = f"s{number % SERIES}"
    shapes: list[SvgShape] = []
    if series.low is not None and series.high is not None:
        ends = [
            (x(numbers[place]), y(series.low[place]), y(series.high[place]))
            for place in places
            if math.isfinite(series.low[place]) and math.isfinite(series.high[place])
        ]
        if chart.kind == "lines" and len(ends) > 1:
            around = [(at, high) for at, _, high in ends] + [(at, low) for at, low, _ in reversed(ends)]
            shapes.append(path(around, f"band {kind}", closed=True))
        else:
            shapes += [line(at, low, at, high, f"span {kind}") for at, low, high in ends]
    if chart.kind != "scatter" and len(points) > 1:
        shapes.append(path(points, f"curve {kind}"))
    for place, (across, up) in zip(places, points, strict=True):
        label = series.labels[place] if series.labels is not None else ""
        if len(points) <= _MARKED or chart.kind == "scatter":
            value = show_cell(numbers[place], percent=chart.percent and chart.kind == "reliability").text
            hint = f"{label or series.name}: {value}, {show_cell(float(series.y[place]), percent=chart.percent).text}"
            shapes.append(marker(across, up, number, hint))
        named.append((across, up, "" if chart.kind == "reliability" else label))
    return shapes


def _describe(chart: Chart) -> str:
    described = []
    for series in chart.series:
        xs, ys = ([float(value) for value in values if math.isfinite(float(value))] for values in (series.x, series.y))
        if xs and ys:
            first, last = (show_cell(end).text for end in (min(xs), max(xs)))
            low, high = (show_cell(end, percent=chart.percent).text for end in (min(ys), max(ys)))
            described.append(f"{series.name}: {len(xs):,} points from {first} to {last}, {low} to {high}")
    return f"{chart.y_label} against {chart.x_label}. {'; '.join(described)}."
