"""Rows of token ids of different lengths, held in flat arrays."""

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
