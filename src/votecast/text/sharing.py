"""Sharing out budgets of tokens, for many rows at once."""

from __future__ import annotations

import numpy as np

from votecast.text.pieces import Counts, per_row
from votecast.text.sequences import offsets_of


def in_shares(needs: Counts, budget: Counts, prompt_share: float) -> Counts:
    """System 1's shares: the prompt at most its share, A at most half of what remains, B the rest.

    Args:
        needs: Tokens of prompt and answers, in the order they stand, shape (n, parts).
        budget: Tokens to share out in each row, shape (n,).
        prompt_share: Share of the prompt.

    Example:
        >>> in_shares(np.array([[200, 300, 300], [9, 900, 9]]), np.array([510, 510]), 0.25).tolist()
        [[127, 191, 192], [9, 250, 9]]
    """
    kept = np.empty_like(needs)
    kept[:, 0] = np.minimum(needs[:, 0], (budget * prompt_share).astype(np.int64))
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
        Tokens of each part: at most what it needs, in all at most the budget. An odd last token that both answers
        want goes to neither.

    Example:
        >>> balanced(np.array([[300, 300, 300], [10, 300, 50]]), np.array([100, 100]), 0.2).tolist()
        [[20, 40, 40], [10, 45, 45]]
    """
    prompt, answers = needs[:, 0], needs[:, 1:]
    per_token = prompt_share / (1 - prompt_share) * answers.shape[1]
    low = np.minimum(budget // answers.shape[1], 1)
    high = np.maximum(low, budget)
    while (low < high).any():  # the most tokens an answer can have while the prompt has its share
        middle = (low + high + 1) // 2
        own = np.ceil(middle * per_token - 1e-9).astype(np.int64)
        fits = np.minimum(answers, middle[:, None]).sum(axis=1) + np.minimum(prompt, own) <= budget
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    kept = np.empty_like(needs)
    kept[:, 1:] = np.minimum(answers, low[:, None])
    kept[:, 0] = np.minimum(prompt, budget - kept[:, 1:].sum(axis=1))
    return kept


def level(needs: Counts, rows: Counts, budget: Counts) -> Counts:
    """Share out among the turns of each row: all the same, and what one does not need goes to the others.

    Args:
        needs: Tokens of each turn, shape (turns,).
        rows: Where each row starts among the turns, and the end of the last, shape (n + 1,).
        budget: Tokens to share out in each row, shape (n,).

    Example:
        >>> level(np.array([5, 90, 90]), np.array([0, 3]), np.array([100])).tolist()
        [5, 48, 47]
    """
    turns = np.diff(rows)
    low, high = np.zeros(len(turns), np.int64), np.maximum(budget, 0)
    while (low < high).any():
        middle = (low + high + 1) // 2
        fits = per_row(np.minimum(needs, np.repeat(middle, turns)), rows) <= budget
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    each = np.repeat(low, turns)
    kept = np.minimum(needs, each)
    wanting = (needs > each).astype(np.int64)
    spare = np.repeat(budget - per_row(kept, rows), turns)
    return kept + (wanting * (within_row(wanting, rows) < spare)).astype(np.int64)


def fill(needs: Counts, rows: Counts, budget: Counts) -> Counts:
    """Give the turns of each row what they need, the first first, until the budget is used.

    Example:
        >>> fill(np.array([5, 90, 90]), np.array([0, 3]), np.array([100])).tolist()
        [5, 90, 5]
    """
    kept: Counts = np.clip(np.repeat(budget, np.diff(rows)) - within_row(needs, rows), 0, needs)
    return kept


def within_row(values: Counts, rows: Counts) -> Counts:
    """Sum of the values that stand before each one in its row.

    Example:
        >>> within_row(np.array([5, 6, 7]), np.array([0, 2, 3])).tolist()
        [0, 5, 0]
    """
    before = offsets_of(values)
    return before[:-1] - np.repeat(before[rows[:-1]], np.diff(rows))
