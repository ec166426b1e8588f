"""Count the style of responses as arenas do for style control: length, headings, lists, bold words, code, links.

Audits and leaderboards call it.
"""

from __future__ import annotations

import os
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

# Headings, list items, bold words: the patterns of Chatbot Arena's style control (Li et al. 2024).
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
    r"""Count the style of both responses of n battles, all turns together.

    Headings, list items and bold words are counted outside code blocks, as in the style-controlled leaderboard of
    Chatbot Arena (Li et al. 2024, "Does style matter?"); code blocks and links are counted in addition.

    Returns:
        Shape (n, 2, 6): responses A and B, counts `STYLING`.

    Example:
        >>> battles = Battles.from_rows([{"prompt": "Hi", "response_a": "", "response_b": "# Two\n- **one**\n- two"}])
        >>> answer_styling(battles)[0].tolist()
        [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [21.0, 1.0, 2.0, 1.0, 0.0, 0.0]]
    """
    parts = [
        chunk.slice(start, _ROWS_AT_ONCE)
        for name in ("response_a", "response_b")
        for chunk in battles.column(name).chunks
        for start in range(0, len(chunk), _ROWS_AT_ONCE)
    ]
    if len(parts) > 2:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            counted = list(pool.map(_count_style, parts))
    else:
        counted = [_count_style(part) for part in parts]
    both = np.concatenate([np.zeros((0, len(STYLING))), *counted])  # (2n, 6)
    return np.stack([both[: len(battles)], both[len(battles) :]], axis=1)


def styling_gap(battles: Battles) -> Floats:
    """Compare the style of responses A and B: (a - b) / (a + b) of every count, 0 where both have none.

    Returns:
        Shape (n, 6), from -1 to 1; a swap of the responses changes the signs only.

    Example:
        >>> battles = Battles.from_rows([{"prompt": "Hi", "response_a": "three", "response_b": "fifteen letters"}])
        >>> styling_gap(battles)[0].tolist()
        [-0.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    a, b = np.moveaxis(answer_styling(battles), 1, 0)
    out: Floats = np.divide(a - b, a + b, out=np.zeros_like(a), where=a + b > 0)
    return out


def _count_style(part: pa.Array) -> Floats:
    """Count the style of one response a row, shape (rows, 6)."""
    bounds, turns = turns_of(part)
    outside_code = turns
    if pc.any(pc.match_substring(turns, _FENCE)).as_py():
        outside_code = pc.replace_substring_regex(turns, _BLOCK, "")
    counts = [
        pc.utf8_length(turns),
        *(pc.count_substring_regex(outside_code, pattern) for pattern in _PATTERNS),
        # A block that truncation left open counts as one: two fences a block, rounded up.
        pc.divide(pc.add(pc.count_substring(turns, _FENCE), 1), 2),
        pc.count_substring_regex(turns, _LINK),
    ]
    sums = np.cumsum([np.concatenate([[0], count.to_numpy(zero_copy_only=False)]) for count in counts], axis=1)
    out: Floats = np.diff(sums[:, bounds], axis=1).T.astype(np.float64)
    return out
