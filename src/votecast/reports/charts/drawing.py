"""Which chart is drawn how."""

from __future__ import annotations

from votecast.reports.charts.plane import draw_plane
from votecast.reports.charts.rows import draw_rows
from votecast.reports.charts.shapes import Picture
from votecast.reports.document import Chart


def draw(chart: Chart) -> list[Picture]:
    """A chart as pictures: one, or several below each other where it has very many rows.

    Example:
        >>> from votecast.reports.document import Series
        >>> picture = draw(Chart("bars", "Votes", "votes", "", [Series("", ["a", "b"], [3.0, 5.0])]))[0]
        >>> picture.description
        'votes. a: 3; b: 5.'
    """
    return draw_rows(chart) if chart.kind in ("bars", "dots") else draw_plane(chart)
