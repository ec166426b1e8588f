"""How dark the cells of a heatmap are."""

from __future__ import annotations

import math

from votecast.reports.document import Heatmap

STEPS = 8
"""Shades on each side of the middle."""


def shades(heatmap: Heatmap) -> list[list[str]]:
    """The class of each cell: "p1" to "p8" above the middle, "m1" to "m8" below, "" for none.

    Example:
        >>> shades(Heatmap("", ["r"], ["c", "d", "e"], [[0.5, 1.0, None]], middle=0.5))
        [['', 'p8', '']]
    """
    known = [value for row in heatmap.values for value in row if value is not None and math.isfinite(value)]
    if heatmap.middle is None:
        middle, reach = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    else:
        middle, reach = heatmap.middle, max((abs(value - heatmap.middle) for value in known), default=0.0)
    return [[_shade(value, middle, reach) for value in row] for row in heatmap.values]


def _shade(value: float | None, middle: float, reach: float) -> str:
    if value is None or not math.isfinite(value) or reach <= 0:
        return ""
    step = round(STEPS * (value - middle) / reach)
    return f"{'p' if step > 0 else 'm'}{abs(step)}" if step else ""
