"""Linear and logarithmic axes with round ticks.

Used by `row_chart` and `xy_chart`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from votecast.reports.page_format import show_tick

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """An axis."""

    # the numbers at its ends, and where these are in the picture
    low: float
    high: float
    start: float
    stop: float
    # numbers that are named, with their names
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a number; beyond the ends it is the end."""
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.stop - self.start)


def linear_scale(
    values: Sequence[float], start: float, stop: float, *, ticks: int = 5, percent: bool = False, snap: bool = False
) -> Scale:
    """Return an axis with about so many ticks that holds all finite values; a snapped one ends at its ticks.

    Example:
        >>> [name for _, name in linear_scale([0.0, 0.93], 0, 100).ticks]
        ['0.0', '0.2', '0.4', '0.6', '0.8']
    """
    low, high = _range(values)
    wanted = (high - low) / max(ticks, 1)
    power = 10.0 ** math.floor(math.log10(wanted))
    step = min((factor * power for factor in _STEPS), key=lambda step: abs(math.log(step / wanted)))
    if snap:
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    places = [number * step for number in range(first, last + 1)]
    return Scale(low, high, start, stop, [(place, show_tick(place, step, percent=percent)) for place in places])


def log_scale(values: Sequence[float], start: float, stop: float) -> Scale:
    """Return a logarithmic axis that holds all values above 0.

    Ticks are at powers of ten, or also at 2 and 5 where these are few.

    Example:
        >>> [name for _, name in log_scale([3.0, 2000.0], 0, 100).ticks]
        ['10', '100', '1,000']
    """
    positive = [value for value in values if math.isfinite(value) and value > 0] or [1.0]
    low, high = min(positive), max(positive)
    if high / low < 1.1:
        low, high = low / 2, high * 2
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        places = [part * 10.0**decade for decade in decades for part in parts]
        inside = [place for place in places if low <= place * (1 + 1e-9) and place <= high * (1 + 1e-9)]
        if len(inside) >= 3:
            break
    decimals = [(place, 10.0 ** math.floor(math.log10(place) + 1e-9)) for place in inside]
    return Scale(low, high, start, stop, [(place, show_tick(place, unit)) for place, unit in decimals], log=True)


def _range(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        spread = abs(high) / 2 or 0.5
        return low - spread, high + spread
    return low, high
