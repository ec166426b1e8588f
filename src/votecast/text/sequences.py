"""Hold rows of token ids of different lengths in flat arrays, and lay parts of them out as sequences.

The encoder, the batches and every network read `Sequences`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import ConfigError

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Side = Literal["left", "right"]


@dataclass(frozen=True)
class Padded:
    """A rectangle of token ids, as a network reads it.

    Args:
        ids: Token ids, shape (m, L).
        mask: 1 for a token, 0 for padding, shape (m, L).
        types: Segment ids, shape (m, L); None where the sequences have none.
    """

    ids: Ints
    mask: Ints
    types: Ints | None


@dataclass(frozen=True)
class Sequences:
    """Ragged rows of token ids.

    Args:
        ids: The ids of all rows, one after the other, shape (total,).
        offsets: Start of each row, and the end of the last, shape (n + 1,).
        types: Segment id of each token, shape (total,); None where the model has none.

    Example:
        >>> rows = Sequences.from_lists([[5, 6], [7]])
        >>> len(rows), rows.lengths.tolist(), rows.padded([1, 0], pad_id=0, multiple=1).ids.tolist()
        (2, [2, 1], [[7, 0], [5, 6]])
    """

    ids: NDArray[np.int32]
    offsets: Ints
    types: NDArray[np.int8] | None = None

    @classmethod
    def from_lists(cls, rows: Sequence[Sequence[int]]) -> Sequences:
        """Make rows from plain lists of ids."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.fromiter((i for row in rows for i in row), np.int32, int(lengths.sum()))
        return cls(ids, offsets_of(lengths))

    @classmethod
    def concat(cls, parts: Sequence[Sequences]) -> Sequences:
        """Put the rows of all parts one after the other.

        Raises:
            ConfigError: If some parts have segment ids and others have none.
        """
        if not parts:
            return cls(np.zeros(0, np.int32), np.zeros(1, np.int64))
        types = [part.types for part in parts if part.types is not None]
        if types and len(types) < len(parts):
            raise ConfigError("some sequences have segment ids and some have none; encode all with one tokenizer")
        ids = np.concatenate([part.ids for part in parts])
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(ids, offsets_of(lengths), np.concatenate(types) if types else None)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> Ints:
        """Tokens of each row, shape (n,)."""
        return np.diff(self.offsets)

    def take(self, indices: ArrayLike) -> Sequences:
        """Return the rows at these positions, in this order."""
        rows = np.asarray(indices, np.int64)
        return self.spans(self.offsets[:-1][rows], self.lengths[rows])

    def spans(self, starts: Ints, lengths: Ints) -> Sequences:
        """Return one row for each span of the flat ids, such as the first tokens of every row."""
        where = ranges(starts, lengths)
        return Sequences(self.ids[where], offsets_of(lengths), None if self.types is None else self.types[where])

    def padded(
        self, rows: ArrayLike, *, pad_id: int, multiple: int = 8, to: int | None = None, side: Side = "right"
    ) -> Padded:
        """Return some rows as a rectangle.

        Args:
            rows: Positions of the rows.
            pad_id: The token id of the padding.
            multiple: The width is rounded up to a multiple of this.
            to: A fixed width instead of that of the longest row.
            side: The side of the padding.

        Raises:
            ConfigError: If a row is longer than `to`.
        """
        part = self.take(rows)
        longest = int(part.lengths.max(initial=1))
        width = -(-longest // multiple) * multiple if to is None else to
        if longest > width:
            raise ConfigError(f"a row of {longest} tokens does not fit in {width}; cut the texts to at most {width}")
        mask = np.arange(width) < part.lengths[:, None]  # (m, L)
        if side == "left":
            mask = mask[:, ::-1]
        ids = np.full(mask.shape, pad_id, np.int64)
        ids[mask] = part.ids
        types = None
        if part.types is not None:
            types = np.zeros(mask.shape, np.int64)
            types[mask] = part.types
        return Padded(ids, mask.astype(np.int64), types)


def offsets_of(lengths: Ints | Bools) -> Ints:
    """Return the start of each row when rows of these lengths lie end to end, and the end of the last.

    Example:
        >>> offsets_of(np.array([2, 0, 3])).tolist()
        [0, 2, 2, 5]
    """
    out = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=out[1:])
    return out


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """Return the positions start, start + 1, ... of each range, one range after the other.

    Example:
        >>> ranges(np.array([10, 20]), np.array([2, 3])).tolist()
        [10, 11, 20, 21, 22]
    """
    return np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(starts - offsets_of(lengths)[:-1], lengths)


