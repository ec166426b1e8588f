"""Maximum likelihood for the curves of a link: two or three numbers, their covariance, everything weighted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from votecast.calibration.link_curves import Curve
from votecast.types import Floats, Probabilities

WIDTH: Final = 30.0
"""Standard deviation of the prior of each slope, in log odds for a column of mean square 1.

It moves nothing that votes can tell, and keeps the slope finite where the scores divide the votes without a fault.
"""

_HALF_A_VOTE: Final = 0.5
_OPTIONS: Final = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-10}


@dataclass(frozen=True)
class Votes:
    """What a curve is fitted on.

    Args:
        columns: What the lead is a sum of, each changing its sign with the order of the answers, shape (n, m).
        targets: Soft labels, shape (n, 3).
        weights: How much each row counts, shape (n,).
    """

    columns: Floats
    targets: Probabilities
    weights: Floats


@dataclass(frozen=True)
class Estimate:
    """Where the likelihood is largest.

    Args:
        slopes: Log odds for each unit of each column, shape (m,).
        t: The number for ties.
        covariance: Of slopes and `t`, shape (m + 1, m + 1).
    """

    slopes: Floats
    t: float
    covariance: Floats


def estimate(curve: Curve, votes: Votes, groups: NDArray[np.int64] | None = None) -> Estimate:
    """Fit a curve.

    Where nobody called a tie, half a vote of one is added, spread over all rows, so that none is forecast at 0.

    Args:
        curve: The curve.
        votes: At least one decided vote.
        groups: Group of each row, shape (n,): rows of one group share what the curve does not know. The covariance is
            then the sandwich over groups (Liang & Zeger 1986, eq. 6), times G / (G - 1); without groups it is the
            inverse Fisher information, a row of weight w counting as w votes on the scale on which Kish's effective
            number of rows is the sum of the weights.
    """
    scale = _root_mean_square(votes.columns, votes.weights)
    known = _with_a_tie(Votes(votes.columns / scale, votes.targets, votes.weights))
    objective = _Objective(curve, known)
    share = float(np.clip(np.average(known.targets[:, 2], weights=known.weights), 1e-3, 1 - 1e-3))
    start = np.append(np.full(len(scale), 1e-3), curve.start(share))
    bounds = [(None, None)] * len(scale) + [curve.bounds]
    with threadpool_limits(1):  # several threads for a handful of numbers would only wait for each other
        found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=_OPTIONS).x
        covariance = _covariance(objective, found, groups)
    units = np.append(scale, 1.0)
    covariance /= np.outer(units, units)
    return Estimate(found[:-1] / scale, float(found[-1]), covariance)


class _Objective:
    """Minus the mean log-likelihood and its gradient, with the priors of the slopes."""

    def __init__(self, curve: Curve, votes: Votes) -> None:
        self.curve, self.votes = curve, votes
        self.total = float(votes.weights.sum())
        self.penalty = 1 / WIDTH**2

    def __call__(self, point: Floats) -> tuple[float, Floats]:
        x, y, w = self.votes.columns, self.votes.targets, self.votes.weights
        logs = self.curve.logs(_lead(x, point[:-1]), float(point[-1]))
        sides = (y[:, 0] * logs[:, 0] + y[:, 1] * logs[:, 1]) + y[:, 2] * logs[:, 2]
        scores = self.scores(point, logs)
        value = -float(w @ sides) + 0.5 * self.penalty * float(point[:-1] @ point[:-1])
        slope = -(w @ scores)
        slope[:-1] += self.penalty * point[:-1]
        return value / self.total, slope / self.total

    def scores(self, point: Floats, logs: Floats) -> Floats:
        """Derivatives of each row's log-likelihood by slopes and `t`, shape (n, m + 1)."""
        y = self.votes.targets
        by_d, by_t = self.curve.slopes(logs, float(point[-1]))
        d, t = ((y[:, 0] * part[:, 0] + y[:, 1] * part[:, 1]) + y[:, 2] * part[:, 2] for part in (by_d, by_t))
        return np.column_stack([d[:, None] * self.votes.columns, t])

    def information(self, point: Floats, weights: Floats) -> Floats:
        """Fisher information of the rows, and of the priors, shape (m + 1, m + 1)."""
        logs = self.curve.logs(_lead(self.votes.columns, point[:-1]), float(point[-1]))
        p, (by_d, by_t) = np.exp(logs), self.curve.slopes(logs, float(point[-1]))
        dd, dt, tt = (weights * np.sum(p * one * two, axis=1) for one, two in _squares(by_d, by_t))
        x = self.votes.columns
        out = np.empty((len(point), len(point)))
        out[:-1, :-1] = x.T @ (dd[:, None] * x) + self.penalty * np.eye(x.shape[1])
        out[:-1, -1] = out[-1, :-1] = x.T @ dt
        out[-1, -1] = tt.sum()
        return out


def _squares(d: Floats, t: Floats) -> list[tuple[Floats, Floats]]:
    return [(d, d), (d, t), (t, t)]


def _lead(columns: Floats, slopes: Floats) -> Floats:
    """Each row summed in the same order whatever the other rows, which a matrix product is not."""
    return np.asarray(np.sum(columns * slopes, axis=1))


def _covariance(objective: _Objective, point: Floats, groups: NDArray[np.int64] | None) -> Floats:
    votes = objective.votes
    w = votes.weights
    if groups is None:
        return np.asarray(np.linalg.pinv(objective.information(point, w * (w.sum() / np.sum(w**2))), hermitian=True))
    logs = objective.curve.logs(_lead(votes.columns, point[:-1]), float(point[-1]))
    each = w[:, None] * objective.scores(point, logs)
    sums = np.stack([np.bincount(groups, column) for column in each.T], axis=1)  # (G, m + 1)
    bread = np.linalg.pinv(objective.information(point, w), hermitian=True)
    several = len(np.unique(groups))
    return np.asarray(bread @ (sums.T @ sums) @ bread) * (several / max(several - 1, 1))


def _with_a_tie(votes: Votes) -> Votes:
    if np.any(votes.targets[:, 2] > 0):
        return votes
    each = _HALF_A_VOTE / len(votes.weights)
    targets = (votes.targets + np.array([0.0, 0.0, each])) / (1 + each)
    return Votes(votes.columns, targets, votes.weights * (1 + each))


def _root_mean_square(columns: Floats, weights: Floats) -> Floats:
    """The size of each column; 1 for one that is 0 throughout."""
    largest = np.abs(columns).max(axis=0)
    unit = np.where(largest > 0, largest, 1.0)  # squares of large numbers would overflow
    size = unit * np.sqrt(np.average((columns / unit) ** 2, axis=0, weights=weights))
    return np.where(size > 0, size, 1.0)
