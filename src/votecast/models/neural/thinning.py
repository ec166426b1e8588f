"""Fewer rows for the same loss: rows of little weight are drawn, and no prompt has more than its share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def thinned(
    rows: NDArray[np.int64], weights: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw rows that count less than the mean, and let those that are drawn count as much as the mean.

    Args:
        rows: Positions of the rows to draw from.
        weights: Weights of all rows, shape (n,).
        seed: Seed of the draw.

    Returns:
        The rows drawn, and weights of shape (n,) under which each of `rows` counts as before on average.

    Example:
        >>> rows, weights = thinned(np.arange(4), np.array([3.0, 1.0, 0.0, 0.0]), seed=0)
        >>> rows.tolist(), weights.tolist()
        ([0, 1], [3.0, 1.0, 1.0, 1.0])
    """
    mean = weights[rows].mean()
    drawn = np.random.default_rng(seed).random(len(rows)) < weights[rows] / mean
    return rows[drawn], np.maximum(weights, mean)


def capped(rows: NDArray[np.int64], groups: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """At most so many rows of each group, drawn by seed.

    Args:
        rows: Positions of the rows to draw from.
        groups: Group of every row, shape (n,).
        most: Rows of one group that are kept.
        seed: Seed of the draw.

    Example:
        >>> capped(np.arange(5), np.array([0, 0, 0, 1, 2]), 2, seed=0).tolist()[-2:]
        [3, 4]
    """
    shuffled = np.random.default_rng(seed).permutation(rows)
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order[:1]] - 1))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return np.sort(order[place < most])
