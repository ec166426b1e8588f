"""Sentences: which repeat the one before, and which speak of what the prompt asks about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from votecast.features.codes import Texts
from votecast.features.words import Hashes, Words, mix

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
