"""Bars and dots: named points from top to bottom.

Called by the templates through `votecast.reports.html`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    shape,
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

Row = tuple[str, list[tuple[int, Figure, str]]]
"""A name with its points: number of the series, value with interval, and a label that stands for them."""


def draw_row_chart(chart: Chart) -> list[Picture]:
    """Draw bars or dots with their intervals, one row for each name."""
    points: dict[str, list[tuple[int, Figure, str]]] = {}
    for series_number, series in enumerate(chart.series):
        missing = [math.nan] * len(series.y)
        labels = series.labels or [""] * len(series.y)
        columns = (series.x, series.y, series.low or missing, series.high or missing, labels)
        for name, value, low, high, label in zip(*columns, strict=True):
            figure = Figure(float(value), float(low), float(high))
            points.setdefault(str(name), []).append((series_number, figure, label))
    values = [value for row in points.values() for _, figure, _ in row for value in figure]
    values += [] if chart.mark is None else [chart.mark]
    if chart.kind == "bars" and not chart.log_x:
        values.append(0.0 if chart.mark is None else chart.mark)
    left = min(max(map(text_width, points), default=0.0), WIDTH * _NAMES_AT_MOST) + _GAP
    rows = list(points.items())
    starts = range(0, max(len(rows), 1), _ROWS_AT_ONCE)
    return [_draw_rows(chart, rows[start : start + _ROWS_AT_ONCE], values, left) for start in starts]


def _draw_rows(chart: Chart, rows: Sequence[Row], values: Sequence[float], left: float) -> Picture:
    """Draw the rows of one picture between their axis and its names."""
    room = _EDGE
    if chart.kind == "bars":  # the values stand behind the bars
        words = (_point_words(chart, figure, label) for _, row in rows for _, figure, label in row)
        room = max(max(map(text_width, words), default=0.0) + _GAP, _EDGE)
    if chart.log_x:
        scale = log_scale(values, left, WIDTH - room)
    else:
        scale = linear_scale(values, left, WIDTH - room, ticks=4, percent=chart.percent)
    step = _THIN if len(chart.series) > 1 else 0.0
    row_height = len(chart.series) * _THIN + 8 if step else _ROW
    bottom = len(rows) * row_height + 4
    shapes = draw_ticks(scale, 2, bottom, bottom + 14, WIDTH)
    if chart.mark is not None:
        shapes.append(line(scale(chart.mark), 2, scale(chart.mark), bottom, "zero"))
    if chart.x_label:
        below = fit_text(chart.x_label, WIDTH)
        half = text_width(below) / 2
        middle = min(max((scale.start + scale.stop) / 2, half), WIDTH - half)
        shapes.append(text(middle, bottom + 31, below, "soft", anchor="middle"))
    for place, (name, row) in enumerate(rows):
        middle, drawn = 4 + (place + 0.5) * row_height, fit_text(name, scale.start - _GAP)
        hint = "" if drawn == name else name
        shapes.append(text(scale.start - _GAP, middle + FONT * 0.35, drawn, anchor="end", hint=hint))
        for series, figure, label in row:
            if math.isfinite(figure.value):
                y = middle + (series - (len(chart.series) - 1) / 2) * step
                thick = _THIN - 2 if step else _ROW - 8
                shown = _point_words(chart, figure, label)
                shapes += _draw_point(chart, scale, (series, figure, y), thick, shown, f"{name}: {shown}")
    described = []
    for name, row in rows:
        known = (_point_words(chart, figure, label) for _, figure, label in row if math.isfinite(figure.value))
        described.append(f"{name[:_DESCRIBED]}: {', '.join(known)}")
    description = f"{chart.x_label or 'Values'}. {'; '.join(described)}."
    legend = draw_legend(chart.kind, [series.name for series in chart.series])
    return Picture(WIDTH, bottom + (36 if chart.x_label else 20), shapes, description, legend)


def _draw_point(
    chart: Chart, scale: Scale, point: tuple[int, Figure, float], thick: float, words: str, hint: str
) -> list[SvgShape]:
    """Draw a dot, or a bar so thick with its value behind it, and its interval."""
    series, (value, low, high), y = point
    x, colour, interval = scale(value), f"s{series % SERIES}", []
    if math.isfinite(low) and math.isfinite(high):
        interval = [line(scale(low), y, scale(high), y, "span over" if chart.kind == "bars" else f"span {colour}")]
    if chart.kind != "bars":
        return [*interval, marker(x, y, series, hint)]
    origin = scale.start if chart.log_x else scale(chart.mark or 0.0)
    sides = {"x": min(origin, x), "y": y - thick / 2, "width": abs(x - origin), "height": thick}
    beside = max(origin, *(scale(end) for end in (value, low, high) if math.isfinite(end))) + 5
    return [shape("rect", f"bar {colour}", hint, **sides), *interval, text(beside, y + FONT * 0.35, words, "soft")]


def _point_words(chart: Chart, figure: Figure, label: str) -> str:
    if label:
        return label
    is_count = figure.value.is_integer() and not math.isfinite(figure.low)
    if is_count and chart.percent:
        return show_cell(figure.value, percent=True).text
    found = show_cell(int(figure.value) if is_count else figure, percent=chart.percent)
    return f"{found.text} ({found.interval})" if found.interval and chart.kind == "dots" else found.text
