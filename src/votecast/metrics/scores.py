"""One number from votes and forecasts: each function takes targets (n, 3), probabilities (n, 3) and weights (n,)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from votecast.metrics.checks import check_probabilities, check_rows
from votecast.metrics.rows import Floats, brier_scores, decisions, log_losses, margins, preferences
from votecast.types import Probabilities, swap_columns


def log_loss(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean negative natural logarithm of the probability given to the vote.

    Forecasts are clipped to [2.2e-16, 1 - 2.2e-16], as scikit-learn does.

    Args:
        targets: Votes, one-hot or soft, shape (n, 3), columns a, b, tie.
        probabilities: Forecasts, shape (n, 3).
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
    """Mean squared distance between forecast and vote, summed over the three classes (Brier 1950, eq. 2): from 0 to 2.

    Soft votes count as so many votes: the score is the expectation over them, not the distance to their mean.

    Args:
        targets: Votes, shape (n, 3).
        probabilities: Forecasts, shape (n, 3).
        weights: How much each row counts, shape (n,).

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> round(brier_score([[1, 0, 0]], [[0.5, 0.3, 0.2]]), 4)
        0.38
    """
    t, p, w = check_rows(targets, probabilities, weights)
    return float(w @ brier_scores(t, p) / w.sum())


def accuracy(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Share of votes for the class with the highest probability; classes that draw share the row.

    Args:
        targets: Votes, shape (n, 3).
        probabilities: Forecasts, shape (n, 3).
        weights: How much each row counts, shape (n,).

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> accuracy([[1, 0, 0], [0, 0, 1]], [[0.5, 0.3, 0.2], [0.4, 0.3, 0.3]])
        0.5
    """
    t, p, w = check_rows(targets, probabilities, weights)
    return float(w @ (t * decisions(p)).sum(axis=1) / w.sum())


def recall(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Of the votes for each class, the share that was decided so; shape (3,), NaN for a class without votes.

    Args:
        targets: Votes, shape (n, 3).
        probabilities: Forecasts, shape (n, 3).
        weights: How much each row counts, shape (n,).

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> recall([[1, 0, 0], [1, 0, 0], [0, 1, 0]], [[0.6, 0.2, 0.2], [0.1, 0.1, 0.8], [0.2, 0.6, 0.2]])
        array([0.5, 1. , nan])
    """
    t, p, w = check_rows(targets, probabilities, weights)
    return ratio(w @ (t * decisions(p)), w @ t)


def macro_f1(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Unweighted mean, over the classes that are voted or decided, of the harmonic mean of precision and recall.

    Args:
        targets: Votes, shape (n, 3).
        probabilities: Forecasts, shape (n, 3).
        weights: How much each row counts, shape (n,).

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> macro_f1([[1, 0, 0], [0, 1, 0]], [[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]])
        1.0
    """
    t, p, w = check_rows(targets, probabilities, weights)
    d = decisions(p)
    return float(np.nanmean(ratio(2 * (w @ (t * d)), w @ d + w @ t)))


def agreement(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Of the decided votes (a or b), the share for the answer that gets more probability; NaN without any.

    Args:
        targets: Votes, shape (n, 3).
        probabilities: Forecasts, shape (n, 3).
        weights: How much each row counts, shape (n,).

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> agreement([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0.3, 0.1, 0.6], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8]])
        0.5
    """
    t, p, w = check_rows(targets, probabilities, weights)
    agreed, decided = t[:, :2] * preferences(p), t[:, :2]
    return float(ratio(w @ agreed.sum(axis=1), w @ decided.sum(axis=1)))


def flip_rate(probabilities: ArrayLike, exchanged_probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Share of rows whose decision changes when the answers are exchanged; 0 for a judge that cannot see their order.

    Args:
        probabilities: Forecasts for the order as it is, shape (n, 3).
        exchanged_probabilities: Forecasts for the same battles with their answers exchanged, as the judge gives
            them (column a belongs to the answer shown first), shape (n, 3).
        weights: How much each row counts, shape (n,).

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> flip_rate([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1]], [[0.3, 0.6, 0.1], [0.6, 0.3, 0.1]])
        0.5
    """
    p = check_probabilities(probabilities)
    q, _, w = check_rows(exchanged_probabilities, p, weights)
    return float(w @ flips(p, q) / w.sum())


def auc(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Chance that a vote for a has a larger margin (a - b) / (a + b) than a vote for b: area under the ROC curve.

    Ties are left out; draws count one half (Hanley & McNeil 1982). A soft vote counts on both sides. NaN where one
    side is empty.

    Args:
        targets: Votes, shape (n, 3).
        probabilities: Forecasts, shape (n, 3).
        weights: How much each row counts, shape (n,).

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> auc([[1, 0, 0], [0, 1, 0]], [[0.3, 0.1, 0.6], [0.4, 0.5, 0.1]])
        1.0
    """
    t, p, w = check_rows(targets, probabilities, weights)
    return float(auc_of_margins(margins(p), w * t[:, 0], w * t[:, 1]))


def auc_of_margins(scores: Floats, positive: Floats, negative: Floats) -> float:
    """Area under the ROC curve of scores (n,) with the weight (n,) of each on the positive and on the negative side."""
    level = np.unique(scores, return_inverse=True)[1]
    up, down = np.bincount(level, positive), np.bincount(level, negative)
    wins = up @ (np.cumsum(down) - down / 2)
    return float(ratio(wins, up.sum() * down.sum()))


def flips(p: Probabilities, p_exchanged: Probabilities) -> Floats:
    """How far the decision moves when the answers are exchanged: 0 or 1 a row, parts where classes draw; shape (n,)."""
    moved = np.abs(decisions(p) - decisions(swap_columns(p_exchanged)))
    return np.asarray(moved.sum(axis=1) / 2)


def ratio(above: ArrayLike, below: ArrayLike) -> Floats:
    """Quotient that is NaN where the denominator is 0."""
    a, b = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.asarray(np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b > 0))
