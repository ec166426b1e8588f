"""Differences in style between the two answers of a row, for scores that do not reward it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from votecast.errors import DataError
from votecast.features.styling import STYLING, styling_gap
from votecast.leaderboard.vote_rows import Named, has_texts
from votecast.types import Probabilities

LEAST: Final = 30
"""Rows that must differ in a feature of style for its worth to be told."""


@dataclass(frozen=True)
class Styles:
    """Which features of style take part.

    Args:
        names: Names from `STYLING`; none where style is not controlled for.
        rows: The rows from which that was found.
        known: Their gaps, shape (n, k).
        notes: Features that are left out.
    """

    names: tuple[str, ...] = ()
    rows: Named | None = None
    known: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Named, *, wanted: bool) -> Self:
        """The features in which enough rows differ.

        Raises:
            DataError: If the rows have no texts, or too few answers differ in any of them.
        """
        if not wanted:
            return cls()
        if not has_texts(rows.battles):
            raise DataError("the rows have no texts, and style is read from them; leave out --style-control")
        gap = styling_gap(rows.battles)
        targets = rows.battles.targets() if rows.battles.labelled.all() else None
        used = np.array([_tells(column, targets) for column in gap.T], dtype=bool)
        if not used.any():
            raise DataError(
                f"in no feature of style do {LEAST} rows differ whose votes speak for more and for less of it; leave "
                "out --style-control"
            )
        left = ", ".join(name for name, here in zip(STYLING, used.tolist(), strict=True) if not here)
        told = f"too few answers differ in {left} for it to take part in style control"
        return cls(tuple(np.array(STYLING)[used].tolist()), rows, gap[:, used], (told,) if left else ())

    def gaps(self, rows: Named) -> NDArray[np.float64] | None:
        """The differences of these rows, shape (n, k); None where style is not controlled for."""
        if not self.names:
            return None
        if rows is self.rows:
            return self.known
        return styling_gap(rows.battles)[:, [STYLING.index(name) for name in self.names]]


def _tells(gap: NDArray[np.float64], targets: Probabilities | None) -> bool:
    """Whether enough rows differ, and not all votes among them go one way, which would be worth infinitely much."""
    differ = np.flatnonzero(gap)
    if len(differ) < LEAST or targets is None:
        return len(differ) >= LEAST
    more = np.where(gap[differ] > 0, targets[differ, 0], targets[differ, 1]) + targets[differ, 2] / 2
    return bool(0 < more.sum() < len(differ))
