"""Hold rows of token ids of different lengths in flat arrays, and lay them out as sequences.

The encoder, the batches and every network read `Sequences`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import ConfigError

Side = Literal["left", "right"]


@dataclass(frozen=True)
class Padded:
    """A rectangle of token ids, as a network reads it.

    Args:
        ids: Token ids, shape (m, L).
        mask: 1 for a token, 0 for padding, shape (m, L).
        types: Segment ids, shape (m, L); None where the sequences have none.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    types: NDArray[np.int64] | None


@dataclass(frozen=True)
class Sequences:
    """Ragged rows of token ids.

    Args:
        ids: The ids of all rows, one after the other, shape (total,).
        offsets: Where each row starts, and the end of the last, shape (n + 1,).
        types: Segment id of each token, shape (total,); None where the model has none.

    Example:
        >>> rows = Sequences.from_lists([[5, 6], [7]])
        >>> len(rows), rows.lengths.tolist(), rows.padded([1, 0], pad_id=0, multiple=1).ids.tolist()
        (2, [2, 1], [[7, 0], [5, 6]])
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    types: NDArray[np.int8] | None = None

    @classmethod
    def from_lists(cls, rows: Sequence[Sequence[int]]) -> Sequences:
        """Rows from plain lists of ids."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.fromiter((i for row in rows for i in row), np.int32, int(lengths.sum()))
        return cls(ids, offsets_of(lengths))

    @classmethod
    def concat(cls, parts: Sequence[Sequences]) -> Sequences:
        """The rows of all parts, one part after the other.

        Raises:
            ConfigError: If some parts have segment ids and others have none.
        """
        if not parts:
            return cls(np.zeros(0, np.int32), np.zeros(1, np.int64))
        kinds = [part.types for part in parts if part.types is not None]
        if kinds and len(kinds) < len(parts):
            raise ConfigError("some sequences have segment ids and some have none; encode all with one tokenizer")
        ids = np.concatenate([part.ids for part in parts])
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(ids, offsets_of(lengths), np.concatenate(kinds) if kinds else None)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each row, shape (n,)."""
        return np.diff(self.offsets)

    def take(self, indices: ArrayLike) -> Sequences:
        """The rows at these positions, in this order."""
        rows = np.asarray(indices, np.int64)
        lengths = self.lengths[rows]
        where = ranges(self.offsets[:-1][rows], lengths)
        return Sequences(self.ids[where], offsets_of(lengths), None if self.types is None else self.types[where])

    def padded(
        self, rows: ArrayLike, *, pad_id: int, multiple: int = 8, to: int | None = None, side: Side = "right"
    ) -> Padded:
        """Some rows as a rectangle.

        Args:
            rows: Positions of the rows.
            pad_id: The id that fills up.
            multiple: The width is rounded up to a multiple of this.
            to: A fixed width in place of that of the longest row.
            side: Where the padding stands.

        Raises:
            ConfigError: If a row is longer than `to`.
        """
        part = self.take(rows)
        longest = int(part.lengths.max(initial=1))
        width = -(-longest // multiple) * multiple if to is None else to
        if longest > width:
            raise ConfigError(f"a row of {longest} tokens does not fit in {width}; cut the texts to at most {width}")
        mask = np.arange(width) < part.lengths[:, None]
        if side == "left":
            mask = mask[:, ::-1]
        return Padded(
            _filled(mask, part.ids, pad_id),
            mask.astype(np.int64),
            None if part.types is None else _filled(mask, part.types, 0),
        )


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where rows of these lengths start when laid end to end, and where the last ends.

    Example:
        >>> offsets_of(np.array([2, 0, 3])).tolist()
        [0, 2, 2, 5]
    """
    out = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=out[1:])
    return out


def ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The positions start, start + 1, ... of each range, one range after the other.

    Example:
        >>> ranges(np.array([10, 20]), np.array([2, 3])).tolist()
        [10, 11, 20, 21, 22]
    """
    return np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(starts - offsets_of(lengths)[:-1], lengths)


def _filled(mask: NDArray[np.bool_], values: NDArray[Any], fill: int) -> NDArray[np.int64]:
    out = np.full(mask.shape, fill, np.int64)
    out[mask] = values
    return out


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


@dataclass(frozen=True)
class Slot:
    """One stretch of every sequence: the same tokens in all rows, or a text of each row.

    Args:
        content: The tokens, or one text a row.
        type: Segment id.
    """

    content: Sequence[int] | Sequences
    type: int = 0


def assemble(slots: Sequence[Slot], n: int, *, types: bool) -> Sequences:
    """Lay the slots of each of n rows one after the other.

    Example:
        >>> rows = assemble([Slot([1]), Slot(Sequences.from_lists([[7, 8], []]), 1), Slot([2], 1)], 2, types=True)
        >>> rows[0].tolist(), rows[1].tolist(), rows.types.tolist()
        ([1, 7, 8, 2], [1, 2], [0, 1, 1, 1, 0, 1])
    """
    lengths = np.zeros((len(slots), n), np.int64)
    for number, slot in enumerate(slots):
        lengths[number] = slot.content.lengths if isinstance(slot.content, Sequences) else len(slot.content)
    offsets = offsets_of(lengths.sum(axis=0))
    starts = offsets[:-1] + np.cumsum(lengths, axis=0) - lengths
    ids = np.empty(int(offsets[-1]), np.int32)
    kinds = np.empty(int(offsets[-1]), np.int8) if types else None
    for slot, start, length in zip(slots, starts, lengths, strict=True):
        where = ranges(start, length)
        ids[where] = slot.content.ids if isinstance(slot.content, Sequences) else np.tile(slot.content, n)
        if kinds is not None:
            kinds[where] = slot.type
    return Sequences(ids, offsets, kinds)


def text_of(pieces: Pieces, kept: Kept) -> Sequences:
    """What is kept of each turn, the turns of a row joined."""
    table = kept_stretches(pieces, kept)
    return Sequences(table.ids, offsets_of(per_row(table.lengths.sum(axis=1), pieces.rows)))
