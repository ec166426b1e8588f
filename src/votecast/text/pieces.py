"""Token ids of one column of battles, turn by turn, in flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from votecast.text.sequences import Sequences, offsets_of, ranges

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """The turns of one column.

    Args:
        ids: Token ids of all turns of all rows, shape (tokens,).
        offsets: Where each turn starts in `ids`, and the end of the last, shape (turns + 1,).
        rows: Where each row starts among the turns, and the end of the last, shape (n + 1,).
        hidden: Tokens of each turn that no cut could keep and that are not held, shape (turns,).
        ends: Where each token ends in its turn, in characters, shape (tokens,); None where no cut asks.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    hidden: Counts
    ends: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.rows) - 1

    @property
    def lengths(self) -> Counts:
        """Tokens held of each turn."""
        return np.diff(self.offsets)

    @property
    def full(self) -> Counts:
        """Tokens of each turn, those that are not held included."""
        return self.lengths + self.hidden

    def take(self, indices: NDArray[np.int64]) -> Pieces:
        """The rows at these positions, in this order."""
        turns = np.diff(self.rows)[indices]
        which = ranges(self.rows[:-1][indices], turns)
        lengths = self.lengths[which]
        where = ranges(self.offsets[:-1][which], lengths)
        ends = None if self.ends is None else self.ends[where]
        return Pieces(self.ids[where], offsets_of(lengths), offsets_of(turns), self.hidden[which], ends)


@dataclass(frozen=True)
class Kept:
    """What a cut keeps of each turn of one column: its first tokens, a mark, its last tokens.

    Args:
        head: Number of first tokens, shape (turns,).
        tail: Number of last tokens, shape (turns,).
        marks: What stands between them, one row a turn; None for nothing.
    """

    head: Counts
    tail: Counts
    marks: Sequences | None = None

    @property
    def tokens(self) -> Counts:
        """Tokens of the text kept of each turn; marks do not count."""
        return self.head + self.tail


@dataclass(frozen=True)
class Stretches:
    """Stretches of a pool of tokens: where each starts and how long it is.

    Args:
        pool: Token ids.
        starts: Shape (k, m).
        lengths: Shape (k, m).
    """

    pool: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def ids(self) -> NDArray[np.int32]:
        """The tokens of all stretches, row by row."""
        return self.pool[ranges(self.starts.ravel(), self.lengths.ravel())]

    @classmethod
    def side_by_side(cls, parts: Sequence[Stretches]) -> Stretches:
        """The columns of all parts beside each other; they have the same number of rows."""
        bases = offsets_of(np.array([len(part.pool) for part in parts], np.int64))
        starts = [part.starts + base for part, base in zip(parts, bases[:-1], strict=True)]
        return cls(
            np.concatenate([part.pool for part in parts]),
            np.concatenate(starts, axis=1),
            np.concatenate([part.lengths for part in parts], axis=1),
        )


def kept_stretches(pieces: Pieces, kept: Kept) -> Stretches:
    """Head, mark and tail of each turn."""
    none = np.zeros(len(kept.head), np.int64)
    marks = kept.marks or Sequences(np.zeros(0, np.int32), np.zeros(len(none) + 1, np.int64))
    starts = [pieces.offsets[:-1], marks.offsets[:-1] + len(pieces.ids), pieces.offsets[1:] - kept.tail]
    lengths = [kept.head, marks.lengths, kept.tail]
    return Stretches(np.concatenate([pieces.ids, marks.ids]), np.stack(starts, axis=1), np.stack(lengths, axis=1))


def per_row(values: NDArray[np.int64], rows: NDArray[np.int64]) -> Counts:
    """Sum of one value a turn over the turns of each row.

    Example:
        >>> per_row(np.array([1, 2, 3]), np.array([0, 2, 2, 3])).tolist()
        [3, 0, 3]
    """
    return np.diff(offsets_of(values)[rows])
