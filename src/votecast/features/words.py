"""Find words, lines and sentences in arrays of characters, and hash them.

`extract` counts the hashed terms; style and overlap compare the hashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from votecast.features.characters import ALPHABETS, NEWLINE, Bools, Hashes, Ints, Texts, character_tables

Terms = tuple[Hashes, Ints]
"""Hashes, and the text of each."""
DistinctTerms = tuple[Hashes, Ints, Ints]
"""Keys (text in the upper 24 bits, hash in the lower 40) in ascending order, the text of each, and its count."""

# Fibonacci hashing (Knuth 1998, 6.4): 2^64 divided by the golden ratio. Odd, so that it has an inverse modulo 2^64.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_STEP = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)


@dataclass(frozen=True)
class Words:
    """The words and lines of n texts in order; every Chinese or Japanese character is a word.

    Args:
        hashes: Hash of each word in lower case, shape (words,).
        owner: Text of each word, shape (words,).
        first: Position of its first character, shape (words,).
        length: Characters of each word, shape (words,).
        counts: Words of each text, shape (n,).
        line_hashes: Hash of each line, shape (lines,).
        line_owner: Text of each line, shape (lines,).
        openings: The first four characters of each line after its indentation, shape (lines, 4).
    """

    hashes: Hashes
    owner: Ints
    first: Ints
    length: Ints
    counts: Ints
    line_hashes: Hashes
    line_owner: Ints
    openings: NDArray[np.uint32]

    def grams(self, size: int) -> Terms:
        """Hash all runs of `size` words within one text."""
        hashes = self.hashes
        for behind in range(1, size):
            hashes = mix(hashes[:-1] * _STEP + self.hashes[behind:])
        owner = self.owner[: hashes.size]
        inside = owner == self.owner[size - 1 :]
        return hashes[inside], owner[inside]


def find_words(texts: Texts) -> Words:
    """Find the words of texts and their lines that are not blank."""
    # A word is a run of letters, digits and apostrophes, or one Chinese or Japanese character.
    letter = texts.is_kind("lower", "upper", "digit", "apostrophe", *ALPHABETS)
    single = texts.is_kind("han", "kana")
    joins = letter & ~single  # characters that go on in the same word
    first = np.flatnonzero(letter & ~(joins & np.append(False, joins[:-1])))
    ends = np.flatnonzero(letter & ~(joins & np.append(joins[1:], False))) + 1

    solid = np.flatnonzero(~texts.is_kind("space", "newline"))
    breaks = np.flatnonzero(texts.is_kind("newline"))
    line_first = solid[np.flatnonzero(np.diff(np.searchsorted(breaks, solid), prepend=-1))]
    line_ends = breaks[np.searchsorted(breaks, line_first)] if line_first.size else line_first
    openings = np.append(texts.codes, np.full(4, NEWLINE, dtype=np.uint32))[line_first[:, None] + np.arange(4)]

    # A running polynomial hash of all characters modulo 2^64 (Karp & Rabin 1987): the hash of a span is the difference
    # of two entries, moved back to the power 0, so that equal spans have equal hashes wherever they stand.
    size = texts.codes.size
    table_size = max(2**16, 1 << size.bit_length())  # few sizes, so that few tables of powers are cached
    steps = (character_tables()[1][texts.codes] + np.uint32(1)) * _powers(_BASE, table_size)[:size]
    running = np.append(np.uint64(0), np.cumsum(steps))
    inverse = _powers(_INVERSE, table_size)
    hashes, line_hashes = (
        mix((running[end] - running[start]) * inverse[start]) for start, end in ((first, ends), (line_first, line_ends))
    )
    return Words(
        hashes,
        texts.owner[first],
        first,
        ends - first,
        np.diff(np.searchsorted(first, texts.starts)),
        line_hashes,
        texts.owner[line_first],
        openings,
    )


@dataclass(frozen=True)
class Sentences:
    """Spans between full stops, question or exclamation marks and line breaks that hold a word.

    Args:
        hashes: Hash of each sentence's words, shape (sentences,).
        owner: Text of each sentence, shape (sentences,).
        of_word: Sentence of each word, shape (words,).
        counts: Sentences of each of n texts, shape (n,).
    """

    hashes: Hashes
    owner: Ints
    of_word: Ints
    counts: Ints

    def share(self, marked: Bools) -> NDArray[np.float64]:
        """Return the share of each text's sentences that are marked, shape (n,); 0 without any."""
        return np.bincount(self.owner[marked], minlength=self.counts.size) / np.maximum(self.counts, 1)


