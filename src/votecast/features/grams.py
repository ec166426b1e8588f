"""Hashed counts of words and pairs of words, as sparse rows; no vocabulary is kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from votecast.features.words import Hashes, Words

BITS = 16
COLUMNS = 2**BITS


def hashed_terms(words: Words, first: int, last: int) -> csr_matrix:
    """Weigh the hashed words and pairs of neighbouring words of texts `first` to `last`.

    Each text's row holds 1 + log(count) of its terms, divided by the row's length (Salton & Buckley 1988); the inverse
    document frequency is left to the model.

    Args:
        words: The words of many texts.
        first: The first text wanted.
        last: One past the last.

    Returns:
        Float32 matrix of shape (last - first, COLUMNS) with sorted columns.
    """
    keys = np.concatenate([_keys(*_within(*words.grams(size), first, last)) for size in (1, 2)])
    keys.sort()
    place = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if keys.size else np.zeros(0, np.int64)
    count = np.diff(place, append=keys.size)
    keys = keys[place]
    rows = (keys >> BITS).astype(np.int64)
    starts = np.searchsorted(rows, np.arange(last - first + 1))
    values = 1.0 + np.log(count)
    squares = np.append(0.0, np.cumsum(np.rint(values**2 * 2**20)))
    norm = np.sqrt(np.maximum(np.diff(squares[starts]), 1) / 2**20)
    data = (values / norm[rows]).astype(np.float32)
    return csr_matrix((data, (keys & (COLUMNS - 1)).astype(np.int32), starts), shape=(last - first, COLUMNS))


def _within(hashes: Hashes, owner: NDArray[np.int64], first: int, last: int) -> tuple[Hashes, NDArray[np.int64]]:
    lower, upper = np.searchsorted(owner, [first, last])
    return hashes[lower:upper], owner[lower:upper] - first


def _keys(hashes: Hashes, owner: NDArray[np.int64]) -> NDArray[np.int64]:
    return (owner << BITS) | (hashes >> np.uint64(64 - BITS)).astype(np.int64)
