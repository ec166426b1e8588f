"""The shapes of pictures: lines, bars, markers, texts that fit, legends, and names beside points.

Used by `row_chart` and `xy_chart`; coordinates are those of SVG, with y downwards.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from votecast.reports.charts.scales import Scale

FONT = 12.5
"""Size of letters in the units of a picture."""
_LABEL_ROOM, _LABEL_REACH = 150.0, 7.0
_WIDE, _CAPITAL, _LETTER = 1.0, 0.76, 0.63
_OTHERS = (
    dict.fromkeys("ijl'|", 0.29)
    | dict.fromkeys(" .,:;-", 0.37)
    | dict.fromkeys("tfr()[]/I", 0.42)
    | dict.fromkeys("mwMW%", 0.97)
)
"""Widths in a wide font, DejaVu Sans; in a narrower one there is room to spare."""


@dataclass(frozen=True)
class SvgShape:
    """One element of a picture.

    Args:
        tag: "line", "path", "rect", "circle" or "text".
        attributes: Names and values, in the order in which they are written.
        text: The words of a text.
        hint: Text shown when the pointer is over the shape.
    """

    tag: str
    attributes: tuple[tuple[str, str], ...]
    text: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Picture:
    """A drawn chart.

    Args:
        width: Width in its own units.
        height: Height.
        shapes: What is drawn, in order.
        description: The chart in words, for screen readers.
        legend: How each series is drawn, in a box of 22 by 12, and its name; empty where there is one series.
    """

    width: float
    height: float
    shapes: Sequence[SvgShape]
    description: str
    legend: Sequence[tuple[Sequence[SvgShape], str]] = ()


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> SvgShape:
    """Return a straight line."""
    places = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return SvgShape("line", (("class", kind), *((name, number(value)) for name, value in places.items())))


def rect(x: float, y: float, width: float, height: float, kind: str, hint: str = "") -> SvgShape:
    """Return a rectangle."""
    places = {"x": x, "y": y, "width": width, "height": height}
    return SvgShape("rect", (("class", kind), *((name, number(value)) for name, value in places.items())), hint=hint)


def path(points: Sequence[tuple[float, float]], kind: str, *, closed: bool = False) -> SvgShape:
    """Join points by straight lines."""
    steps = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return SvgShape("path", (("class", kind), ("d", f"M{steps}{'Z' if closed else ''}")))


def text(x: float, y: float, words: str, kind: str = "", *, anchor: str = "start", turn: bool = False) -> SvgShape:
    """Words; turned ones run upwards."""
    attributes = [("class", f"t {kind}".strip()), ("x", number(x)), ("y", number(y)), ("text-anchor", anchor)]
    if turn:
        attributes.append(("transform", f"rotate(-90 {number(x)} {number(y)})"))
    return SvgShape("text", tuple(attributes), words)


def marker(x: float, y: float, series: int, hint: str = "") -> SvgShape:
    """Return a point, in one of four forms so that series do not differ by colour alone."""
    kind, form, r = f"mark s{series % SERIES}", series % 4, 3.6
    if form == 0:
        attributes = (("class", kind), ("cx", number(x)), ("cy", number(y)), ("r", number(r)))
        return SvgShape("circle", attributes, hint=hint)
    offsets = {
        1: [(-r, -r), (r, -r), (r, r), (-r, r)],
        2: [(0, -r * 1.25), (r * 1.15, r * 0.9), (-r * 1.15, r * 0.9)],
        3: [(0, -r * 1.35), (r * 1.35, 0), (0, r * 1.35), (-r * 1.35, 0)],
    }[form]
    drawn = path([(x + dx, y + dy) for dx, dy in offsets], kind, closed=True)
    return SvgShape(drawn.tag, drawn.attributes, hint=hint)


SERIES = 6
"""Colours of series; a seventh series gets the first again."""


def draw_legend(kind: str, names: Sequence[str]) -> list[tuple[Sequence[SvgShape], str]]:
    """Return the legend of a chart; empty where there is one series.

    Args:
        kind: The kind of the chart.
        names: Names of its series.
    """
    if len(names) < 2:
        return []
    out: list[tuple[Sequence[SvgShape], str]] = []
    for series, name in enumerate(names):
        colour = f"s{series % SERIES}"
        if kind == "bars":
            out.append(([rect(0, 1, 22, 10, f"bar {colour}")], name))
        elif kind == "scatter":
            out.append(([marker(11, 6, series)], name))
        else:
            drawn = "span" if kind == "dots" else "curve"
            out.append(([path([(0, 6), (22, 6)], f"{drawn} {colour}"), marker(11, 6, series)], name))
    return out


def number(value: float) -> str:
    """Format a coordinate to a tenth of a unit.

    Example:
        >>> number(12.0), number(0.25), number(-0.01)
        ('12', '0.2', '0')
    """
    short = f"{value:.1f}".removesuffix(".0")
    return "0" if short == "-0" else short


def text_width(words: str, size: float = FONT) -> float:
    """Estimate the width of words.

    Example:
        >>> round(text_width("model"), 1) < text_width("MODEL") < text_width("模型模型模型")
        True
    """
    return size * sum(_letter_width(letter) for letter in words)


def fit_text(words: str, room: float, size: float = FONT) -> str:
    """Shorten words to fit, with an ellipsis for the rest.

    Example:
        >>> fit_text("a model with a long name", 60)
        'a mode…'
    """
    words = " ".join(words[:400].split())
    if text_width(words, size) <= room + 0.01:
        return words
    while words and text_width(words + "\u2026", size) > room:
        words = words[:-1]
    return words.rstrip() + "\u2026"


def _letter_width(letter: str) -> float:
    if letter in _OTHERS:
        return _OTHERS[letter]
    if letter.isascii():
        return _CAPITAL if letter.isupper() else _LETTER
    if unicodedata.combining(letter):
        return 0.0
    return _WIDE if unicodedata.east_asian_width(letter) in "WF" else _CAPITAL


def draw_ticks(scale: Scale, top: float, bottom: float, below: float, width: float) -> list[SvgShape]:
    """Draw the grid lines of a horizontal axis, and its numbers where there is room."""
    shapes, last = [], -math.inf
    for value, words in scale.ticks:
        x, half = scale(value), text_width(words) / 2
        shapes.append(line(x, top, x, bottom, "grid"))
        if x - half > last + 4 and x + half <= width:
            shapes.append(text(x, below, words, "soft", anchor="middle"))
            last = x + half
    return shapes


class Labels:
    """Names beside points, where they hide neither a point nor each other.

    Args:
        left: Where the plot begins.
        width: Width of the picture.
        height: Height of the plot.
    """

    def __init__(self, left: float, width: float, height: float) -> None:
        self._left, self._width, self._height = left, width, height
        self._wanted: list[tuple[float, float, str]] = []
        self._taken: list[tuple[float, float, float, float]] = []  # left, top, right, bottom

    def keep_clear(self, x: float, y: float) -> None:
        """Keep names away from the point at this place."""
        self._taken.append((x - 4, y - 4, x + 4, y + 4))

    def add(self, x: float, y: float, words: str) -> None:
        """Name the point at this place."""
        self._wanted.append((x, y, fit_text(words, _LABEL_ROOM)))

    def shapes(self) -> list[SvgShape]:
        """Return the names for which there is room; the others appear under the pointer."""
        return [shape for x, y, words in self._wanted if (shape := self._place(x, y, words)) is not None]

    def _place(self, x: float, y: float, words: str) -> SvgShape | None:
        wide, high, reach = text_width(words), FONT, _LABEL_REACH
        above, under = -reach - high / 2, reach + high / 2
        places = (reach, 0.0), (-reach - wide, 0.0), (-wide / 2, above), (-wide / 2, under), (0.0, above), (0.0, under)
        for dx, dy in places:
            left, top, right, bottom = box = (x + dx, y + dy - high / 2, x + dx + wide, y + dy + high / 2)
            is_inside = left >= self._left and top >= 0 and right <= self._width and bottom <= self._height
            if is_inside and all(right <= o[0] or left >= o[2] or bottom <= o[1] or top >= o[3] for o in self._taken):
                self._taken.append(box)
                return text(left, bottom - 2, words, "name")
        return None
