"""Find words, sentences and hashed terms in whole arrays of characters at once.

`extract` counts them for the linear model and the trees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from votecast.features.characters import ALPHABETS, Texts, lower_table, texts_of

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_STEP = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)
_ONE = np.uint64(1)

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Words:
    """The words of many texts, in order; every Chinese or Japanese character is a word.

    Args:
        hashes: Hash of each word in lower case, uint64 of shape (words,).
        owner: Text each word belongs to, int64 of shape (words,).
        first: Position of its first character.
        length: Number of its characters.
        starts: Where the words of each text start, int64 of shape (texts + 1,).
    """

    hashes: Hashes
    owner: NDArray[np.int64]
    first: NDArray[np.int64]
    length: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of words of each text."""
        return np.diff(self.starts)

    def grams(self, size: int) -> tuple[Hashes, NDArray[np.int64]]:
        """Hashes of all runs of `size` words that stay within one text, and the text of each."""
        return self._pairs if size == 2 else self._grams(size)

    @cached_property
    def _pairs(self) -> tuple[Hashes, NDArray[np.int64]]:
        return self._grams(2)

    def _grams(self, size: int) -> tuple[Hashes, NDArray[np.int64]]:
        hashes = self.hashes
        for behind in range(1, size):
            hashes = mix(hashes[:-1] * _STEP + self.hashes[behind:])
        if size == 1:
            return hashes, self.owner
        inside = self.owner[: hashes.size] == self.owner[size - 1 :]
        return hashes[inside], self.owner[: hashes.size][inside]


def words_of(texts: Texts) -> Words:
    """Find the words of texts: runs of letters, digits and apostrophes, or single Chinese or Japanese characters."""
    letter = texts.is_kind("lower", "upper", "digit", "apostrophe", *ALPHABETS)
    single = texts.is_kind("han", "kana")
    before = np.concatenate([[False], letter[:-1] & ~single[:-1]]) if letter.size else letter
    first = np.flatnonzero(letter & (single | ~before))
    ends = np.flatnonzero(letter & ~np.append(letter[1:] & ~single[1:], False) | single) + 1
    hashes = span_hashes(prefix_hashes(texts), first, ends)
    return Words(hashes, texts.owner[first], first, ends - first, np.searchsorted(first, texts.starts))


def prefix_hashes(texts: Texts) -> Hashes:
    """Running polynomial hash of the lower-cased characters, shape (characters + 1,), modulo 2^64."""
    powers = _powers(_BASE, _rounded(texts.codes.size))[: texts.codes.size]
    out = np.zeros(texts.codes.size + 1, dtype=np.uint64)
    np.cumsum((lower_table()[texts.codes] + np.uint32(1)) * powers, out=out[1:])
    return out


def span_hashes(prefix: Hashes, first: NDArray[np.int64], ends: NDArray[np.int64]) -> Hashes:
    """Hash of each span of characters; equal texts have equal hashes wherever they stand."""
    inverse = _powers(_INVERSE, _rounded(prefix.size - 1))
    return mix((prefix[ends] - prefix[first]) * inverse[first])


def mix(hashes: Hashes) -> Hashes:
    """Spread the bits of 64-bit hashes (the finaliser of MurmurHash3, Appleby 2011)."""
    hashes = hashes ^ (hashes >> _SHIFT)
    hashes = hashes * _MIX
    return hashes ^ (hashes >> _SHIFT)


def among(hashes: Hashes, wanted: Hashes) -> NDArray[np.bool_]:
    """Which hashes occur in a sorted, non-empty array of them."""
    place = np.minimum(np.searchsorted(wanted, hashes), wanted.size - 1)
    return np.asarray(wanted[place] == hashes)


def phrase_hashes(phrases: tuple[str, ...]) -> dict[int, Hashes]:
    """Hashes of phrases, sorted, by their number of words."""
    column = pa.chunked_array([pa.array([[phrase] for phrase in phrases], pa.list_(pa.large_string()))])
    words = words_of(texts_of([column], 1000))
    found: dict[int, Hashes] = {}
    for size in np.unique(words.counts).tolist():
        hashes, owner = words.grams(size)
        found[size] = np.unique(hashes[words.counts[owner] == size])
    return found


def _rounded(size: int) -> int:
    return 1 << max(16, int(size).bit_length())


@cache
def _powers(base: int, size: int) -> Hashes:
    factors = np.full(size, base, dtype=np.uint64)
    factors[0] = _ONE
    return np.cumprod(factors)


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


Column = NDArray[np.float64]


@dataclass(frozen=True)
class Sentences:
    """The sentences of many texts: what lies between full stops, question or exclamation marks, and line breaks.

    Args:
        owner: Text of each sentence, shape (sentences,).
        of_word: Sentence of each word, shape (words,).
        hashes: Hash of each sentence's words.
    """

    owner: NDArray[np.int64]
    of_word: NDArray[np.int64]
    hashes: Hashes

    def counts(self, n: int) -> NDArray[np.int64]:
        """Number of sentences of each of n texts."""
        return np.bincount(self.owner, minlength=n)

    def share(self, marked: NDArray[np.bool_], n: int) -> Column:
        """Share of the sentences of each of n texts that are marked; 0 without any."""
        return np.bincount(self.owner[marked], minlength=n) / np.maximum(self.counts(n), 1)

    def holding(self, words: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which sentences hold a marked word."""
        return np.bincount(self.of_word[words], minlength=self.owner.size) > 0

    def repeated(self) -> NDArray[np.bool_]:
        """Which sentences say the same as the one before."""
        same = (self.hashes[1:] == self.hashes[:-1]) & (self.owner[1:] == self.owner[:-1])
        return np.append(False, same) if self.owner.size else same


def sentences_of(texts: Texts, words: Words) -> Sentences:
    """Find the sentences of texts that hold a word."""
    ends = texts.is_kind("stop", "question", "exclamation", "newline")
    number = np.cumsum(ends)[words.first] if words.first.size else words.first
    new = np.diff(number, prepend=-1) != 0
    first = np.flatnonzero(new)
    if not first.size:
        return Sentences(first, first, np.zeros(0, dtype=np.uint64))
    place = (np.arange(new.size) - np.repeat(first, np.diff(first, append=new.size))).astype(np.uint64)
    hashes = np.add.reduceat(mix(words.hashes + place), first)
    return Sentences(words.owner[first], np.cumsum(new) - 1, hashes)
