"""Putting frames and texts together, all rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from votecast.text.pieces import Kept, Pieces, kept_stretches, per_row
from votecast.text.sequences import Sequences, offsets_of, ranges


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
