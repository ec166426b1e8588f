"""Predictions moved by differences between two responses: what votes follow in their style, and a judge does not.

Called by the audit of style and by the null prediction from style.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from votecast.calibration.tie_likelihood import LinearLikelihood, maximise
from votecast.calibration.tie_models import TIE_MODELS, davidson_probabilities
from votecast.reports.audit.findings import LEAST_PROMPTS, Finding, student_finding
from votecast.types import Bools, Floats, Ints, Probabilities

WIDE: Final = 1 / 30**2
"""Inverse variance of a prior that moves nothing votes can tell, and keeps all coefficients finite."""


class Tilt:
    """A base prediction, moved: log odds of a against b by `slopes` times the columns, ties by a number of their own.

    On a uniform base this is Davidson's model (1970, eq. 2.4) of votes by the columns; on a judge's log-probabilities
    it says what votes hold against it. It is fitted by maximum likelihood with a normal prior.

    Args:
        base: Logits, shape (n, 3).
        columns: Differences between a and b, which change their sign with the order of the responses, shape (n, m).
        targets: Votes, one-hot or soft, shape (n, 3).
        weights: How much each row counts, shape (n,).
        penalty: Inverse variance of the prior of each coefficient, in units of the column's root mean square.

    Attributes:
        slopes: Log odds for each unit of each column, shape (m,).

    Example:
        >>> votes, longer = np.eye(3)[[0, 0, 0, 1] * 50], np.ones((200, 1))
        >>> Tilt(np.zeros((200, 3)), longer, votes, np.ones(200)).slopes.round(2)
        array([1.1])
    """

    def __init__(
        self, base: Floats, columns: Floats, targets: Probabilities, weights: Floats, penalty: float = WIDE
    ) -> None:
        self.columns, self.targets, self.weights, self.penalty = columns, targets, weights, penalty
        mass = weights.sum()
        scale = np.sqrt(weights @ np.square(columns) / (mass if mass > 0 else 1.0))
        self.scale = np.where(scale > 0, scale, 1.0)
        self.likelihood = self._likelihood(base, columns, weights[:, None] * targets)
        start = np.zeros(columns.shape[1] + 1)
        found = maximise(self.likelihood, start, steps=200)
        # slopes in units of the scale, then the bias of a tie, (m + 1,); the prior makes every maximum finite
        self.point = start if found is None else found
        self.slopes = self.point[:-1] / self.scale

    def _likelihood(self, base: Floats, columns: Floats, votes: Floats) -> LinearLikelihood:
        """Return Davidson's likelihood of slopes (m,) and a tie's bias, with the base's own leads and closenesses."""
        n, m = columns.shape
        return LinearLikelihood(
            TIE_MODELS["davidson"],
            np.column_stack([columns / self.scale, np.zeros(n)]),
            np.column_stack([np.zeros((n, m)), np.ones(n)]),
            votes,
            penalty=np.full(m + 1, self.penalty),
            offset=(base[:, 0] - base[:, 1], base[:, 2] - (base[:, 0] + base[:, 1]) / 2),
        )

    def predict(self, base: Floats, columns: Floats) -> Probabilities:
        """Return tilted probabilities of shape (n, 3) for logits (n, 3) and columns (n, m)."""
        d, t = self._likelihood(base, columns, np.zeros((len(base), 3))).predictors(self.point)
        return davidson_probabilities(d, np.asarray(t))

    def tested(self, clusters: Ints) -> list[Finding]:
        """Return each slope with its interval over clusters."""
        likelihood, weights = self.likelihood, self.weights
        terms = likelihood.terms(self.point)
        # sandwich estimator (Liang & Zeger 1986, eq. 6)
        sums = np.stack([np.bincount(clusters, score) for score in likelihood.scores(terms).T], axis=1)  # (G, m + 1)
        bread = np.linalg.inv(likelihood.information(terms))
        several = _count_clusters(clusters, weights > 0)
        # where votes are single, a standard error is never taken for less than Fisher's information implies
        single = np.square(weights) * (self.targets.max(axis=1) == 1)
        known = likelihood.fisher(self.point, single) - np.diag(likelihood.penalty)
        meats = sums.T @ sums * (several / max(several - 1, 1)), known
        variance = np.maximum(*(np.diag(bread @ meat @ bread) for meat in meats))
        errors = np.sqrt(np.maximum(variance[:-1], 0.0)) / self.scale
        differs = [_count_clusters(clusters, (column != 0) & (weights > 0)) for column in self.columns.T]
        return [
            student_finding(float(slope), float(error), often - 1) if often >= LEAST_PROMPTS else Finding(float(slope))
            for slope, error, often in zip(self.slopes, errors, differs, strict=True)
        ]


def _count_clusters(clusters: Ints, rows: Bools) -> int:
    return int(np.count_nonzero(np.bincount(clusters[rows])))
