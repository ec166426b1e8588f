"""Scalers that are linear in the log-probabilities: matrix, dirichlet, and shift for few votes.

A 3 x 3 matrix on the log-probabilities and a bias for each class, the same whichever response is called a, leave four
numbers that matter, for what is added to the logits of all classes alike changes nothing: the logits are

    scale * log(a),  scale * log(b),  tie_scale * log(tie) + tie_bias + cross * (log(a) + log(b)).

The log loss is convex in them. `votecast.calibration.base.make_calibrator` finds the classes by their names.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Final, Self

import numpy as np

from votecast.calibration.base import NumberScaler, log_probabilities, softmax
from votecast.metrics.checks import Checked
from votecast.metrics.scores import row_sum
from votecast.types import Floats, Probabilities

UNCHANGED: Final = np.array([1.0, 1.0, 0.0, 0.0])
"""The numbers that leave every prediction as it is."""

_STEPS: Final = 100
_CLOSE: Final = 1e-22
_SMALLEST_STEP: Final = 1e-14


def logits(z: Floats, numbers: Floats) -> Floats:
    """Return the logits of log-probabilities, both of shape (n, 3)."""
    scale, tie_scale, bias, cross = (float(number) for number in numbers)
    tie = (tie_scale * z[:, 2] + bias) + cross * (z[:, 0] + z[:, 1])
    return np.column_stack([scale * z[:, 0], scale * z[:, 1], tie])


class PenalisedLogLoss:
    """Log loss plus half the squared distance from no change: convex.

    Args:
        rows: Predictions, votes and weights; a row of weight 1 counts as one vote.
        directions: How the four numbers follow from the k that are fitted, both as distances from no change, shape
            (4, k).
    """

    def __init__(self, rows: Checked, directions: Floats) -> None:
        z = log_probabilities(rows.probabilities)
        nothing = np.zeros(len(z))
        moved_by = [  # by how much each of the four numbers moves the logits, (n, 3) each
            np.column_stack([z[:, 0], z[:, 1], nothing]),
            np.column_stack([nothing, nothing, z[:, 2]]),
            np.column_stack([nothing, nothing, np.ones(len(z))]),
            np.column_stack([nothing, nothing, z[:, 0] + z[:, 1]]),
        ]
        self.rows, self.start = rows, logits(z, UNCHANGED)
        self.mass = row_sum(rows.targets)
        self.moves: Floats = np.einsum("ncj,jk->nck", np.stack(moved_by, axis=2), directions)  # (n, 3, k)

    def minimise(self, spread: Floats) -> tuple[Floats, float]:
        """Minimise by Newton's method, halving steps until they help, under normal priors around no change.

        Args:
            spread: Standard deviation of each number's prior, shape (k,).

        Returns:
            How far each fitted number is from no change, shape (k,); and the logarithm of how likely the votes are
            under the priors, by Laplace's approximation (MacKay 1992, eq. 4.3), up to what all priors share.
        """
        precision = 1 / np.square(spread)
        theta = np.zeros(len(spread))
        value, p = self._loss(theta, precision)
        for _ in range(_STEPS):
            slope, bend = self._derivatives(theta, p, precision)
            step = np.linalg.solve(bend, slope)
            # slope @ step is twice what the step is expected to gain (the Newton decrement, squared)
            if slope @ step <= _CLOSE * max(1.0, value):
                break
            further, q = self._loss(theta - step, precision)
            while further > value and np.abs(step).max() > _SMALLEST_STEP:
                step = step / 2
                further, q = self._loss(theta - step, precision)
            if further >= value:
                break
            theta, value, p = theta - step, further, q
        # Laplace: the posterior is a normal around theta, whose volume is that of the inverse second derivatives
        volume = float(np.linalg.slogdet(self._derivatives(theta, p, precision)[1])[1])
        return theta, -value + 0.5 * float(np.log(precision).sum()) - 0.5 * volume

    def _loss(self, theta: Floats, precision: Floats) -> tuple[float, Probabilities]:
        at = self.start + np.einsum("nck,k->nc", self.moves, theta)
        top = at.max(axis=1)
        mass = np.log(row_sum(np.exp(at - top[:, None]))) + top
        t, w = self.rows.targets, self.rows.weights
        return float(w @ (self.mass * mass - row_sum(t * at))) + 0.5 * float(precision @ np.square(theta)), softmax(at)

    def _derivatives(self, theta: Floats, p: Probabilities, precision: Floats) -> tuple[Floats, Floats]:
        """Return the first and second derivatives, shapes (k,) and (k, k)."""
        w = self.rows.weights
        # of log-softmax: E[moves] - moves of the vote, and the covariance of the moves under p
        off = self.mass[:, None] * p - self.rows.targets
        mean = np.einsum("nc,nck->nk", p, self.moves)
        whole = np.einsum("nc,nck,ncl->kl", (w * self.mass)[:, None] * p, self.moves, self.moves)
        bend = whole - np.einsum("n,nk,nl->kl", w * self.mass, mean, mean) + np.diag(precision)
        return np.einsum("n,nc,nck->k", w, off, self.moves) + precision * theta, bend


class LogitScaler(NumberScaler):
    """A scaler of the four numbers scale, tie_scale, tie_bias and cross."""

    parameters: ClassVar[int] = 4
    names: ClassVar[tuple[str, ...]] = ("scale", "tie_scale", "tie_bias", "cross")

    @abstractmethod
    def _fit_numbers(self, rows: Checked) -> Floats:
        """Return the numbers, shape (4,)."""

    def _fit(self, rows: Checked, *_: object) -> None:
        self._require_ties(rows)
        self.numbers = self._fit_numbers(rows)

    def _transform(self, p: Probabilities, *_: object) -> Probabilities:
        return softmax(logits(log_probabilities(p), self._known(self.numbers)))


class Matrix(LogitScaler):
    """A matrix on the log-probabilities and a bias for each class, tied (Guo et al. 2017, matrix scaling).

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 2] * 5]
        >>> rare = np.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1]] * 5)
        >>> float(Matrix().fit(rare, votes).transform(rare)[:, 2].mean().round(2))
        0.5
    """

    method: ClassVar[str] = "matrix"
    spread: ClassVar[Floats] = np.full(4, 30.0)
    """A prior that moves nothing votes can tell, and keeps the numbers finite where predictions separate the votes."""

    def _fit_numbers(self, rows: Checked) -> Floats:
        return np.asarray(UNCHANGED + PenalisedLogLoss(rows, np.eye(4)).minimise(self.spread)[0])


class Dirichlet(Matrix):
    """Matrix scaling with the off-diagonal and intercept penalty ODIR (Kull et al. 2019, eq. 2).

    Where a and b share what they learn, that penalty comes down to the square of the tie's bias and the square of the
    off-diagonal part `cross`. The diagonal, which ODIR leaves free, is held loosely around no change. The penalties
    have the size of priors: two hundred votes begin to outweigh them.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 2] * 50]
        >>> rare = np.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1]] * 50)
        >>> float(Dirichlet().fit(rare, votes).transform(rare)[:, 2].mean().round(2))
        0.5
    """

    method: ClassVar[str] = "dirichlet"
    spread: ClassVar[Floats] = np.array([1.0, 1.0, 1.0, 0.2])
    """Standard deviations of the priors of scale, tie_scale, tie_bias and cross.

    Chosen on sources of votes, each held out in turn as a new population; see benchmarks/recalibration.py.
    """


class Shift(LogitScaler):
    """Prior shift and temperature, shrunk towards no change; more votes may change more.

    Three models are averaged by how likely each makes the votes (Bayesian model averaging; Hoeting et al. 1999, eq. 1).
    The first changes nothing. The second has an inverse temperature, a shift of the tie's logit (Saerens et al. 2002,
    eq. 4), and a number for how far a tie follows from how close the responses are, as on Davidson's curve, rather than
    from the predicted tie, which transfers worst to other populations. The third also scales the predicted tie. Every
    number has a normal prior around no change, so that few votes change little; 100 votes can already change much.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 2] * 25]
        >>> rare = np.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1]] * 25)
        >>> 0.4 < float(Shift().fit(rare, votes).transform(rare)[:, 2].mean()) < 0.5
        True
    """

    method: ClassVar[str] = "shift"
    parameters: ClassVar[int] = 3
    spread: ClassVar[Floats] = np.array([0.7, 1.0, 0.7, 0.7])
    """Standard deviation of the prior of each fitted number, chosen as that of `Dirichlet`."""
    models: ClassVar[tuple[int, ...]] = (0, 3, 4)
    """How many of the numbers each model has."""
    directions: ClassVar[Floats] = np.array([[1.0, 0, 0, 0], [1, 0, -1, 1], [0, 1, 0, 0], [0, 0, 0.5, 0]])
    """How scale, tie_scale, tie_bias and cross follow from the fitted numbers: inverse temperature, tie bias, closeness
    (how far a tie follows from how close the responses are), and a scale of the predicted tie."""

    def _fit_numbers(self, rows: Checked, no_change: float = 1.0) -> Floats:
        theta, evidence = np.zeros((len(self.models), len(self.spread))), np.empty(len(self.models))
        for place, free in enumerate(self.models):
            loss = PenalisedLogLoss(rows, self.directions[:, :free])
            theta[place, :free], evidence[place] = loss.minimise(self.spread[:free])
        # weights of the models: their posterior probabilities, numbers that a model lacks being at no change
        evidence[0] += np.log(no_change)
        likely = np.exp(evidence - evidence.max())
        mean = np.einsum("m,mk->k", likely / likely.sum(), theta)
        return np.asarray(UNCHANGED + np.einsum("jk,k->j", self.directions, mean))

    @classmethod
    def of_rows(cls, rows: Checked, no_change: float = 1.0) -> Self:
        """Fit on any rows, "no change" being `no_change` times likelier; without votes for ties these become rare."""
        return cls(*cls()._fit_numbers(rows, no_change))
