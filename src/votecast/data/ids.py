"""Whether names of rows are unique, in 16 bytes a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class IdIndex:
    """The names seen so far, as sorted 64-bit hashes with the row of each.

    Example:
        >>> index = IdIndex()
        >>> index.repeated(["x", "y", "x"], np.array([1, 2, 3]))
        {2: 1}
        >>> index.repeated(["y"], np.array([4]))
        {0: 2}
    """

    def __init__(self) -> None:
        self._runs: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []

    def repeated(self, ids: Sequence[str], rows: NDArray[np.int64]) -> dict[int, int]:
        """Take in the next names.

        Args:
            ids: The names.
            rows: Row of each, shape (n,).

        Returns:
            Position of each name that was there before, with the row where it was.
        """
        hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
        _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        earlier = rows[first[inverse]]  # (n,) row of the first occurrence in this batch
        again = earlier != rows
        for known, known_rows in self._runs:
            at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            found = known[at] == hashes
            again |= found
            earlier = np.where(found, known_rows[at], earlier)
        fresh = first[~again[first]]  # in the order of their hashes
        self._add(hashes[fresh], rows[fresh])
        return {int(i): int(earlier[i]) for i in np.flatnonzero(again)}

    def _add(self, hashes: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Merge runs of similar length, so that there are few of them."""
        while self._runs and len(self._runs[-1][0]) <= 2 * len(hashes):
            known, known_rows = self._runs.pop()
            order = np.argsort(np.concatenate([known, hashes]), kind="stable")
            hashes = np.concatenate([known, hashes])[order]
            rows = np.concatenate([known_rows, rows])[order]
        if len(hashes):
            self._runs.append((hashes, rows))
