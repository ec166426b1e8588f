"""Null baselines: uniform, class prior, and "the longer response wins", from other folds of the same file.

Called by the evaluation and the audit, which set a judge beside them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from votecast.errors import DataError
from votecast.metrics.checks import check_groups, check_probabilities, check_weights
from votecast.types import Floats, Ints, Probabilities, swap_columns

FOLDS: Final = 5


def group_folds(groups: ArrayLike, folds: int = FOLDS, seed: int = 0) -> Ints:
    """Assign whole groups of rows to folds of about the same size.

    The largest group comes first, and each goes to the smallest fold.

    Args:
        groups: Group of each row, shape (n,).
        folds: How many folds; fewer where there are fewer groups.
        seed: Seed of the order in which groups of one size are assigned.

    Returns:
        Fold of each row, numbered from 0, shape (n,).

    Example:
        >>> group_folds(["x", "x", "y", "z"], folds=2).tolist()
        [0, 0, 1, 1]
    """
    group = check_groups(groups, len(np.asarray(groups)))
    size = np.bincount(group)
    shuffled = np.random.default_rng(seed).permutation(len(size))
    order = shuffled[np.argsort(-size[shuffled], kind="stable")]
    # largest group first to the smallest fold: greedy bin packing, even to the size of one group
    fold, filled = np.zeros(len(size), dtype=np.int64), [0] * min(folds, len(size))
    for number in order:
        fold[number] = filled.index(min(filled))
        filled[fold[number]] += int(size[number])
    return fold[group]


def uniform(rows: int, *, binary: bool = False) -> Probabilities:
    """Return the same probability for every outcome, shape (rows, 3); a and b get 1/2 each where there are no ties.

    Example:
        >>> uniform(1, binary=True)
        array([[0.5, 0.5, 0. ]])
    """
    return np.tile([0.5, 0.5, 0.0] if binary else [1 / 3, 1 / 3, 1 / 3], (rows, 1))


def class_prior(
    targets: ArrayLike, weights: ArrayLike | None = None, *, folds: Ints, binary: bool = False
) -> Probabilities:
    """Predict how often each outcome was voted in the other folds of the file.

    One vote is added to each outcome that can occur, so that none gets 0.

    Args:
        targets: Votes, shape (n, 3).
        weights: How much each row counts, shape (n,).
        folds: Fold of each row, from `group_folds`, shape (n,).
        binary: Whether ties cannot occur.

    Raises:
        DataError: If these are not votes, or a fold is missing for a row.

    Example:
        >>> class_prior(np.eye(3)[[0, 0, 1, 2]], folds=np.array([0, 1, 0, 1]))[:2]
        array([[0.4, 0.2, 0.4],
               [0.4, 0.4, 0.2]])
    """
    t = check_probabilities(targets, "votes")
    w = check_weights(weights, len(t))
    return _shares_elsewhere(w[:, None] * t, folds, binary=binary)


def longer_wins(
    targets: ArrayLike,
    lengths: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    folds: Ints,
    binary: bool = False,
) -> Probabilities:
    """Predict from which response is longer, by the other folds.

    Swapping the responses swaps columns a and b exactly. Responses of one length get the frequency of ties among such
    rows, the rest in halves. Votes are added as in `class_prior`.

    Args:
        targets: Votes, shape (n, 3).
        lengths: Characters of response a and of response b, shape (n, 2).
        weights: How much each row counts, shape (n,).
        folds: Fold of each row, from `group_folds`, shape (n,).
        binary: Whether ties cannot occur.

    Example:
        >>> votes = np.eye(3)[[0, 1, 0, 2]]
        >>> longer_wins(votes, [[9, 3], [2, 7], [9, 1], [5, 4]], folds=np.array([0, 0, 1, 1]))[1:3]
        array([[0.2, 0.4, 0.4],
               [0.6, 0.2, 0.2]])
    """
    t = check_probabilities(targets, "votes")
    w = check_weights(weights, len(t))
    size = np.asarray(lengths, dtype=np.float64)
    if size.shape != (len(t), 2):
        raise DataError(
            f"lengths have shape {size.shape}; allowed is ({len(t)}, 2): the characters of responses a and b"
        )
    sign = np.sign(size[:, 0] - size[:, 1])
    b_longer, equal = sign[:, None] < 0, sign == 0
    # in the order longer, shorter: swapping where b is longer undoes itself
    votes = np.where(b_longer, swap_columns(t), t)  # (n, 3)
    different = _shares_elsewhere((w * ~equal)[:, None] * votes, folds, binary=binary)
    same = _shares_elsewhere((w * equal)[:, None] * _halve(votes), folds, binary=binary)
    p = np.where(b_longer, swap_columns(different), different)
    p[equal] = _halve(same)[equal]
    return p


def _halve(p: Probabilities) -> Probabilities:
    """Give a and b the same half of what is not a tie."""
    half = (p[:, 0] + p[:, 1]) / 2
    return np.column_stack([half, half, p[:, 2]])


def _shares_elsewhere(votes: Floats, folds: Ints, *, binary: bool) -> Floats:
    """Return the share of each outcome among the votes in all folds but that of the row, shape (n, 3)."""
    if np.shape(folds) != (len(votes),):
        raise DataError(f"folds have shape {np.shape(folds)}; allowed is ({len(votes)},), one for each row")
    size = int(folds.max()) + 1
    inside = np.stack([np.bincount(folds, votes[:, k], minlength=size) for k in range(3)], axis=1)  # (folds, 3)
    others = np.stack([np.delete(inside, fold, axis=0).sum(axis=0) for fold in range(size)])
    # Laplace smoothing: one vote for each outcome that can occur
    smoothed = others + np.array([1.0, 1.0, 0.0 if binary else 1.0])
    return np.asarray(smoothed / smoothed.sum(axis=1, keepdims=True))[folds]
