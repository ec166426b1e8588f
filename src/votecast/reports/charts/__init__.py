"""Charts as shapes of an SVG picture; the template alone writes them down, and the style sheet gives them colours."""

from votecast.reports.charts.drawing import draw
from votecast.reports.charts.shapes import Picture, Shape

__all__ = ["Picture", "Shape", "draw"]
