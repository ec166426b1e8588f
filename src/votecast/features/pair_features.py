"""Compute the features of battles: what each response looks like, what prompt and responses share.

The baseline trains on them; `explain` names them.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, vstack

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.features.characters import hashed_runs, read_texts
from votecast.features.overlap import compare_texts
from votecast.features.style import describe_texts
from votecast.features.words import distinct_terms, find_sentences, find_words, hashed_terms

LIMIT = 32_768
"""Characters of a turn that are read; its length is always known in full."""
# As arrays, a text takes tens of bytes a character, in every thread: chunks bound the memory.
_CHUNK_BYTES = 1_000_000
_PROMPT = (
    "chars", "words", "turns", "questions", "digit_share", "markup_share", "lines", "code_blocks", "formulas",
    "reading_ease", "ends_asking", "ends_stopped", "first_person", "second_person", "reason", "abuse",
    "is_english", "wants_list", "wants_table", "wants_code", "wants_text", "script_han", "script_cyrillic",
)  # fmt: skip


@dataclass(frozen=True)
class PairFeatures:
    """Features of n battles; swapping `a` and `b`, and the signs of the differences, swaps the responses.

    Args:
        names: Names of the columns of `a` and `b`.
        a: Response A, shape (n, len(names)).
        b: Response B, shape (n, len(names)).
        shared_names: Names of the columns of `shared`.
        shared: The prompt, and both responses alike, shape (n, len(shared_names)).
        terms: Weighted hashed terms of response A minus those of response B, sparse, shape (n, 65536).
        characters: Weighted hashed runs of characters of response A minus those of response B, shape (n, 1024).
    """

    names: tuple[str, ...]
    a: NDArray[np.float32]
    b: NDArray[np.float32]
    shared_names: tuple[str, ...]
    shared: NDArray[np.float32]
    terms: csr_matrix
    characters: NDArray[np.float16]

    def __len__(self) -> int:
        return int(self.a.shape[0])

    def take(self, indices: ArrayLike) -> PairFeatures:
        """Return the features of the battles at these positions, in this order."""
        rows = np.asarray(indices, dtype=np.int64)
        return PairFeatures(
            self.names,
            self.a[rows],
            self.b[rows],
            self.shared_names,
            self.shared[rows],
            self.terms[rows],
            self.characters[rows],
        )


def extract(battles: Battles, threads: int = 0) -> PairFeatures:
    """Compute the features of battles; those of a row depend on that row alone.

    Args:
        battles: The battles; votes and models are not read.
        threads: Chunks computed at the same time; 0 uses all cores.

    Example:
        >>> battles = Battles.from_rows([{"prompt": "Hi", "response_a": "- Hello", "response_b": "Sorry, I can't."}])
        >>> features = extract(battles)
        >>> column = features.names.index("refusal")
        >>> bool(features.b[0, column] > features.a[0, column])
        True
    """
    chunks = list(_chunks(battles))
    threads = threads or os.cpu_count() or 1
    if threads > 1 and len(chunks) > 1:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(_extract, chunks))
    else:
        parts = [_extract(chunk) for chunk in chunks]
    if len(parts) == 1:
        return parts[0]
    return PairFeatures(
        parts[0].names,
        np.concatenate([part.a for part in parts]),
        np.concatenate([part.b for part in parts]),
        parts[0].shared_names,
        np.concatenate([part.shared for part in parts]),
        vstack([part.terms for part in parts], format="csr"),
        np.concatenate([part.characters for part in parts]),
    )


def _extract(battles: Battles) -> PairFeatures:
    n = len(battles)
    # 3n texts: prompts, then responses A, then responses B.
    texts = read_texts([battles.column(name) for name in TEXT_COLUMNS], LIMIT)
    words = find_words(texts)
    pairs = words.grams(2)
    sentences = find_sentences(texts, words)
    long = words.length > 3
    terms = {
        "words": distinct_terms(words.hashes, words.owner),
        "long_words": distinct_terms(words.hashes[long], words.owner[long]),
        "pairs": distinct_terms(*pairs),
    }
    names, values = describe_texts(texts, words, sentences, terms)
    prompt, a, b = values.reshape(3, n, len(names))
    with_a, with_b, both = (
        (list(columns), np.stack([column.astype(np.float32) for column in columns.values()], axis=1))
        for columns in compare_texts(texts, words, pairs, sentences, terms)
    )
    hashed = hashed_terms((words.grams(1), pairs), n, 2 * n)
    difference = hashed[:n] - hashed[n:]
    difference.sort_indices()
    runs = hashed_runs(texts, n)
    return PairFeatures(
        (*names, *with_a[0]),
        np.concatenate([a, with_a[1]], axis=1),
        np.concatenate([b, with_b[1]], axis=1),
        (*(f"prompt_{name}" for name in _PROMPT), *both[0]),
        np.concatenate([prompt[:, [names.index(name) for name in _PROMPT]], both[1]], axis=1),
        difference,
        runs[:n] - runs[n:],
    )


def _chunks(battles: Battles) -> Iterator[Battles]:
    """Divide battles into parts of about `_CHUNK_BYTES` of text, at least one part."""
    if battles.table.nbytes <= _CHUNK_BYTES:
        yield battles
        return
    size = np.zeros(len(battles))
    for name in TEXT_COLUMNS:
        column = battles.column(name)
        turn_bytes = pc.fill_null(pc.binary_length(pc.list_flatten(column)), 0).to_numpy()
        total = np.append(0, np.cumsum(np.minimum(turn_bytes, 4 * LIMIT)))  # at most 4 bytes a character
        turns = pc.list_value_length(column).to_numpy()
        ends = np.cumsum(turns)
        size += total[ends] - total[ends - turns]
    part = (np.cumsum(size) - size) // _CHUNK_BYTES
    edges = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(battles)]
    for first, last in itertools.pairwise(edges):
        yield battles[first:last]