def find_sentences(texts: Texts, words: Words) -> Sentences:
    """Find the sentences of texts."""
    ends = texts.is_kind("stop", "question", "exclamation", "newline")
    number = np.cumsum(ends)[words.first] if words.first.size else words.first
    new = np.diff(number, prepend=-1) != 0
    first = np.flatnonzero(new)
    # The place of a word in its sentence is part of the hash: the same words in another order are another sentence.
    place = (np.arange(new.size) - np.repeat(first, np.diff(first, append=new.size))).astype(np.uint64)
    # `reduceat` raises for an empty index.
    hashes = np.add.reduceat(mix(words.hashes + place), first) if first.size else words.hashes
    owner = words.owner[first]
    return Sentences(hashes, owner, np.cumsum(new) - 1, np.bincount(owner, minlength=texts.turns.size))


def mix(hashes: Hashes) -> Hashes:
    """Spread the bits of 64-bit hashes (the finaliser of MurmurHash3, Appleby 2011)."""
    hashes = hashes ^ (hashes >> _SHIFT)
    hashes = hashes * _MIX
    return hashes ^ (hashes >> _SHIFT)


@cache
def _powers(base: int, size: int) -> Hashes:
    factors = np.full(size, base, dtype=np.uint64)
    factors[0] = 1
    return np.cumprod(factors)


def distinct_terms(hashes: Hashes, owner: Ints) -> DistinctTerms:
    """Find the distinct hashes of each text, shortened to 40 bits, in order of text and hash."""
    # Text and hash in one key: a single sort orders both, and a chunk has far fewer than 2^24 texts.
    keys = np.sort((owner.astype(np.uint64) << np.uint64(40)) | (hashes >> np.uint64(24)))
    place = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: keys.size])
    once = keys[place]
    return once, (once >> np.uint64(40)).astype(np.int64), np.diff(place, append=keys.size)


def is_among(hashes: Hashes, wanted: Hashes) -> Bools:
    """Mark the hashes that occur in a sorted array."""
    if not wanted.size:
        return np.zeros(hashes.size, dtype=np.bool_)
    place = np.minimum(np.searchsorted(wanted, hashes), wanted.size - 1)
    return np.asarray(wanted[place] == hashes)


BITS = 16
COLUMNS = 2**BITS


def hashed_terms(terms: tuple[Terms, ...], first: int, n: int) -> csr_matrix:
    """Weigh the hashed terms of the texts from `first` on.

    The row of a text holds 1 + log(count) of its terms, divided by its norm (Salton & Buckley 1988); the inverse
    document frequency is left to the model.

    Args:
        terms: Kinds of terms, those of a text beside each other.
        first: The first text that is wanted.
        n: Number of texts that are wanted, up to the last.

    Returns:
        Float32 matrix of shape (n, COLUMNS) with sorted columns.
    """
    parts = []
    for hashes, owner in terms:
        start = int(np.searchsorted(owner, first))
        parts.append(((owner[start:] - first) << BITS) | (hashes[start:] >> np.uint64(64 - BITS)).astype(np.int64))
    keys = np.concatenate(parts)
    keys.sort()
    place = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: keys.size])
    count = np.diff(place, append=keys.size)
    keys = keys[place]
    rows = keys >> BITS
    starts = np.searchsorted(rows, np.arange(n + 1))
    values = 1.0 + np.log(count)
    # Rounded to 20 binary digits, the sums of squares are exact: a row does not depend on those before it.
    squares = np.append(0.0, np.cumsum(np.rint(values**2 * 2**20)))
    norm = np.sqrt(np.maximum(np.diff(squares[starts]), 1) / 2**20)
    data = (values / norm[rows]).astype(np.float32)
    return csr_matrix((data, (keys & (COLUMNS - 1)).astype(np.int32), starts), shape=(n, COLUMNS))
