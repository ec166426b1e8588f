"""Look into battles as arrays: turns, characters, rows without text, and numbers of equal texts.

The cleaning, the folds, the inspection and the features of judges call these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.data.battles import TEXT_COLUMNS, Battles

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_ROWS_AT_ONCE = 1024


def turns_of(chunk: pa.Array) -> tuple[Ints, pa.Array]:
    """Flatten the turns of one chunk of a text column.

    Returns:
        The bounds of the rows, shape (n + 1,), and their turns in one array, "" for None.
    """
    # A slice shares the buffers of its parent: its offsets need not begin at 0.
    bounds = chunk.offsets.to_numpy().astype(np.int64)  # (n + 1,)
    turns = chunk.values.slice(bounds[0], bounds[-1] - bounds[0])
    return bounds - bounds[0], turns.fill_null("")


def rows_of(column: pa.ChunkedArray) -> Iterator[list[str | None]]:
    """Iterate over the lists of turns of a text column, a few rows in memory at a time."""
    for chunk in column.chunks:
        for start in range(0, len(chunk), _ROWS_AT_ONCE):
            yield from chunk.slice(start, _ROWS_AT_ONCE).to_pylist()


def sum_turns(battles: Battles, column: str, measure: Callable[[pa.Array], NDArray[np.generic]]) -> Ints:
    """Sum a measure of turns, such as their length, over the turns of each row of a text column, shape (n,)."""
    parts = [np.zeros(0, dtype=np.int64)]
    for chunk in battles.column(column).chunks:
        bounds, turns = turns_of(chunk)
        # Sums of rows are differences of one cumulative sum: no Python object a row.
        sums = np.concatenate([[0], np.cumsum(measure(turns))])
        parts.append(np.diff(sums[bounds]).astype(np.int64))
    return np.concatenate(parts)


def characters(battles: Battles, column: str) -> Ints:
    """Count the characters of a text column, all turns together, shape (n,)."""
    return sum_turns(battles, column, lambda turns: pc.utf8_length(turns).to_numpy())


def has_texts(battles: Battles) -> bool:
    """Return whether any row has a text."""
    return any(pc.sum(pc.list_value_length(battles.column(name))).as_py() for name in TEXT_COLUMNS)


def without_text(battles: Battles, column: str) -> Bools:
    """Find rows whose text column has no visible character: no turns, or only None, empty or white-space turns."""

    def _is_visible(turns: pa.Array) -> Bools:
        blank = pc.or_(pc.equal(pc.binary_length(turns), 0), pc.utf8_is_space(turns))
        return np.asarray(~blank.to_numpy(zero_copy_only=False), dtype=bool)

    return np.asarray(sum_turns(battles, column, _is_visible) == 0, dtype=bool)


@dataclass(frozen=True)
class AnswerPairs:
    """Numbers for the texts of n rows, shape (n,): equal numbers are equal texts, on whichever side an answer is."""

    prompt: Ints
    answer_a: Ints
    answer_b: Ints

    @classmethod
    def of(cls, battles: Battles) -> AnswerPairs:
        """Number the texts of battles; exact up to a collision of 128-bit BLAKE2b hashes.

        Example:
            >>> row = {"prompt": "Hi", "response_a": "x", "response_b": "y"}
            >>> pairs = AnswerPairs.of(Battles.from_rows([row, row | {"response_a": "y", "response_b": "x"}]))
            >>> pairs.numbers(ordered=False).tolist(), pairs.numbers(ordered=True).tolist(), pairs.reversed.tolist()
            ([0, 0], [0, 1], [False, True])
        """
        prompt, first, second = (_cell_digests(battles.column(name)) for name in TEXT_COLUMNS)
        # Numbered together, so that an answer has one number on either side.
        answers = _number(np.concatenate([first, second]))  # (2n,)
        return cls(_number(prompt), answers[: len(battles)], answers[len(battles) :])

    @property
    def identical(self) -> Bools:
        """Rows whose two answers are the same text, shape (n,)."""
        return np.asarray(self.answer_a == self.answer_b, dtype=bool)

    @property
    def reversed(self) -> Bools:
        """Rows that show their pair in the other order than the first row with this pair, shape (n,)."""
        pair = self.numbers(ordered=False)
        first = np.unique(pair, return_index=True)[1]
        return np.asarray(self.answer_a != self.answer_a[first][pair], dtype=bool)

    def numbers(self, *, ordered: bool, prompt: bool = True) -> Ints:
        """Number the pairs of answers from 0 in the order of first appearance, shape (n,).

        Args:
            ordered: Whether the same answers in the other order are another pair.
            prompt: Whether the same answers to another prompt are another pair.
        """
        one, two = self.answer_a, self.answer_b
        if not ordered:
            one, two = np.minimum(one, two), np.maximum(one, two)
        keys = np.column_stack([self.prompt, one, two] if prompt else [one, two])
        return by_appearance(np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1))


def by_appearance(numbers: Ints) -> Ints:
    """Number groups anew in the order in which they first appear."""
    first, inverse = np.unique(numbers, return_index=True, return_inverse=True)[1:]
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.reshape(-1)]


def _cell_digests(column: pa.ChunkedArray) -> NDArray[np.bytes_]:
    """Hash each list of turns: its characters, which lie in one run, then the lengths, -1 for a turn that is None."""
    out = []
    for chunk in column.chunks:
        bounds, turns = turns_of(chunk)
        lengths = pc.binary_length(turns).to_numpy()
        missing = chunk.values.slice(chunk.offsets[0].as_py(), len(turns)).is_null().to_numpy(zero_copy_only=False)
        sizes = np.where(missing, -1, lengths).astype("<i8")
        characters = memoryview(turns.buffers()[2] or b"")
        # A slice keeps the buffer of its array: the characters of its first turn do not begin at byte 0.
        offsets = np.frombuffer(turns.buffers()[1] or bytes(8), dtype=np.int64)
        places = np.concatenate([[0], np.cumsum(lengths)]) + (int(offsets[turns.offset]) if len(turns) else 0)
        heads, tails = places[bounds[:-1]], places[bounds[1:]]
        for start, stop, head, tail in zip(bounds[:-1], bounds[1:], heads, tails, strict=True):
            digest = hashlib.blake2b(characters[head:tail], digest_size=16)
            digest.update(sizes[start:stop].tobytes())
            out.append(digest.digest())
    return np.frombuffer(b"".join(out), dtype="S16")


def _number(digests: NDArray[np.bytes_]) -> Ints:
    return np.unique(digests, return_inverse=True)[1].reshape(-1).astype(np.int64)
