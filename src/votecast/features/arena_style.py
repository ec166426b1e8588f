"""Measure how much each response is dressed up, as arenas count it for style control.

Audits and leaderboards use it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.text_columns import turns_of

STYLING = ("length", "headings", "lists", "bold", "code", "links")
"""Names of the counts: characters, headings, list items and bold words outside code, code blocks, links."""

Floats = NDArray[np.float64]

_PATTERNS = (
    r"(?m)^#{1,6}\s",
    r"(?m)^[ \t]*(?:[-*+]|\d+\.)\s",
    r"\*\*[^*\n]+\*\*|__[^_\n]+__",
)
_LINK = r"\]\([^)\s]+\)|https?://[^\s)]+"
_FENCE = "```"
_BLOCK = r"(?s)```.*?```"
_ROWS_AT_ONCE = 4096


def answer_styling(battles: Battles) -> Floats:
    r"""Count what dresses up both answers of every battle, all turns together.

    Headings, list items and bold words are counted as in the style-controlled leaderboard of Chatbot Arena (Li et al.
    2024, "Does style matter?"), which leaves code blocks out; code blocks and links are counted beside them.

    Args:
        battles: n battles.

    Returns:
        Shape (n, 2, 6): answers a and b, counts `STYLING`.

    Example:
        >>> battles = Battles.from_rows([{"prompt": "Hi", "response_a": "", "response_b": "# Two\n- **one**\n- two"}])
        >>> answer_styling(battles)[0].tolist()
        [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [21.0, 1.0, 2.0, 1.0, 0.0, 0.0]]
    """
    parts = [part for name in ("response_a", "response_b") for part in _parts(battles.column(name))]
    threads = os.cpu_count() or 1
    if threads > 1 and len(parts) > 2:
        with ThreadPoolExecutor(threads) as pool:
            counted = list(pool.map(_counts, parts))
    else:
        counted = [_counts(part) for part in parts]
    both = np.concatenate([np.zeros((0, len(STYLING))), *counted])
    return np.stack([both[: len(battles)], both[len(battles) :]], axis=1)


def styling_gap(battles: Battles) -> Floats:
    """How much more answer a is dressed up than answer b: (a - b) / (a + b) of every count, 0 where both have none.

    Args:
        battles: n battles.

    Returns:
        Shape (n, 6), from -1 to 1; exchanging the answers changes the signs and nothing else.

    Example:
        >>> battles = Battles.from_rows([{"prompt": "Hi", "response_a": "three", "response_b": "fifteen letters"}])
        >>> styling_gap(battles)[0].tolist()
        [-0.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    a, b = np.moveaxis(answer_styling(battles), 1, 0)
    out: Floats = np.divide(a - b, a + b, out=np.zeros_like(a), where=a + b > 0)
    return out


def _parts(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    for chunk in column.chunks:
        for start in range(0, len(chunk), _ROWS_AT_ONCE):
            yield chunk.slice(start, _ROWS_AT_ONCE)


def _counts(part: pa.Array) -> Floats:
    bounds, turns = turns_of(part)
    bare = turns
    if pc.any(pc.match_substring(turns, _FENCE)).as_py():
        bare = pc.replace_substring_regex(turns, _BLOCK, "")
    counts = [
        pc.utf8_length(turns),
        *(pc.count_substring_regex(bare, pattern) for pattern in _PATTERNS),
        pc.divide(pc.add(pc.count_substring(turns, _FENCE), 1), 2),
        pc.count_substring_regex(turns, _LINK),
    ]
    sums = np.cumsum([np.concatenate([[0], count.to_numpy(zero_copy_only=False)]) for count in counts], axis=1)
    out: Floats = np.diff(sums[:, bounds], axis=1).T.astype(np.float64)
    return out
