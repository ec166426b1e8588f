"""Fewer rows to train on, with the same shares of every label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.text_columns import known_targets


def draw_rows(battles: Battles, rows: int | None, *, seed: int) -> NDArray[np.int64]:
    """Draw rows such that every label keeps its share to within one row.

    Args:
        battles: The rows; a soft label counts for its largest class.
        rows: How many to draw at most; None draws all.
        seed: Seed of the draw.

    Returns:
        Positions of the rows, rising.

    Example:
        >>> votes = [{"prompt": "?", "response_a": "x", "response_b": "y", "winner": "ab"[i % 2]} for i in range(20)]
        >>> drawn = draw_rows(Battles.from_rows(votes), 10, seed=0)
        >>> np.bincount(drawn % 2).tolist()
        [5, 5]
    """
    if rows is None or rows >= len(battles):
        return np.arange(len(battles))
    targets = known_targets(battles)
    kind = np.where(targets.sum(axis=1) > 0, targets.argmax(axis=1), targets.shape[1])
    shuffled = np.random.default_rng(seed).permutation(len(kind))
    order = shuffled[np.argsort(kind[shuffled], kind="stable")]
    marks = (np.arange(rows) * len(kind) + len(kind) // 2) // rows  # evenly over the labels, one after the other
    return np.sort(order[marks])
