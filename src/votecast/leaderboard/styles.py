"""Differences in style between the two answers of a row, for scores that do not reward it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from votecast.errors import DataError
from votecast.features.styling import STYLING, styling_gap
from votecast.leaderboard.rows import Named, has_texts


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
        """The features in which any row differs.

        Raises:
            DataError: If the rows have no texts, or no answer differs in any of them.
        """
        if not wanted:
            return cls()
        if not has_texts(rows.battles):
            raise DataError("the rows have no texts, and style is read from them; leave out --style-control")
        gap = styling_gap(rows.battles)
        used: NDArray[np.bool_] = np.any(gap != 0, axis=0, keepdims=True)[0]
        if not used.any():
            raise DataError("no two answers differ in style; leave out --style-control")
        left = ", ".join(name for name, here in zip(STYLING, used, strict=True) if not here)
        notes = (f"no two answers differ in {left}, which takes no part in style control",) if left else ()
        return cls(tuple(np.array(STYLING)[used].tolist()), rows, gap[:, used], notes)

    def gaps(self, rows: Named) -> NDArray[np.float64] | None:
        """The differences of these rows, shape (n, k); None where style is not controlled for."""
        if not self.names:
            return None
        if rows is self.rows:
            return self.known
        return styling_gap(rows.battles)[:, [STYLING.index(name) for name in self.names]]
