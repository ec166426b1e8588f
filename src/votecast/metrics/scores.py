"""Scores: one number from votes and predictions, and the term of each row that they are means of.

A soft vote counts as so many votes: every term is the expectation over the votes of its row, so that ten votes on one
pair score the same as ten rows, or as one row with their shares. Called by evaluation, training and the audit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from votecast.metrics.checks import check_rows
from votecast.types import Floats, Probabilities, swap_columns

EPSILON: Final = float(np.finfo(np.float64).eps)
"""Predictions are clipped to [EPSILON, 1 - EPSILON] before the logarithm, as scikit-learn does: 36.04 nats at most."""


def row_sum(x: Floats) -> Floats:
    """Sum (a + b) + tie, bit-equal when a and b swap."""
    return np.asarray((x[:, 0] + x[:, 1]) + x[:, 2])


def log_losses(targets: Probabilities, p: Probabilities) -> Floats:
    """Return the natural log loss of each row, shape (n,)."""
    return -row_sum(targets * np.log(np.clip(p, EPSILON, 1 - EPSILON)))


def brier_scores(targets: Probabilities, p: Probabilities) -> Floats:
    """Return the expected squared distance to the votes, shape (n,)."""
    # E|p - y|^2 over one-hot votes y, whose squared length is 1
    return row_sum(np.square(p)) - 2 * row_sum(p * targets) + row_sum(targets)


def decisions(p: Probabilities) -> Floats:
    """Return the class with the highest probability, one-hot, shape (n, 3); classes that draw share the row.

    Example:
        >>> decisions(np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]]))
        array([[1. , 0. , 0. ],
               [0.5, 0.5, 0. ]])
    """
    # arg max would prefer a over b in a draw, and so depend on the order of the responses
    best = (p == p.max(axis=1, keepdims=True)).astype(np.float64)
    return np.asarray(best / row_sum(best)[:, None])


def preferences(p: Probabilities) -> Floats:
    """Return which response is preferred, draws shared, shape (n, 2)."""
    sign = np.sign(p[:, 0] - p[:, 1])
    return np.stack([(1 + sign) / 2, (1 - sign) / 2], axis=1)


def margins(p: Probabilities) -> Floats:
    """Return (a - b) / (a + b), exactly odd under a swap, shape (n,)."""
    decided = p[:, 0] + p[:, 1]
    return np.divide(p[:, 0] - p[:, 1], decided, out=np.zeros(len(p)), where=decided > 0)


def flips(p: Probabilities, p_swapped: Probabilities) -> Floats:
    """Return how far the top choice moves under a swap, shape (n,)."""
    moved = np.abs(decisions(p) - decisions(swap_columns(p_swapped)))
    return np.asarray(moved.sum(axis=1) / 2)


def ratio(above: ArrayLike, below: ArrayLike) -> Floats:
    """Divide; NaN where the denominator is 0."""
    a, b = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.asarray(np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b > 0))


def without_ties(p: Probabilities) -> Probabilities:
    """Return the prediction given a decided vote.

    The mass of a tie goes to a and b in proportion; rows whose a and b are both 0 get halves.

    Example:
        >>> without_ties(np.array([[0.3, 0.1, 0.6]]))
        array([[0.75, 0.25, 0.  ]])
    """
    decided = p[:, 0] + p[:, 1]
    halves = np.full((len(p), 2), 0.5)
    shares = np.divide(p[:, :2], decided[:, None], out=halves, where=decided[:, None] > 0)
    return np.column_stack([shares, np.zeros(len(p))])


def log_loss(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the mean negative natural logarithm of the probability given to the vote.

    Predictions are clipped to [2.2e-16, 1 - 2.2e-16], as scikit-learn does.

    Args:
        targets: Votes, one-hot or soft, shape (n, 3), columns a, b, tie.
        probabilities: Predictions, shape (n, 3).
        weights: How much each row counts, shape (n,); every row once where None.

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> round(log_loss([[1, 0, 0], [0, 0, 1]], [[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]), 4)
        0.6931
    """
    t, p, w = check_rows(targets, probabilities, weights)
    return float(w @ log_losses(t, p) / w.sum())


