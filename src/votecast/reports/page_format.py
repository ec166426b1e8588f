"""Numbers and texts as a page shows them: digits by precision, intervals, shades, and harmless characters.

Called by the templates through `votecast.reports.html`, by charts, and by page modules.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from votecast.metrics import Figure
from votecast.reports.document import Cell, Metric

LONGEST = 6_000
"""Characters of one text that are shown."""

INTERVAL_ROOM = 24
"""Characters that a column reserves for its intervals, at most."""

SHADES = 8
"""Shades of a heatmap on each side of the middle."""

INTERVALS = 3
"""Intervals in a row of a table that fit beside their numbers."""

_MOST_DECIMALS = 6
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]")
_LINE_ENDS = re.compile("\r\n?")


def make_visible(text: str) -> str:
    r"""Show control characters and direction overrides by their names, and lone surrogates as U+FFFD.

    Example:
        >>> make_visible("a\x00b\x1b[1m \u202ecod"), make_visible("\ud83d\r\nend")
        ('a␀b␛[1m [U+202E]cod', '�\nend')
    """

    def _name(found: re.Match[str]) -> str:
        code = ord(found[0])
        if code < 0x20:
            return chr(0x2400 + code)
        if code == 0x7F:
            return "\u2421"
        return f"[U+{code:04X}]" if code < 0xA0 or 0x202A <= code <= 0x2069 else "\ufffd"

    return _HARMFUL.sub(_name, _LINE_ENDS.sub("\n", text)) if text else text


def shorten(text: str, longest: int = LONGEST) -> tuple[str, str]:
    """Return the start of a text, and a remark on the rest; "" where nothing is missing.

    Example:
        >>> shorten("abcdef", 4)
        ('abcd', '2 more characters are not shown')
    """
    if len(text) <= longest:
        return text, ""
    left = len(text) - longest
    return text[:longest], f"{left:,} more character{'s are' if left > 1 else ' is'} not shown"


def brief(name: str, longest: int = 80) -> str:
    """Shorten a name to fit into a sentence.

    Example:
        >>> brief("a name", 4)
        'a na…'
    """
    return name if len(name) <= longest else f"{name[:longest]}\u2026"


def interval_text(figure: tuple[float, float, float], spec: str, *, bare: bool = False) -> str:
    """Format a 95 % interval for a sentence, in brackets or bare after a comma; "" where there is none.

    Example:
        >>> interval_text(Figure(0.5, 0.41, 0.59), ".0%"), interval_text(Figure(0.5, 0.41, 0.59), ".2f", bare=True)
        (' (95% CI 41% to 59%)', ', 95% CI 0.41 to 0.59')
    """
    _, low, high = figure
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    text = f"95% CI {low:{spec}} to {high:{spec}}"
    return f", {text}" if bare else f" ({text})"


@dataclass(frozen=True)
class ShownCell:
    """A cell of a table as it is shown, and the ends of its interval; "" where there is none."""

    text: str
    interval: str = ""
    number: bool = False
    # characters of the longest interval in the column, at most `INTERVAL_ROOM`
    room: int = 0


def show_rows(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], percent: Collection[str] = ()
) -> tuple[list[list[ShownCell]], bool]:
    """Format the cells of a table, and return whether its intervals are too many to stand beside their numbers.

    Args:
        columns: Headings.
        rows: One cell for each heading.
        percent: Headings whose numbers are shares.

    Example:
        >>> rows, _ = show_rows(["tie"], [[Figure(0.37122, 0.37120, 0.37124)], [Figure(0.249, 0.2, 0.3)]], ["tie"])
        >>> [row[0].text for row in rows]
        ['37.1%', '24.9%']
    """
    shown = [_show_column([row[place] for row in rows], percent=name in percent) for place, name in enumerate(columns)]
    cells = [list(row) for row in zip(*shown, strict=True)]
    return cells, any(sum(bool(cell.interval) for cell in row) > INTERVALS for row in cells)


def show_cell(cell: Cell, *, percent: bool = False, decimals: int | None = None) -> ShownCell:
    """Format one cell, in per cent or not, with as many digits after the point as are significant where None is given.

    Example:
        >>> found = show_cell(Figure(0.61234, 0.5811, 0.6423))
        >>> found.text, found.interval, show_cell(0.61234, percent=True).text, show_cell(57500).text
        ('0.612', '0.581 to 0.642', '61.2%', '57,500')
    """
    if cell is None or isinstance(cell, str):
        return ShownCell(cell or "")
    if isinstance(cell, bool):
        return ShownCell("yes" if cell else "no")
    if isinstance(cell, int):
        return ShownCell(f"{cell:,}", number=True)
    scale, unit = (100.0, "%") if percent else (1.0, "")
    places = significant_decimals(cell, percent=percent) if decimals is None else decimals
    value, low, high = cell if isinstance(cell, Figure) else (cell, math.nan, math.nan)
    if not math.isfinite(value):
        return ShownCell("", number=True)
    has_interval = math.isfinite(low) and math.isfinite(high)
    ends = f"{_digits(low * scale, places)} to {_digits(high * scale, places)}" if has_interval else ""
    return ShownCell(_digits(value * scale, places) + unit, ends, number=True)


def show_metric(metric: Metric) -> list[str]:
    """Format a headline metric: its value, then its interval and note where there are some.

    Example:
        >>> show_metric(Metric("Accuracy", Figure(0.543, 0.51, 0.58), "class prior 38.4%", percent=True))
        ['54.3%', '95% CI 51.0 to 58.0', 'class prior 38.4%']
    """
    cell = show_cell(metric.value, percent=metric.percent, decimals=1 if metric.percent else 3)
    is_exact = isinstance(metric.value, Figure) and not metric.value.low < metric.value.high
    notes = ["" if is_exact or not cell.interval else f"95% CI {cell.interval}", metric.note]
    return [cell.text, *filter(None, notes)]


def significant_decimals(cell: float | Figure, *, percent: bool = False) -> int:
    """Return the digits after the point that are significant: by the interval, else by the size.

    Example:
        >>> significant_decimals(Figure(1043.27, 1011.9, 1075.1)), significant_decimals(0.98765)
        (0, 3)
    """
    scale = 100.0 if percent else 1.0
    value = cell.value if isinstance(cell, Figure) else cell
    if not math.isfinite(value):
        return 0
    size = abs(value) * scale
    width = (cell.high - cell.low) * scale if isinstance(cell, Figure) else math.nan
    if math.isfinite(width) and width > 1e-6 * max(size, 1e-3):
        places = 1 - math.floor(math.log10(width))
    elif size == 0 or (size >= 1 if percent else 0.1 <= size < 10):
        return 1 if percent else 3
    else:
        places = (1 if percent else 2) - math.floor(math.log10(size))
    return max(0, min(_MOST_DECIMALS, places))


def show_tick(value: float, step: float, *, percent: bool = False) -> str:
    """Format a number beside an axis.

    Example:
        >>> show_tick(0.025, 0.025), show_tick(0.25, 0.05, percent=True), show_tick(12000, 2000)
        ('0.025', '25%', '12,000')
    """
    scale, unit = (100.0, "%") if percent else (1.0, "")
    step = abs(step) * scale
    places = next((places for places in range(9) if abs(step * 10**places - round(step * 10**places)) < 1e-6), 9)
    return _digits(value * scale, places) + unit


def _show_column(cells: Sequence[Cell], *, percent: bool) -> list[ShownCell]:
    numbers = [cell for cell in cells if isinstance(cell, float | Figure)]
    ranged = [cell for cell in numbers if isinstance(cell, Figure) and math.isfinite(cell.high - cell.low)]
    own = [significant_decimals(cell, percent=percent) for cell in ranged or numbers]  # intervals decide where any are
    # equally many digits down the column where these differ little, and for shares with intervals in any case
    is_even = bool(own) and (max(own) - min(own) <= 1 or (percent and bool(ranged)))
    decimals = statistics.median_low(own) if is_even else None
    found = [show_cell(cell, percent=percent, decimals=decimals) for cell in cells]
    is_number = all(cell.number for cell in found if cell.text)
    room = min(max((len(cell.interval) for cell in found), default=0), INTERVAL_ROOM)
    return [replace(cell, number=is_number and cell.number, room=room) for cell in found]


def _digits(value: float, places: int) -> str:
    text = f"{value:,.{places}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "\u2212")


def shade_cells(values: Sequence[Sequence[float | None]], middle: float | None = None) -> list[list[str]]:
    """Return the class of each cell: "p1" to "p8" above the middle or the least value, "m1" to "m8" below, or "".

    Example:
        >>> shade_cells([[0.5, 1.0, None]], middle=0.5)
        [['', 'p8', '']]
    """
    known = [value for row in values for value in row if value is not None and math.isfinite(value)]
    base = min(known, default=0.0) if middle is None else middle
    reach = max((abs(value - base) for value in known), default=0.0)

    def _shade(value: float | None) -> str:
        if value is None or not math.isfinite(value) or reach <= 0:
            return ""
        step = round(SHADES * (value - base) / reach)
        return f"{'p' if step > 0 else 'm'}{abs(step)}" if step else ""

    return [[_shade(value) for value in row] for row in values]
