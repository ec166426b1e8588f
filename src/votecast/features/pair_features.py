"""Compute the features of battles: what each response looks like, what both share.

The baseline trains on them.
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
from votecast.features.characters import hashed_runs, texts_of
from votecast.features.overlap import overlap_of
from votecast.features.style import ReadText, style_of
from votecast.features.words import hashed_terms

LIMIT = 32_768
"""Characters of a turn that are looked at; its length is always known in full."""
_CHUNK_BYTES = 1_000_000
_PROMPT = (
    "chars", "words", "turns", "questions", "digit_share", "markup_share", "lines", "code_blocks", "formulas",
    "reading_ease", "ends_asking", "ends_stopped", "first_person", "second_person", "reason", "abuse",
    "is_english", "wants_list", "wants_table", "wants_code", "wants_text", "script_han", "script_cyrillic",
)  # fmt: skip


@dataclass(frozen=True)
class PairFeatures:
    """Features of n battles; exchanging `a` and `b`, and the signs of the differences, exchanges the answers.

    Args:
        names: Names of the columns of `a` and `b`.
        a: What answer a looks like, float32 of shape (n, len(names)).
        b: The same for answer b.
        shared_names: Names of the columns of `shared`.
        shared: What belongs to the prompt, or to both answers alike, float32 of shape (n, len(shared_names)).
        terms: Weighted hashed terms of answer a minus those of answer b, sparse float32 of shape (n, 65536).
        characters: Weighted hashed runs of characters of answer a minus those of answer b, shape (n, 1024).
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
        """The battles at these positions, in this order."""
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
    """Compute the features of battles; each row's depend on that row alone.

    Args:
        battles: The battles; votes and models are not looked at.
        threads: Chunks worked on at the same time; 0 uses all cores.

    Example:
        >>> battles = Battles.from_rows([{"prompt": "Hi", "response_a": "- Hello", "response_b": "Sorry, I can't."}])
        >>> features = extract(battles)
        >>> column = features.names.index("refusal")
        >>> bool(features.b[0, column] > features.a[0, column])
        True
    """
    parts = list(_chunks(battles))
    threads = threads or os.cpu_count() or 1
    if threads > 1 and len(parts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            return _concat(list(pool.map(_extract, parts)))
    return _concat([_extract(part) for part in parts])


def _extract(battles: Battles) -> PairFeatures:
    n = len(battles)
    reading = ReadText(texts_of([battles.column(name) for name in TEXT_COLUMNS], LIMIT))
    names, style = style_of(reading)
    prompt, a, b = style.reshape(3, n, len(names))
    with_a, with_b, both = overlap_of(reading, n)
    terms = hashed_terms(reading.words, n, 2 * n) - hashed_terms(reading.words, 2 * n, 3 * n)
    terms.sort_indices()
    runs = hashed_runs(reading.texts, n, 3 * n)
    shared = [prompt[:, [names.index(name) for name in _PROMPT]], _stack(both)]
    return PairFeatures(
        (*names, *with_a),
        np.concatenate([a, _stack(with_a)], axis=1),
        np.concatenate([b, _stack(with_b)], axis=1),
        (*(f"prompt_{name}" for name in _PROMPT), *both),
        np.concatenate(shared, axis=1),
        terms,
        runs[:n] - runs[n:],
    )


def _stack(columns: dict[str, NDArray[np.float64]]) -> NDArray[np.float32]:
    return np.stack([column.astype(np.float32) for column in columns.values()], axis=1)


def _concat(parts: list[PairFeatures]) -> PairFeatures:
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


def _chunks(battles: Battles) -> Iterator[Battles]:
    """Battles in parts of about `_CHUNK_BYTES` of text, at least one part."""
    if battles.table.nbytes <= _CHUNK_BYTES:
        yield battles
        return
    size = np.zeros(len(battles))
    for name in TEXT_COLUMNS:
        size += _row_bytes(battles, name)
    part = (np.cumsum(size) - size) // _CHUNK_BYTES if len(size) else size
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(battles)]
    for first, last in itertools.pairwise(cuts):
        yield battles[first:last]


def _row_bytes(battles: Battles, name: str) -> NDArray[np.float64]:
    column = battles.column(name)
    flat = pc.list_flatten(column)
    per_turn = np.minimum(pc.fill_null(pc.binary_length(flat), 0).to_numpy(), 4 * LIMIT)
    turns = pc.list_value_length(column).to_numpy()
    total = np.append(0, np.cumsum(per_turn))
    ends = np.cumsum(turns)
    return np.asarray(total[ends] - total[ends - turns], dtype=np.float64)
