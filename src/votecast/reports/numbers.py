"""Numbers for readers: as many digits as mean something."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from votecast.metrics import Figure
from votecast.reports.document import Cell, Table

ROOM = 24
_MOST_DECIMALS = 6


@dataclass(frozen=True)
class Shown:
    """A cell of a table as it is shown.

    Args:
        text: The text or number.
        interval: The ends of its interval; "" where there is none.
        number: Whether it is a number.
        room: Characters of the longest interval in the column, at most `ROOM`.
    """

    text: str
    interval: str = ""
    number: bool = False
    room: int = 0


def shown_rows(table: Table) -> list[list[Shown]]:
    """The cells of a table; down a column, numbers get equally many digits where these differ little.

    Shares with intervals get equally many in any case.

    Example:
        >>> rows = [[Figure(0.37122, 0.37120, 0.37124)], [Figure(0.249, 0.2, 0.3)]]
        >>> [row[0].text for row in shown_rows(Table(["tie"], rows, "", frozenset(["tie"])))]
        ['37.1%', '24.9%']
    """
    columns = [
        _column([row[place] for row in table.rows], percent=name in table.percent)
        for place, name in enumerate(table.columns)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def shown(cell: Cell, *, percent: bool = False, decimals: int | None = None) -> Shown:
    """One cell as it is shown.

    Args:
        cell: Text, count, number, figure or nothing.
        percent: Whether a number is a share, to be shown in per cent.
        decimals: Digits after the point; None for as many as mean something.

    Example:
        >>> found = shown(Figure(0.61234, 0.5811, 0.6423))
        >>> found.text, found.interval, shown(0.61234, percent=True).text, shown(57500).text
        ('0.612', '0.581 to 0.642', '61.2%', '57,500')
    """
    if cell is None or isinstance(cell, str):
        return Shown(cell or "")
    if isinstance(cell, bool):
        return Shown("yes" if cell else "no")
    if isinstance(cell, int):
        return Shown(f"{cell:,}", number=True)
    scale, unit = (100.0, "%") if percent else (1.0, "")
    places = own_decimals(cell, percent=percent) if decimals is None else decimals
    if not isinstance(cell, Figure):
        return Shown(_digits(cell * scale, places) + unit if math.isfinite(cell) else "", number=True)
    if not math.isfinite(cell.value):
        return Shown("", number=True)
    has_interval = math.isfinite(cell.low) and math.isfinite(cell.high)
    ends = f"{_digits(cell.low * scale, places)} to {_digits(cell.high * scale, places)}" if has_interval else ""
    return Shown(_digits(cell.value * scale, places) + unit, ends, number=True)


def own_decimals(cell: float | Figure, *, percent: bool = False) -> int:
    """How many digits after the point mean something: by the width of the interval, else by the size of the number.

    Example:
        >>> own_decimals(Figure(1043.27, 1011.9, 1075.1)), own_decimals(0.98765), own_decimals(0.0012345)
        (0, 3, 5)
    """
    scale = 100.0 if percent else 1.0
    value = cell.value if isinstance(cell, Figure) else cell
    if not math.isfinite(value):
        return 0
    size = abs(value) * scale
    if isinstance(cell, Figure) and math.isfinite(cell.high - cell.low):
        width = (cell.high - cell.low) * scale
        if width > 1e-6 * max(size, 1e-3):
            return _bounded(1 - math.floor(math.log10(width)))
    if percent:
        return 1 if size >= 1 or size == 0 else _bounded(1 - math.floor(math.log10(size)))
    return 3 if 0.1 <= size < 10 or size == 0 else _bounded(2 - math.floor(math.log10(size)))


def tick(value: float, step: float, *, percent: bool = False) -> str:
    """A number beside an axis.

    Example:
        >>> tick(0.025, 0.025), tick(0.25, 0.05, percent=True), tick(12000, 2000)
        ('0.025', '25%', '12,000')
    """
    scale, unit = (100.0, "%") if percent else (1.0, "")
    step = abs(step) * scale
    places = next((places for places in range(9) if abs(step * 10**places - round(step * 10**places)) < 1e-6), 9)
    return _digits(value * scale, places) + unit


def _column(cells: Sequence[Cell], *, percent: bool) -> list[Shown]:
    numbers = [cell for cell in cells if isinstance(cell, float | Figure)]
    ranged = [cell for cell in numbers if isinstance(cell, Figure) and math.isfinite(cell.high - cell.low)]
    own = [own_decimals(cell, percent=percent) for cell in ranged or numbers]  # intervals tell what digits mean
    alike = bool(own) and (max(own) - min(own) <= 1 or (percent and bool(ranged)))
    found = [shown(cell, percent=percent, decimals=statistics.median_low(own) if alike else None) for cell in cells]
    is_number = all(cell.number for cell in found if cell.text)
    room = min(max((len(cell.interval) for cell in found), default=0), ROOM)
    return [replace(cell, number=is_number and cell.number, room=room) for cell in found]


def _digits(value: float, places: int) -> str:
    text = f"{value:,.{places}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "\u2212")


def _bounded(places: int) -> int:
    return max(0, min(_MOST_DECIMALS, places))
