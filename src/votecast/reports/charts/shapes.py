"""The shapes of pictures: lines, markers, texts that fit, legends, and names beside points.

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

SERIES = 6
"""Colours of series; a seventh series gets the first again."""

_LABEL_ROOM, _LABEL_REACH = 150.0, 7.0
_WIDE, _CAPITAL, _LETTER = 1.0, 0.76, 0.63
# widths in a wide font, DejaVu Sans; in a narrower one there is room to spare
_OTHERS = (
    dict.fromkeys("ijl'|", 0.29)
    | dict.fromkeys(" .,:;-", 0.37)
    | dict.fromkeys("tfr()[]/I", 0.42)
    | dict.fromkeys("mwMW%", 0.97)
)


@dataclass(frozen=True)
class SvgShape:
    """One element of a picture: tag, attributes in order, words, and a hint shown under the pointer."""

    tag: str
    attributes: tuple[tuple[str, str], ...]
    text: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Picture:
    """A drawn chart with its description for screen readers.

    The legend holds how each series is drawn, in a box of 22 by 12, and its name; it is empty for one series.
    """

    width: float
    height: float
    shapes: Sequence[SvgShape]
    description: str
    legend: Sequence[tuple[Sequence[SvgShape], str]] = ()


def shape(tag: str, kind: str, hint: str = "", **places: float) -> SvgShape:
    """Return an element of a class, at its coordinates."""
    return SvgShape(tag, (("class", kind), *((name, number(value)) for name, value in places.items())), hint=hint)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> SvgShape:
    """Return a straight line."""
    return shape("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)


def path(points: Sequence[tuple[float, float]], kind: str, hint: str = "", *, closed: bool = False) -> SvgShape:
    """Join points by straight lines."""
    steps = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return SvgShape("path", (("class", kind), ("d", f"M{steps}{'Z' if closed else ''}")), hint=hint)


def text(
    x: float, y: float, words: str, kind: str = "", *, anchor: str = "start", turn: bool = False, hint: str = ""
) -> SvgShape:
    """Return words; turned ones run upwards."""
    attributes = [("class", f"t {kind}".strip()), ("x", number(x)), ("y", number(y)), ("text-anchor", anchor)]
    if turn:
        attributes.append(("transform", f"rotate(-90 {number(x)} {number(y)})"))
    return SvgShape("text", tuple(attributes), words, hint)


def marker(x: float, y: float, series: int, hint: str = "") -> SvgShape:
    """Return a point, in one of four forms so that series do not differ by colour alone."""
    kind, form, r = f"mark s{series % SERIES}", series % 4, 3.6
    if form == 0:
        return shape("circle", kind, hint, cx=x, cy=y, r=r)
    offsets = {
        1: [(-r, -r), (r, -r), (r, r), (-r, r)],
        2: [(0, -r * 1.25), (r * 1.15, r * 0.9), (-r * 1.15, r * 0.9)],
        3: [(0, -r * 1.35), (r * 1.35, 0), (0, r * 1.35), (-r * 1.35, 0)],
    }[form]
    return path([(x + dx, y + dy) for dx, dy in offsets], kind, hint, closed=True)


def draw_legend(kind: str, names: Sequence[str]) -> list[tuple[Sequence[SvgShape], str]]:
    """Return the legend of a kind of chart with these series; empty where there is one."""
    out: list[tuple[Sequence[SvgShape], str]] = []
    for series, name in enumerate(names if len(names) > 1 else ()):
        colour = f"s{series % SERIES}"
        if kind == "bars":
            out.append(([shape("rect", f"bar {colour}", x=0, y=1, width=22, height=10)], name))
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


def text_width(words: str) -> float:
    """Estimate the width of words.

    Example:
        >>> round(text_width("model"), 1) < text_width("MODEL") < text_width("模型模型模型")
        True
    """
    return FONT * sum(_letter_width(letter) for letter in words)


def _letter_width(letter: str) -> float:
    if letter in _OTHERS:
        return _OTHERS[letter]
    if letter.isascii():
        return _CAPITAL if letter.isupper() else _LETTER
    if unicodedata.combining(letter):
        return 0.0
    return _WIDE if unicodedata.east_asian_width(letter) in "WF" else _CAPITAL


def fit_text(words: str, room: float) -> str:
    """Shorten words to fit, with an ellipsis for the rest.

    Example:
        >>> fit_text("a model with a long name", 60)
        'a mode…'
    """
    words = " ".join(words[:400].split())
    if text_width(words) <= room + 0.01:
        return words
    while words and text_width(words + "\u2026") > room:
        words = words[:-1]
    return words.rstrip() + "\u2026"


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


def place_labels(
    points: Sequence[tuple[float, float, str]], left: float, width: float, height: float
) -> list[SvgShape]:
    """Name points, given with "" for no name, where their names hide neither a point nor each other."""
    shapes, reach, above = [], _LABEL_REACH, _LABEL_REACH + FONT / 2
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y, _ in points]  # left, top, right, bottom
    for x, y, name in points:
        words = fit_text(name, _LABEL_ROOM)
        wide = text_width(words)
        beside = (
            (reach, 0.0),
            (-reach - wide, 0.0),
            (-wide / 2, -above),
            (-wide / 2, above),
            (0.0, -above),
            (0.0, above),
        )
        for dx, dy in beside if words else ():
            box = (x + dx, y + dy - FONT / 2, x + dx + wide, y + dy + FONT / 2)
            is_inside = box[0] >= left and box[1] >= 0 and box[2] <= width and box[3] <= height
            if is_inside and all(box[2] <= o[0] or box[0] >= o[2] or box[3] <= o[1] or box[1] >= o[3] for o in taken):
                taken.append(box)
                shapes.append(text(box[0], box[3] - 2, words, "name"))
                break
    return shapes
