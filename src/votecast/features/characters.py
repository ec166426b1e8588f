"""Hashed counts of runs of two to four characters within words, word boundaries included; no vocabulary is kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from votecast.features.codes import ALPHABETS, Texts, lower_table

BUCKETS = 1024
_BITS = 22  # 32 bits of hash less these are a bucket
_BOUNDARY = 0x20
_STEP, _MIX = np.uint32(0x01000193), np.uint32(0x2C1B3C6D)
_MOST = 255
_GROWTH = np.rint(np.log1p(np.arange(_MOST + 1)) * 2**12) / 2**12


def hashed_runs(texts: Texts, first: int, last: int) -> NDArray[np.float16]:
    """Weigh the hashed runs of characters of texts `first` to `last`.

    Runs lie within words, which they may enter or leave by one boundary, as "character n-grams within word boundaries"
    do (Cavnar & Trenkle 1994). Each text's row holds log(1 + count), divided by the row's length.

    Args:
        texts: Many texts.
        first: The first text wanted.
        last: One past the last.

    Returns:
        Matrix of shape (last - first, BUCKETS).
    """
    span = slice(texts.starts[first], texts.starts[last])
    letter = texts.is_kind("lower", "upper", "digit", *ALPHABETS)[span]
    codes = np.full(letter.size + 3, _BOUNDARY, dtype=np.uint32)
    np.copyto(codes[1:-2], lower_table()[texts.codes[span]], where=letter)
    row = ((texts.owner[span] - first) * BUCKETS)[letter]
    counts = np.zeros((last - first) * BUCKETS, dtype=np.int64)
    for size in (2, 3, 4):
        keys = row + _buckets(codes, size, letter.size)[letter]
        if size == 4:
            keys = keys[np.append(letter[1:], False)[letter]]
        counts += np.bincount(keys, minlength=counts.size)
    values = _GROWTH[np.minimum(counts, _MOST)].reshape(last - first, BUCKETS)
    length = np.sqrt(np.sum(values * values, axis=1, keepdims=True))  # sums of multiples of 2^-24 are exact
    return np.asarray((values / np.maximum(length, 1)).astype(np.float16))


def _buckets(codes: NDArray[np.uint32], size: int, n: int) -> NDArray[np.int64]:
    """Bucket of the run of `size` characters that starts at each of n places."""
    hashes = codes[:n] + np.uint32(size)
    for place in range(1, size):
        hashes = hashes * _STEP ^ codes[place : n + place]
    hashes ^= hashes >> np.uint32(15)
    hashes *= _MIX
    hashes ^= hashes >> np.uint32(13)
    hashes *= _STEP
    return (hashes >> np.uint32(_BITS)).astype(np.int64)
