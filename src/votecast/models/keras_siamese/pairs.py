"""Battles as two sequences each, and the rectangles that a network reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.models.keras_siamese.settings import KerasSiameseSettings
from votecast.text.batching import token_batches
from votecast.text.sequences import Sequences
from votecast.text.truncation import Cut

Ints = NDArray[np.int64]
Inputs = dict[str, NDArray[Any]]
"""Arrays of shape (sequences, length), by the name of the backbone's input."""


@dataclass(frozen=True)
class ReadBattles:
    """Battles as (prompt, A) and (prompt, B), tokenised once.

    Args:
        a: One sequence a battle, with its first answer.
        b: The same with its second answer.
        cut: Tokens of prompt, A and B kept and before the cut.
    """

    a: Sequences
    b: Sequences
    cut: Cut

    def __len__(self) -> int:
        return len(self.a)

    def take(self, indices: ArrayLike) -> ReadBattles:
        """The battles at these positions, in this order."""
        return ReadBattles(self.a.take(indices), self.b.take(indices), self.cut.take(indices))

    @property
    def costs(self) -> Ints:
        """Tokens of the longer sequence of each battle, shape (n,)."""
        return np.maximum(self.a.lengths, self.b.lengths)

    @property
    def interleaved(self) -> Sequences:
        """A and B of the first battle, A and B of the second, and so on: 2 n sequences."""
        both = Sequences.concat([self.a, self.b])
        return both.take(np.arange(2 * len(self)).reshape(2, -1).T.ravel())


@dataclass(frozen=True)
class Frame:
    """How sequences become rectangles.

    Args:
        longest: The most tokens of a sequence.
        multiple: Lengths are rounded up to multiples of this, at most to `longest`.
        pad_id: The token that fills up.
        always_longest: Pad every sequence to `longest`.
        has_segments: Whether the backbone reads segment ids.
    """

    longest: int
    multiple: int
    pad_id: int
    always_longest: bool
    has_segments: bool

    @classmethod
    def of(cls, settings: KerasSiameseSettings, *, pad_id: int, has_segments: bool) -> Frame:
        """The frame that settings ask for."""
        whole = settings.pooling == "positions"
        return cls(settings.text.max_length, settings.multiple, pad_id, whole, has_segments)

    def width(self, longest: int) -> int:
        """Padded length of sequences of which the longest has this many tokens.

        Example:
            >>> Frame(512, 64, 0, False, False).width(70)
            128
        """
        rounded = -(-max(longest, 1) // self.multiple) * self.multiple
        return self.longest if self.always_longest else max(longest, min(rounded, self.longest))

    def fill(self, sequences: Sequences, rows: int) -> Inputs:
        """A rectangle of this many rows; those beyond the sequences hold one token of padding and are to be ignored."""
        width = self.width(int(sequences.lengths.max(initial=1)))
        padded = sequences.padded(np.arange(len(sequences)), pad_id=self.pad_id, to=width)
        extra = rows - len(sequences)
        ids = np.pad(padded.ids, ((0, extra), (0, 0)), constant_values=self.pad_id)
        mask = np.pad(padded.mask, ((0, extra), (0, 0)))
        mask[len(sequences) :, 0] = 1
        inputs = {"token_ids": ids.astype(np.int32), "padding_mask": mask.astype(np.int32)}
        if self.has_segments:
            types = np.zeros_like(padded.ids) if padded.types is None else padded.types
            inputs["segment_ids"] = np.pad(types, ((0, extra), (0, 0))).astype(np.int32)
        return inputs

    def batches(self, lengths: Ints, budget: int) -> list[tuple[Ints, int]]:
        """Rows that are read together, and the number of rows of their rectangle: few different shapes occur.

        Example:
            >>> frame = Frame(64, 32, 0, False, False)
            >>> [(rows.tolist(), height) for rows, height in frame.batches(np.array([9, 60, 8, 7]), 96)]
            [([1], 1), ([0, 2, 3], 4)]
        """
        wide = np.array([self.width(int(length)) for length in lengths], np.int64)
        parts = token_batches(wide, budget=budget, multiple=1)
        return [(rows, 1 << (len(rows) - 1).bit_length()) for rows in parts]


def distinct(sequences: Sequences) -> tuple[Sequences, Ints]:
    """Every different sequence once, in an order that depends on nothing but these sequences.

    Whatever is computed of them is then the same, bit by bit, when the answers of a battle are exchanged.

    Returns:
        The sequences, and where each of the given ones is among them.

    Example:
        >>> found, where = distinct(Sequences.from_lists([[7, 1], [5], [7, 1]]))
        >>> len(found), where.tolist()
        (2, [1, 0, 1])
    """
    keys = [sequences[row].astype(">i4").tobytes() for row in range(len(sequences))]
    if sequences.types is not None:
        starts = sequences.offsets
        keys = [key + sequences.types[starts[i] : starts[i + 1]].tobytes() for i, key in enumerate(keys)]
    order = {key: place for place, key in enumerate(sorted(set(keys)))}
    where = np.fromiter((order[key] for key in keys), np.int64, len(keys))
    first = np.empty(len(order), np.int64)
    first[where[::-1]] = np.arange(len(keys))[::-1]
    return sequences.take(first), where
