"""Charts as shapes of an SVG picture, drawn without a plotting library.

Called by the template of `votecast.reports.html`, which writes the shapes; the style sheet gives them colours.
"""

from votecast.reports.charts.row_chart import draw_row_chart
from votecast.reports.charts.shapes import Picture, SvgShape
from votecast.reports.charts.xy_chart import draw_xy_chart
from votecast.reports.document import Chart

__all__ = ["Picture", "SvgShape", "draw_chart"]


def draw_chart(chart: Chart) -> list[Picture]:
    """Draw a chart as pictures: one, or several where it has very many rows.

    Example:
        >>> from votecast.reports.document import Series
        >>> picture = draw_chart(Chart("bars", "Votes", "votes", "", [Series("", ["a", "b"], [3.0, 5.0])]))[0]
        >>> picture.description
        'votes. a: 3; b: 5.'
    """
    return draw_row_chart(chart) if chart.kind in ("bars", "dots") else [draw_xy_chart(chart)]
