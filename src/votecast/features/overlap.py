"""How texts relate: words of the prompt in an answer, words the two answers share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from votecast.features.characters import ALPHABETS, KIND
from votecast.features.lexicon import function_words
from votecast.features.style import Distinct, ReadText, distinct
from votecast.features.words import Hashes, among

Column = NDArray[np.float64]


class TermSets:
    """The distinct terms of 3n texts (prompts, answers a, answers b), for asking what two of a row share.

    Args:
        terms: The distinct terms, as `distinct` gives them.
        n: Number of rows.
    """

    def __init__(self, terms: Distinct, n: int) -> None:
        keys, texts, _ = terms
        self.n = n
        self.sizes = np.bincount(texts, minlength=3 * n).reshape(3, n)
        cuts = np.searchsorted(texts, [0, n, 2 * n, 3 * n])
        shift = [np.uint64(part * n) << np.uint64(40) for part in range(3)]
        self.keys = [keys[cuts[part] : cuts[part + 1]] - shift[part] for part in range(3)]

    def shared(self, one: int, two: int) -> Column:
        """How many terms texts `one` and `two` (0 prompt, 1 answer a, 2 answer b) of each row share."""
        small, large = sorted((self.keys[one], self.keys[two]), key=len)
        if large.size == 0:
            return np.zeros(self.n)
        place = np.minimum(np.searchsorted(large, small), large.size - 1)
        rows = (small[large[place] == small] >> np.uint64(40)).astype(np.int64)
        return np.bincount(rows, minlength=self.n).astype(np.float64)

    def share(self, one: int, two: int) -> Column:
        """Share of the terms of text `one` that text `two` has too; 0 without any."""
        return np.asarray(self.shared(one, two) / np.maximum(self.sizes[one], 1))

    def in_prompt(self, hashes: Hashes, owner: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these terms of any text are in the prompt of its row."""
        prompt = self.keys[0]
        if not prompt.size:
            return np.zeros(hashes.size, dtype=np.bool_)
        keys = ((owner % self.n).astype(np.uint64) << np.uint64(40)) | (hashes >> np.uint64(24))
        return among(keys, prompt)

    def likeness(self) -> Column:
        """Dice coefficient of the answers a and b; 1 where both are empty."""
        total = self.sizes[1] + self.sizes[2]
        return np.where(total, 2 * self.shared(1, 2) / np.maximum(total, 1), 1.0)


def overlap_of(reading: ReadText, n: int) -> tuple[dict[str, Column], dict[str, Column], dict[str, Column]]:
    """Compare prompt and answers of n rows.

    Args:
        reading: Prompts, then answers a, then answers b, read.
        n: Number of rows.

    Returns:
        Columns about answer a with its prompt, the same about answer b, and columns about the two answers, unchanged
        when they are exchanged.
    """
    words = reading.words
    long = words.length > 3
    sets = {
        "words": TermSets(reading.distinct_words, n),
        "long_words": TermSets(distinct(words.hashes[long], words.owner[long]), n),
        "pairs": TermSets(reading.distinct_pairs, n),
    }
    on_topic = _on_topic(reading, sets["words"], sets["pairs"]).reshape(3, n)
    scripts = _scripts(reading).reshape(3, n, len(ALPHABETS))
    each: list[dict[str, Column]] = []
    for part in (1, 2):
        columns = {f"prompt_{name}_in": terms.share(0, part) for name, terms in sets.items()}
        columns |= {f"{name}_from_prompt": terms.share(part, 0) for name, terms in sets.items()}
        columns["on_topic"] = on_topic[part]
        columns["same_script"] = np.minimum(scripts[0], scripts[part]).sum(axis=1)
        each.append(columns)
    both = {f"likeness_{name}": terms.likeness() for name, terms in sets.items()}
    return each[0], each[1], both


def _on_topic(reading: ReadText, terms: TermSets, pairs: TermSets) -> Column:
    """Share of the sentences that hold a word of the prompt (no function word), or two Chinese characters of it."""
    words, texts = reading.words, reading.texts
    single = texts.is_kind("han", "kana")[words.first]
    content = ~single & (words.length > 2) & ~among(words.hashes, function_words())
    found = content & terms.in_prompt(words.hashes, words.owner)
    hashes, owner = words.grams(2)
    place = np.flatnonzero(words.owner[:-1] == words.owner[1:])
    found[place] |= single[place] & single[place + 1] & pairs.in_prompt(hashes, owner)
    return reading.sentences.share(reading.sentences.holding(found), len(texts))


def _scripts(reading: ReadText) -> Column:
    """Share of each alphabet, English letters and function words of each language among them, rows sum to at most 1."""
    texts = reading.texts
    scripts_by_kind = [("lower", "upper", "latin"), *((name,) for name in ALPHABETS[1:])]
    counts = [texts.by_kind[:, [KIND[name] for name in names]].sum(axis=1) for names in scripts_by_kind]
    scripts = np.stack(counts, axis=1).astype(np.float64)
    return np.asarray(scripts / np.maximum(scripts.sum(axis=1, keepdims=True), 1))
