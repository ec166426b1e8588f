"""Count phrases that people react to, in several languages, as runs of lower-case words.

The lists are in `lexicon.json`, in the order of their columns; `extract` counts them in prompts and responses.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.features.characters import Bools, Hashes, Ints, read_texts
from votecast.features.words import Words, find_words

PHRASES: dict[str, list[str]] = json.loads((resources.files("votecast.features") / "lexicon.json").read_text("utf-8"))
LANGUAGES = ("english", "spanish", "french", "german", "portuguese", "italian", "russian")
TOPICS = tuple(name for name in PHRASES if name not in LANGUAGES)
_WITHOUT_CONTENT = (
    *LANGUAGES, "wants_list", "wants_table", "wants_code", "wants_text", "hedge", "order", "reason", "example",
    "first_person", "second_person", "negation",
)  # fmt: skip


@cache
def phrase_tables() -> dict[int, tuple[Hashes, Ints, Bools]]:
    """Hash the phrases of all lists, by their number of words.

    Returns:
        For each number of words the sorted hashes, the list of each phrase as its position in `PHRASES` (a phrase of
        two lists is there twice), and whether any hash begins with each of the 2^16 possible first bits.
    """
    phrases = [[phrase] for own in PHRASES.values() for phrase in own]
    lists = np.repeat(np.arange(len(PHRASES)), [len(own) for own in PHRASES.values()])
    words = find_words(read_texts([pa.chunked_array([pa.array(phrases, pa.list_(pa.large_string()))])], limit=1000))
    tables = {}
    for size in np.unique(words.counts).tolist():
        hashes, owner = words.grams(size)
        whole = words.counts[owner] == size
        pairs = np.stack([hashes[whole], lists[owner[whole]].astype(np.uint64)])
        hashes, numbers = np.unique(pairs, axis=1)  # sorted by hash, then by list
        sieve = np.zeros(2**16, dtype=np.bool_)
        sieve[hashes >> np.uint64(48)] = True
        tables[size] = (hashes, numbers.astype(np.int64), sieve)
    return tables


def count_phrases(words: Words, n: int) -> NDArray[np.float64]:
    """Count the phrases of each list in each of n texts, shape (len(PHRASES), n)."""
    counts = np.zeros(len(PHRASES) * n)
    for size, (phrases, lists, sieve) in phrase_tables().items():
        hashes, owner = words.grams(size)
        likely = np.flatnonzero(sieve[hashes >> np.uint64(48)])  # few words pass: only these are searched for
        hashes, owner = hashes[likely], owner[likely]
        first = np.searchsorted(phrases, hashes)
        matches = np.searchsorted(phrases, hashes, side="right") - first
        # Positions first, first + 1, ... of all matches of each word, one word after the other.
        skipped = np.cumsum(matches) - matches
        place = np.arange(matches.sum()) + np.repeat(first - skipped, matches)
        counts += np.bincount(lists[place] * n + np.repeat(owner, matches), minlength=counts.size)
    return counts.reshape(len(PHRASES), n)


@cache
def function_words() -> Hashes:
    """Return the sorted hashes of the single words that carry no topic."""
    hashes, lists, _ = phrase_tables()[1]
    empty = [number for number, name in enumerate(PHRASES) if name in _WITHOUT_CONTENT]
    return np.unique(hashes[np.isin(lists, empty)])
