"""Token ids of one column of battles, turn by turn, in flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from votecast.text.sequences import offsets_of, ranges


@dataclass(frozen=True)
class Pieces:
    """The turns of one column.

    Args:
        ids: Token ids of all turns of all rows, shape (tokens,).
        offsets: Where each turn starts in `ids`, and the end of the last, shape (turns + 1,).
        rows: Where each row starts among the turns, and the end of the last, shape (n + 1,).
        ends: Where each token ends in its turn, in characters, shape (tokens,); None where nobody asks.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    ends: NDArray[np.int32] | None = None

    @classmethod
    def build(
        cls, tokens: Sequence[Sequence[int]], turns: NDArray[np.int64], ends: Sequence[Sequence[int]] | None = None
    ) -> Pieces:
        """Pieces from the tokens of every turn and the number of turns of every row."""
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        total = int(lengths.sum())
        ids = np.fromiter((i for piece in tokens for i in piece), np.int32, total)
        stops = None if ends is None else np.fromiter((i for piece in ends for i in piece), np.int32, total)
        return cls(ids, offsets_of(lengths), offsets_of(turns), stops)

    def __len__(self) -> int:
        return len(self.rows) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each turn."""
        return np.diff(self.offsets)

    @property
    def row(self) -> NDArray[np.int64]:
        """Row of each turn."""
        return np.repeat(np.arange(len(self)), np.diff(self.rows))

    @property
    def turn(self) -> NDArray[np.int64]:
        """Number of each turn within its row."""
        return np.arange(len(self.offsets) - 1) - np.repeat(self.rows[:-1], np.diff(self.rows))

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Tokens of each row, shape (n,)."""
        return np.diff(self.offsets[self.rows])

    def per_row(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sum of one value a turn over the turns of each row."""
        return np.diff(offsets_of(values)[self.rows])

    def take(self, indices: NDArray[np.int64]) -> Pieces:
        """The rows at these positions, in this order."""
        turns = np.diff(self.rows)[indices]
        which = ranges(self.rows[:-1][indices], turns)
        lengths = self.lengths[which]
        where = ranges(self.offsets[:-1][which], lengths)
        ends = None if self.ends is None else self.ends[where]
        return Pieces(self.ids[where], offsets_of(lengths), offsets_of(turns), ends)
