"""Sharing out a budget of tokens among prompt and answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from votecast.text.pieces import Pieces
from votecast.text.sequences import offsets_of

Counts = NDArray[np.int64]


def in_shares(needs: Counts, budget: int, prompt_share: float) -> Counts:
    """System 1's shares: the prompt at most its share, A at most half of what remains, B the rest.

    Args:
        needs: Tokens of prompt and answers, in the order they stand, shape (n, parts).
        budget: Tokens to share out.
        prompt_share: Share of the prompt.

    Example:
        >>> in_shares(np.array([[200, 300, 300]]), 510, 0.25).tolist()
        [[127, 191, 192]]
    """
    kept = np.empty_like(needs)
    kept[:, 0] = np.minimum(needs[:, 0], int(budget * prompt_share))
    left = budget - kept[:, 0]
    for part in range(1, needs.shape[1]):
        last = part == needs.shape[1] - 1
        kept[:, part] = np.minimum(needs[:, part], left if last else left // 2)
        left = left - kept[:, part]
    return kept


def balanced(needs: Counts, budget: Counts, prompt_share: float) -> Counts:
    """Shares that do not depend on the order of the answers; what one part does not need is handed on.

    Args:
        needs: Tokens of prompt and answers, shape (n, parts).
        budget: Tokens to share out in each row, shape (n,).
        prompt_share: Share of the prompt; the answers share the rest equally.

    Returns:
        Tokens for each part: at most what it needs, in all at most the budget. Where the answers are as long as each
        other and the prompt needs no more, an odd last token is given to nobody.

    Example:
        >>> balanced(np.array([[300, 300, 300], [10, 300, 50]]), np.array([100, 100]), 0.2).tolist()
        [[20, 40, 40], [10, 45, 45]]
    """
    prompt, answers = needs[:, 0], needs[:, 1:]
    weight = (1 - prompt_share) / answers.shape[1] / prompt_share
    low, high = np.zeros(len(needs), np.int64), np.maximum(budget, 0).copy()
    while (low < high).any():  # the most tokens an answer can get with the prompt at its share
        middle = (low + high + 1) // 2
        used = np.minimum(answers, middle[:, None]).sum(axis=1) + np.minimum(prompt, _ceil(middle / weight))
        fits = used <= budget
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    kept = np.empty_like(needs)
    kept[:, 1:] = np.minimum(answers, low[:, None])
    kept[:, 0] = np.minimum(prompt, np.maximum(budget - kept[:, 1:].sum(axis=1), 0))
    return kept


def heads(pieces: Pieces, budget: Counts) -> Counts:
    """Fill the turns of each row from the first on: tokens kept of each turn."""
    before = offsets_of(pieces.lengths)[:-1] - np.repeat(pieces.offsets[pieces.rows[:-1]], np.diff(pieces.rows))
    kept: Counts = np.clip(np.repeat(budget, np.diff(pieces.rows)) - before, 0, pieces.lengths)
    return kept


def tails(pieces: Pieces, budget: Counts) -> Counts:
    """Fill the turns of each row from the last back: tokens kept of each turn."""
    after = np.repeat(pieces.offsets[pieces.rows[1:]], np.diff(pieces.rows)) - pieces.offsets[1:]
    kept: Counts = np.clip(np.repeat(budget, np.diff(pieces.rows)) - after, 0, pieces.lengths)
    return kept


def stacked(parts: Sequence[Pieces]) -> Counts:
    """Tokens of each part of each row, shape (n, parts)."""
    return np.stack([part.tokens for part in parts], axis=1)


def _ceil(values: NDArray[np.float64]) -> Counts:
    return np.ceil(values - 1e-9).astype(np.int64)
