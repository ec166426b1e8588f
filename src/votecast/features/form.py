"""Six numbers on the form of one answer: how long it is and how it is laid out. What a length bias is read from."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.text_columns import characters

FORM = ("characters", "lines", "code_blocks", "bullets", "numbered", "bold")
"""Names of the six columns; each is the logarithm of one plus a count."""

_COUNTED = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (r"\n(?=.)", r"^\s{0,3}```", r"^\s{0,3}[-*+•] ", r"^\s{0,3}\d{1,2}[.)] ", r"\*\*\S")
)


def answer_form(battles: Battles) -> NDArray[np.float32]:
    r"""Length and layout of both answers of every battle.

    Args:
        battles: n battles.

    Returns:
        Shape (n, 2, 6): answers a and b, columns `FORM`.

    Example:
        >>> battles = Battles.from_rows([{"prompt": "Hi", "response_a": "", "response_b": "- one\n- two"}])
        >>> np.expm1(answer_form(battles)[0, 1]).round().tolist()
        [11.0, 1.0, 0.0, 2.0, 0.0, 0.0]
    """
    sides = [_form(battles.text(name, "\n")) for name in ("response_a", "response_b")]
    return np.stack(sides, axis=1)


def length_gap(battles: Battles) -> NDArray[np.float64]:
    """How much longer answer a is than answer b: difference of the logarithms of one plus their characters.

    Args:
        battles: n battles.

    Returns:
        Shape (n,); exchanging the answers changes the sign and nothing else.

    Example:
        >>> battles = Battles.from_rows([{"prompt": "Hi", "response_a": "seven..", "response_b": ""}])
        >>> length_gap(battles).round(4)
        array([2.0794])
    """
    a, b = (np.log1p(characters(battles, name).astype(np.float64)) for name in ("response_a", "response_b"))
    return np.asarray(a - b)


def _form(texts: list[str]) -> NDArray[np.float32]:
    counts = [[len(text), *(sum(1 for _ in pattern.finditer(text)) for pattern in _COUNTED)] for text in texts]
    return np.log1p(np.array(counts, dtype=np.float32).reshape(-1, len(FORM)))
