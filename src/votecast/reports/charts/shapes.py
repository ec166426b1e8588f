"""What pictures are made of."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

FONT = 12.5
"""Size of letters in the units of a picture."""
_WIDE, _CAPITAL, _LETTER = 1.0, 0.76, 0.63
_OTHERS = (
    dict.fromkeys("ijl'|", 0.29)
    | dict.fromkeys(" .,:;-", 0.37)
    | dict.fromkeys("tfr()[]/I", 0.42)
    | dict.fromkeys("mwMW%", 0.97)
)
"""Widths in a wide font, DejaVu Sans; in a narrower one there is room to spare."""


@dataclass(frozen=True)
class Shape:
    """One element of a picture.

    Args:
        tag: "line", "path", "rect", "circle" or "text".
        attributes: Names and values, in the order in which they are written.
        text: What a text says.
        hint: What a reader is told who points at the shape.
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
        description: The chart in words, for whoever does not see it.
        legend: How each series is drawn, in a box of 22 by 12, and its name; empty where there is one series.
    """

    width: float
    height: float
    shapes: Sequence[Shape]
    description: str
    legend: Sequence[tuple[Sequence[Shape], str]] = ()


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Shape:
    """A straight line."""
    places = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return Shape("line", (("class", kind), *((name, number(value)) for name, value in places.items())))


def rect(x: float, y: float, width: float, height: float, kind: str, hint: str = "") -> Shape:
    """A rectangle."""
    places = {"x": x, "y": y, "width": width, "height": height}
    return Shape("rect", (("class", kind), *((name, number(value)) for name, value in places.items())), hint=hint)


def path(points: Sequence[tuple[float, float]], kind: str, *, closed: bool = False) -> Shape:
    """Points joined by straight lines."""
    steps = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return Shape("path", (("class", kind), ("d", f"M{steps}{'Z' if closed else ''}")))


def text(x: float, y: float, words: str, kind: str = "", *, anchor: str = "start", turn: bool = False) -> Shape:
    """Words; turned ones run upwards."""
    attributes = [("class", f"t {kind}".strip()), ("x", number(x)), ("y", number(y)), ("text-anchor", anchor)]
    if turn:
        attributes.append(("transform", f"rotate(-90 {number(x)} {number(y)})"))
    return Shape("text", tuple(attributes), words)


def marker(x: float, y: float, series: int, hint: str = "") -> Shape:
    """A point, in a form of its own for each of the first series, so that colour is not needed to tell them apart."""
    kind, form, r = f"mark s{series % SERIES}", series % 4, 3.6
    if form == 0:
        attributes = (("class", kind), ("cx", number(x)), ("cy", number(y)), ("r", number(r)))
        return Shape("circle", attributes, hint=hint)
    offsets = {
        1: [(-r, -r), (r, -r), (r, r), (-r, r)],
        2: [(0, -r * 1.25), (r * 1.15, r * 0.9), (-r * 1.15, r * 0.9)],
        3: [(0, -r * 1.35), (r * 1.35, 0), (0, r * 1.35), (-r * 1.35, 0)],
    }[form]
    drawn = path([(x + dx, y + dy) for dx, dy in offsets], kind, closed=True)
    return Shape(drawn.tag, drawn.attributes, hint=hint)


SERIES = 6
"""Colours of series; a seventh series gets the first again."""


def swatches(kind: str, names: Sequence[str]) -> list[tuple[Sequence[Shape], str]]:
    """The legend of a chart; none where there is one series.

    Args:
        kind: The kind of the chart.
        names: Names of its series.
    """
    if len(names) < 2:
        return []
    out: list[tuple[Sequence[Shape], str]] = []
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
    """A place in a picture, to a tenth of a unit.

    Example:
        >>> number(12.0), number(0.25), number(-0.01)
        ('12', '0.2', '0')
    """
    short = f"{value:.1f}".removesuffix(".0")
    return "0" if short == "-0" else short


def width_of(words: str, size: float = FONT) -> float:
    """About how wide words are drawn.

    Example:
        >>> round(width_of("model"), 1) < width_of("MODEL") < width_of("模型模型模型")
        True
    """
    return size * sum(_width(letter) for letter in words)


def fitted(words: str, room: float, size: float = FONT) -> str:
    """Words cut so that they fit, with an ellipsis for the rest.

    Example:
        >>> fitted("a model with a long name", 60)
        'a mode…'
    """
    words = " ".join(words[:400].split())
    if width_of(words, size) <= room + 0.01:
        return words
    while words and width_of(words + "\u2026", size) > room:
        words = words[:-1]
    return words.rstrip() + "\u2026"


def _width(letter: str) -> float:
    if letter in _OTHERS:
        return _OTHERS[letter]
    if letter.isascii():
        return _CAPITAL if letter.isupper() else _LETTER
    if unicodedata.combining(letter):
        return 0.0
    return _WIDE if unicodedata.east_asian_width(letter) in "WF" else _CAPITAL