def per_row(values: Ints | Bools, rows: Ints) -> Ints:
    """Sum one value a turn over the turns of each row.

    Example:
        >>> per_row(np.array([1, 2, 3]), np.array([0, 2, 2, 3])).tolist()
        [3, 0, 3]
    """
    return np.diff(offsets_of(values)[rows])


def within_row(values: Ints, rows: Ints) -> Ints:
    """Sum the values before each one in its row.

    Example:
        >>> within_row(np.array([5, 6, 7]), np.array([0, 2, 3])).tolist()
        [0, 5, 0]
    """
    before = offsets_of(values)
    return before[:-1] - np.repeat(before[rows[:-1]], np.diff(rows))


@dataclass(frozen=True)
class TurnTokens:
    """Tokens of one text column of n battles, turn by turn.

    Args:
        tokens: One row a turn; of long turns only the ends that truncation can keep.
        rows: First turn of each battle, and the end of the last, shape (n + 1,).
        hidden: Tokens of each turn that are not held, shape (turns,).
        ends: End of each token in its turn, in characters, shape (tokens,); None where truncation does not need it.
    """

    tokens: Sequences
    rows: Ints
    hidden: Ints
    ends: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.rows) - 1

    @property
    def full(self) -> Ints:
        """Tokens of each turn, those that are not held included, shape (turns,)."""
        return self.tokens.lengths + self.hidden

    def take(self, indices: Ints) -> TurnTokens:
        """Return the battles at these positions, in this order."""
        turns = np.diff(self.rows)[indices]
        which = ranges(self.rows[:-1][indices], turns)
        ends = self.ends
        if ends is not None:
            ends = ends[ranges(self.tokens.offsets[:-1][which], self.tokens.lengths[which])]
        return TurnTokens(self.tokens.take(which), offsets_of(turns), self.hidden[which], ends)


Slot = tuple[Sequence[int] | Sequences, int]
"""The same tokens for all rows, or those of each row; and their segment id."""


def assemble(slots: Sequence[Slot], n: int, *, types: bool) -> Sequences:
    """Lay out the slots of each of n rows one after the other.

    Example:
        >>> rows = assemble([([1], 0), (Sequences.from_lists([[7, 8], []]), 1), ([2], 1)], 2, types=True)
        >>> rows[0].tolist(), rows[1].tolist(), rows.types.tolist()
        ([1, 7, 8, 2], [1, 2], [0, 1, 1, 1, 0, 1])
    """
    lengths = np.zeros((len(slots), n), np.int64)
    for number, (content, _) in enumerate(slots):
        lengths[number] = content.lengths if isinstance(content, Sequences) else len(content)
    offsets = offsets_of(lengths.sum(axis=0))
    starts = offsets[:-1] + np.cumsum(lengths, axis=0) - lengths  # (slots, n)
    ids = np.empty(int(offsets[-1]), np.int32)
    segments = np.empty(int(offsets[-1]), np.int8) if types else None
    for (content, segment), start, length in zip(slots, starts, lengths, strict=True):
        where = ranges(start, length)
        ids[where] = content.ids if isinstance(content, Sequences) else np.tile(content, n)
        if segments is not None:
            segments[where] = segment
    return Sequences(ids, offsets, segments)