def brier_score(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the mean squared distance between prediction and vote, from 0 to 2 (Brier 1950, eq. 2).

    It sums over the three classes. For soft votes it is the expectation over them, not the distance to their mean.
    The arguments are those of `log_loss`.

    Example:
        >>> round(brier_score([[1, 0, 0]], [[0.5, 0.3, 0.2]]), 4)
        0.38
    """
    t, p, w = check_rows(targets, probabilities, weights)
    return float(w @ brier_scores(t, p) / w.sum())


def accuracy(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the share of votes for the top choice; draws are shared. The arguments are those of `log_loss`.

    Example:
        >>> accuracy([[1, 0, 0], [0, 0, 1]], [[0.5, 0.3, 0.2], [0.4, 0.3, 0.3]])
        0.5
    """
    t, p, w = check_rows(targets, probabilities, weights)
    return float(w @ (t * decisions(p)).sum(axis=1) / w.sum())


def recall(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Return the share of the votes for each class that was predicted, shape (3,).

    NaN for a class without votes. The arguments are those of `log_loss`.

    Example:
        >>> recall([[1, 0, 0], [1, 0, 0], [0, 1, 0]], [[0.6, 0.2, 0.2], [0.1, 0.1, 0.8], [0.2, 0.6, 0.2]])
        array([0.5, 1. , nan])
    """
    t, p, w = check_rows(targets, probabilities, weights)
    return ratio(w @ (t * decisions(p)), w @ t)


def macro_f1(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the unweighted mean of F1 over the classes that occur in votes or predictions.

    The arguments are those of `log_loss`.

    Example:
        >>> macro_f1([[1, 0, 0], [0, 1, 0]], [[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]])
        1.0
    """
    t, p, w = check_rows(targets, probabilities, weights)
    d = decisions(p)
    return float(np.nanmean(ratio(2 * (w @ (t * d)), w @ d + w @ t)))


def agreement(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the share of decided votes for the preferred response.

    NaN without decided votes. The arguments are those of `log_loss`.

    Example:
        >>> agreement([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0.3, 0.1, 0.6], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8]])
        0.5
    """
    t, p, w = check_rows(targets, probabilities, weights)
    agreed, decided = t[:, :2] * preferences(p), t[:, :2]
    return float(ratio(w @ agreed.sum(axis=1), w @ decided.sum(axis=1)))


def flip_rate(probabilities: ArrayLike, swapped_probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the share of rows whose top choice changes when the responses are swapped.

    Args:
        probabilities: Predictions for the order as it is, shape (n, 3).
        swapped_probabilities: Predictions for the same battles with their responses swapped, as the judge gives
            them (column a belongs to the response shown first), shape (n, 3).
        weights: How much each row counts, shape (n,).

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> flip_rate([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1]], [[0.3, 0.6, 0.1], [0.6, 0.3, 0.1]])
        0.5
    """
    q, p, w = check_rows(swapped_probabilities, probabilities, weights)
    return float(w @ flips(p, q) / w.sum())


def auc(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the area under the ROC curve of a against b.

    Scores are the margins (a - b) / (a + b). Ties are left out; equal margins count one half (Hanley & McNeil 1982). A
    soft vote counts on both sides. NaN where one side is empty. The arguments are those of `log_loss`.

    Example:
        >>> auc([[1, 0, 0], [0, 1, 0]], [[0.3, 0.1, 0.6], [0.4, 0.5, 0.1]])
        1.0
    """
    t, p, w = check_rows(targets, probabilities, weights)
    return float(auc_of_margins(margins(p), w * t[:, 0], w * t[:, 1]))


def auc_of_margins(scores: Floats, positive: Floats, negative: Floats) -> float:
    """Return the area under the ROC curve of weighted scores (n,)."""
    level = np.unique(scores, return_inverse=True)[1]
    up, down = np.bincount(level, positive), np.bincount(level, negative)
    # weight of the negatives below each level, those at the level counting one half
    wins = up @ (np.cumsum(down) - down / 2)
    return float(ratio(wins, up.sum() * down.sum()))
