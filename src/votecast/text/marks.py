"""Texts cut in the middle, with a mark that says how much is missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from votecast.text.pieces import Counts, Kept, Pieces
from votecast.text.sequences import Sequences, offsets_of
from votecast.text.tokenizer import Tokenizer


def mark(characters: int) -> str:
    """What stands where the middle of a text was.

    Example:
        >>> mark(1204)
        ' (… 1204 characters) '
    """
    return f" (… {characters} characters) "


def middle(pieces: Pieces, budget: Counts, tokenizer: Tokenizer) -> Kept:
    """Keep both ends of every turn that is too long, the first end one token more where it does not come out even.

    Where there is no room for the mark and a token on both sides of it, the first tokens stay, without a mark.

    Args:
        pieces: The turns, with the ends of their tokens.
        budget: Tokens for each turn, mark included.
        tokenizer: Makes tokens of the mark.
    """
    head, tail = np.minimum(budget, pieces.lengths), np.zeros_like(budget)
    cut = np.flatnonzero((budget < pieces.full) & (budget > 0))
    room, start, stop = budget[cut], pieces.offsets[:-1][cut], pieces.offsets[1:][cut]
    reserved = np.zeros(len(cut), np.int64)
    while True:
        texts = np.maximum(room - reserved, 0)
        marked = texts >= 2
        first = np.where(marked, (texts + 1) // 2, head[cut])
        last = np.where(marked, texts // 2, 0)
        marks = _marks(_missing(pieces, start + first, stop - last), tokenizer)
        longer = marked & (marks.lengths > reserved)
        if not longer.any():
            break
        reserved = np.where(longer, marks.lengths, reserved)
    head[cut], tail[cut] = first, last
    lengths = np.zeros(len(budget), np.int64)
    lengths[cut] = np.where(marked, marks.lengths, 0)
    return Kept(head, tail, Sequences(marks.take(np.flatnonzero(marked)).ids, offsets_of(lengths)))


def _missing(pieces: Pieces, first: NDArray[np.int64], stop: NDArray[np.int64]) -> Counts:
    """Characters between the token before `first` and the one before `stop`, the first token kept of the end."""
    assert pieces.ends is not None
    return pieces.ends[stop - 1].astype(np.int64) - pieces.ends[first - 1]


def _marks(characters: Counts, tokenizer: Tokenizer) -> Sequences:
    unique, which = np.unique(characters, return_inverse=True)
    encoded = tokenizer.encode([mark(int(count)) for count in unique])
    return Sequences.from_lists(encoded).take(which)
