"""The blend of two strengths and two closenesses by five numbers fitted out of fold; and the inner folds for it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import minimize

from votecast.calibration.tie_models import davidson_gradients, davidson_loss, davidson_probabilities
from votecast.types import Floats, Ints, Probabilities

Scores = Sequence[Floats]
"""Strength and closeness of each battle, without constants."""


@dataclass(frozen=True)
class Blend:
    """Shares of two models in strength and closeness.

    Args:
        strength: Shares of the two models' strengths, at least 0.
        closeness: Shares of the two models' closenesses, at least 0.
        base: The constant part of the closeness.
    """

    strength: tuple[float, float]
    closeness: tuple[float, float]
    base: float

    @classmethod
    def fit(cls, scores: Sequence[Scores], targets: Probabilities, weights: Floats, base: float) -> Self:
        """Minimize the log loss of out-of-fold predictions, pulled slightly towards equal shares.

        Args:
            scores: Held-out strengths and closenesses of the two models.
            targets: Soft labels, shape (n, 3).
            weights: Shape (n,).
            base: Where the constant starts.
        """
        s, t = (np.stack([part[which] for part in scores], axis=1) for which in (0, 1))  # each (n, 2)
        start = np.array([0.5, 0.5, 0.5, 0.5, base])
        # the penalty weighs as much as one row; the constant has none
        pull = np.array([1.0, 1.0, 1.0, 1.0, 0.0]) / len(targets)
        mean = weights / weights.sum()

        def _objective(point: Floats) -> tuple[float, Floats]:
            """Loss and gradient of the five numbers."""
            p = davidson_probabilities(s @ point[:2], t @ point[2:4] + point[4])
            ds, dt = (part * mean for part in davidson_gradients(p, targets))
            slope = np.concatenate([ds @ s, dt @ t, [dt.sum()]])
            gap = point - start
            return davidson_loss(p, targets, weights) + 0.5 * float(np.sum(pull * gap**2)), slope + pull * gap

        bounds = [(0.0, 3.0)] * 4 + [(-20.0, 20.0)]
        found = minimize(_objective, start, jac=True, method="L-BFGS-B", bounds=bounds).x.tolist()
        return cls((found[0], found[1]), (found[2], found[3]), found[4])

    def predict(self, one: Scores, two: Scores) -> Probabilities:
        """Return probabilities of shape (n, 3) from the strengths and closenesses of the two models."""
        s = self.strength[0] * one[0] + self.strength[1] * two[0]
        t = (self.closeness[0] * one[1] + self.closeness[1] * two[1]) + self.base
        return davidson_probabilities(s, t)


def inner_folds(groups: Ints, n: int, seed: int) -> Ints:
    """Deal whole groups to n folds of about equal size, the largest groups first.

    Args:
        groups: Group of each row, shape (rows,).
        n: Number of folds; fewer where there are fewer groups.
        seed: Seed of the order among groups of equal size.

    Returns:
        Fold of each row, shape (rows,).

    Example:
        >>> inner_folds(np.array([7, 7, 8, 9]), 2, seed=0).tolist()[:2] in ([0, 0], [1, 1])
        True
    """
    _, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    shuffled = np.random.default_rng(seed).permutation(sizes.size)
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    fold_of = np.zeros(sizes.size, dtype=np.int64)
    load = [(0, fold) for fold in range(min(n, sizes.size))]
    for group in order.tolist():
        rows, fold = heapq.heappop(load)  # the fold with the fewest rows so far
        fold_of[group] = fold
        heapq.heappush(load, (rows + int(sizes[group]), fold))
    return fold_of[member]


def hold_out(groups: Ints, share: float, seed: int) -> tuple[Ints, Ints]:
    """Split rows into those to learn from and those to choose weights by, by whole groups.

    Args:
        groups: Group of each row, shape (rows,).
        share: About the share of the rows that is held out; none are for 0, or for a single group.
        seed: Seed of the choice.

    Example:
        >>> train, held = hold_out(np.repeat(np.arange(10), 2), 0.2, seed=0)
        >>> len(train), len(held)
        (16, 4)
    """
    rows = np.arange(len(groups))
    if not share or len(np.unique(groups)) < 2:
        return rows, rows[:0]
    held = inner_folds(groups, max(2, round(1 / share)), seed) == 0
    return rows[~held], rows[held]
