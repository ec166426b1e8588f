"""Predictions moved by differences between two responses: what votes follow in their style, and a judge does not.

Called by the audit of style and by the null prediction from style.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from votecast.calibration.tie_likelihood import LinearLikelihood, maximise
from votecast.calibration.tie_models import TIE_MODELS, davidson_probabilities
from votecast.reports.audit.findings import LEAST_PROMPTS, Finding, student_finding
from votecast.types import Bools, Floats, Ints, Probabilities

WIDE: Final = 1 / 30**2
"""Inverse variance of a prior that moves nothing votes can tell, and keeps all coefficients finite."""


@dataclass(frozen=True)
class Tilt:
    """A base prediction, moved: log odds of a against b by `slopes` times the columns, ties by `tie`.

    On a uniform base this is Davidson's model (1970, eq. 2.4) of votes by the columns; on a judge's log-probabilities
    it says what votes hold against it.

    Args:
        slopes: Log odds for each unit of each column, shape (m,).
        tie: Added to the logit of a tie.
        point: Slopes in units of the root mean square of each column, then `tie`, shape (m + 1,).
        scale: These units, shape (m,).
        penalty: Inverse variance of the prior of `point`.
    """

    slopes: Floats
    tie: float
    point: Floats
    scale: Floats
    penalty: float

    def predict(self, base: Floats, columns: Floats) -> Probabilities:
        """Return tilted probabilities of shape (n, 3) for logits (n, 3) and columns (n, m)."""
        none = np.zeros((len(base), 3))
        d, t = _likelihood(base, columns / self.scale, none, self.penalty).predictors(self.point)
        return davidson_probabilities(d, np.asarray(t))

    def tested(
        self, base: Floats, columns: Floats, targets: Probabilities, weights: Floats, clusters: Ints
    ) -> list[Finding]:
        """Return each slope with its interval, by the sandwich estimator over clusters (Liang and Zeger 1986, eq. 6).

        Where votes are single, a standard error is never taken for less than Fisher's information implies.
        """
        likelihood = _likelihood(base, columns / self.scale, weights[:, None] * targets, self.penalty)
        terms = likelihood.terms(self.point)
        sums = np.stack([np.bincount(clusters, score) for score in likelihood.scores(terms).T], axis=1)  # (G, m + 1)
        bread = np.linalg.inv(likelihood.information(terms))
        several = _count_clusters(clusters, weights > 0)
        single = np.square(weights) * (targets.max(axis=1) == 1)
        known = likelihood.fisher(self.point, single) - np.diag(likelihood.penalty)
        meats = sums.T @ sums * (several / max(several - 1, 1)), known
        variance = np.maximum(*(np.diag(bread @ meat @ bread) for meat in meats))
        errors = np.sqrt(np.maximum(variance[:-1], 0.0)) / self.scale
        differs = [_count_clusters(clusters, (column != 0) & (weights > 0)) for column in columns.T]
        return [
            student_finding(float(slope), float(error), often - 1) if often >= LEAST_PROMPTS else Finding(float(slope))
            for slope, error, often in zip(self.slopes, errors, differs, strict=True)
        ]


def fit_tilt(base: Floats, columns: Floats, targets: Probabilities, weights: Floats, penalty: float = WIDE) -> Tilt:
    """Fit a tilt by maximum likelihood with a normal prior.

    Args:
        base: Logits, shape (n, 3).
        columns: Differences between a and b, which change their sign with the order of the responses, shape (n, m).
        targets: Votes, one-hot or soft, shape (n, 3).
        weights: How much each row counts, shape (n,).
        penalty: Inverse variance of the prior of each coefficient, in units of the column's root mean square.

    Example:
        >>> votes, longer = np.eye(3)[[0, 0, 0, 1] * 50], np.ones((200, 1))
        >>> fit_tilt(np.zeros((200, 3)), longer, votes, np.ones(200)).slopes.round(2)
        array([1.1])
    """
    mass = weights.sum()
    scale = np.sqrt(weights @ np.square(columns) / (mass if mass > 0 else 1.0))
    scale = np.where(scale > 0, scale, 1.0)
    start = np.zeros(columns.shape[1] + 1)
    found = maximise(_likelihood(base, columns / scale, weights[:, None] * targets, penalty), start, steps=200)
    point = start if found is None else found  # the prior makes every maximum finite
    return Tilt(point[:-1] / scale, float(point[-1]), point, scale, penalty)


def _likelihood(base: Floats, x: Floats, votes: Floats, penalty: float) -> LinearLikelihood:
    """Return Davidson's likelihood of slopes (m,) and a tie's bias, with the base's own leads and closenesses."""
    n, m = x.shape
    return LinearLikelihood(
        TIE_MODELS["davidson"],
        np.column_stack([x, np.zeros(n)]),
        np.column_stack([np.zeros((n, m)), np.ones(n)]),
        votes,
        penalty=np.full(m + 1, penalty),
        offset=(base[:, 0] - base[:, 1], base[:, 2] - (base[:, 0] + base[:, 1]) / 2),
    )


def _count_clusters(clusters: Ints, rows: Bools) -> int:
    return int(np.count_nonzero(np.bincount(clusters[rows])))
