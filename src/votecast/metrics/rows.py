"""The terms of each metric, row by row; a metric is a weighted mean of them or a ratio of two such sums.

A soft vote counts as so many votes: every term is the expectation over the votes of its row, so that ten votes on one
pair give the same figures as ten rows or as one row with their shares.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from votecast.types import Probabilities

EPSILON: Final = float(np.finfo(np.float64).eps)
"""Forecasts are clipped to [EPSILON, 1 - EPSILON] before the logarithm, as scikit-learn does: 36.04 nats at most."""

Floats = NDArray[np.float64]


def row_sum(x: Floats) -> Floats:
    """Sum over the three columns, (a + b) + tie: bit-equal when a and b are exchanged."""
    return np.asarray((x[:, 0] + x[:, 1]) + x[:, 2])


def log_losses(targets: Probabilities, p: Probabilities) -> Floats:
    """Natural log loss of each row, shape (n,)."""
    return -row_sum(targets * np.log(np.clip(p, EPSILON, 1 - EPSILON)))


def brier_scores(targets: Probabilities, p: Probabilities) -> Floats:
    """Squared distance to the vote, summed over classes, expected over the votes of the row; in [0, 2], shape (n,)."""
    return row_sum(np.square(p)) - 2 * row_sum(p * targets) + row_sum(targets)


def decisions(p: Probabilities) -> Floats:
    """The class with the highest probability, one-hot of shape (n, 3); classes that draw share the row in equal parts.

    Sharing keeps every figure independent of the order of the answers; without a draw this is the arg max.

    Example:
        >>> decisions(np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]]))
        array([[1. , 0. , 0. ],
               [0.5, 0.5, 0. ]])
    """
    best = (p == p.max(axis=1, keepdims=True)).astype(np.float64)
    return np.asarray(best / row_sum(best)[:, None])


def preferences(p: Probabilities) -> Floats:
    """Which answer gets more probability, leaving ties out: columns a and b, shape (n, 2); a draw is shared."""
    sign = np.sign(p[:, 0] - p[:, 1])
    return np.stack([(1 + sign) / 2, (1 - sign) / 2], axis=1)


def margins(p: Probabilities) -> Floats:
    """(a - b) / (a + b): how much a is preferred once the vote is decided, shape (n,); exactly odd under exchange."""
    decided = p[:, 0] + p[:, 1]
    return np.divide(p[:, 0] - p[:, 1], decided, out=np.zeros(len(p)), where=decided > 0)


def without_ties(p: Probabilities) -> Probabilities:
    """Hand the mass of a tie to a and b in proportion (in halves where both are 0): the forecast given a decided vote.

    Example:
        >>> without_ties(np.array([[0.3, 0.1, 0.6]]))
        array([[0.75, 0.25, 0.  ]])
    """
    decided = p[:, 0] + p[:, 1]
    halves = np.full((len(p), 2), 0.5)
    shares = np.divide(p[:, :2], decided[:, None], out=halves, where=decided[:, None] > 0)
    return np.column_stack([shares, np.zeros(len(p))])
