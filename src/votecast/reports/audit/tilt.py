"""Forecasts tilted by differences between two answers: what people see in the form of answers, and a judge does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from votecast.metrics.scores import row_sum
from votecast.reports.audit.findings import LEAST_PROMPTS, Finding, student_finding
from votecast.types import Floats, Probabilities

WIDE: Final = 1 / 30**2
"""Inverse variance of a prior that moves nothing votes can tell, and keeps all coefficients finite."""

_STEPS: Final = 50
_HALF: Final = np.array([0.5, -0.5, 0.0])
_TIE: Final = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Tilt:
    """A base forecast, moved: log odds of a against b by `slopes` times the columns, ties by `tie`.

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
        """Tilted probabilities of shape (n, 3) for logits (n, 3) and columns (n, m)."""
        return _softmax(base, columns / self.scale, self.point)

    def tested(
        self, base: Floats, columns: Floats, targets: Probabilities, weights: Floats, clusters: NDArray[np.int64]
    ) -> list[Finding]:
        """Each slope with its interval, by the sandwich estimator over clusters (Liang and Zeger 1986, eq. 6).

        Where votes are single, a standard error is never taken for less than Fisher's information implies.
        """
        x = columns / self.scale
        p = self.predict(base, columns)
        rest = weights[:, None] * (targets - p)
        each = np.column_stack([(rest @ _HALF)[:, None] * x, rest @ _TIE])
        sums = np.stack([np.bincount(clusters, column) for column in each.T], axis=1)
        bread = np.linalg.inv(_curvature(x, p, weights, self.penalty))
        several = _different(clusters, weights > 0)
        single = np.square(weights) * (targets.max(axis=1) == 1)
        meats = sums.T @ sums * (several / max(several - 1, 1)), _curvature(x, p, single, 0.0)
        variance = np.maximum(*(np.diag(bread @ meat @ bread) for meat in meats))
        errors = np.sqrt(np.maximum(variance[:-1], 0.0)) / self.scale
        differs = [_different(clusters, (column != 0) & (weights > 0)) for column in columns.T]
        return [
            student_finding(float(slope), float(error), often - 1) if often >= LEAST_PROMPTS else Finding(float(slope))
            for slope, error, often in zip(self.slopes, errors, differs, strict=True)
        ]


def fit_tilt(base: Floats, columns: Floats, targets: Probabilities, weights: Floats, penalty: float = WIDE) -> Tilt:
    """Fit a tilt by maximum likelihood with a normal prior, by Newton's method.

    Args:
        base: Logits, shape (n, 3).
        columns: Differences between a and b, which change their sign with the order of the answers, shape (n, m).
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
    x, point = columns / scale, np.zeros(columns.shape[1] + 1)
    value = _loss(base, x, point, targets, weights, penalty)
    for _ in range(_STEPS):
        p = _softmax(base, x, point)
        rest = weights[:, None] * (targets - p)
        slope = np.append(x.T @ (rest @ _HALF), (rest @ _TIE).sum()) - penalty * point
        step = np.linalg.solve(_curvature(x, p, weights, penalty), slope)
        while (better := _loss(base, x, point + step, targets, weights, penalty)) > value + 1e-12 * abs(value):
            step /= 2
        point, gain, value = point + step, value - better, better
        if gain <= 1e-12 * abs(value):
            break
    return Tilt(point[:-1] / scale, float(point[-1]), point, scale, penalty)


def logits(p: Probabilities) -> Floats:
    """Log-probabilities, a probability of 0 taken for 1e-12."""
    return np.asarray(np.log(np.maximum(p, 1e-12)))


def _different(clusters: NDArray[np.int64], rows: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(np.bincount(clusters[rows])))


def _softmax(base: Floats, x: Floats, point: Floats) -> Probabilities:
    lead = x @ point[:-1]
    z = base + lead[:, None] * _HALF + point[-1] * _TIE
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(z / row_sum(z)[:, None])


def _loss(base: Floats, x: Floats, point: Floats, targets: Probabilities, weights: Floats, penalty: float) -> float:
    logs = np.log(np.maximum(_softmax(base, x, point), 1e-300))
    return float(0.5 * penalty * point @ point - weights @ row_sum(targets * logs))


def _curvature(x: Floats, p: Probabilities, weights: Floats, penalty: float) -> Floats:
    lead = (p[:, 0] - p[:, 1]) / 2
    by_slope = weights * ((p[:, 0] + p[:, 1]) / 4 - np.square(lead))
    mixed = x.T @ (weights * -lead * p[:, 2])
    out = np.empty((x.shape[1] + 1, x.shape[1] + 1))
    out[:-1, :-1] = x.T @ (by_slope[:, None] * x)
    out[:-1, -1] = out[-1, :-1] = mixed
    out[-1, -1] = weights @ (p[:, 2] * (1 - p[:, 2]))
    return out + penalty * np.eye(len(out))
