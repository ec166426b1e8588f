"""Calibrators that are linear in what they learn: four numbers make the logits, the log loss is convex in them.

A 3 x 3 matrix on the log-probabilities and a bias for each class, the same whichever answer is called a, leave four
numbers that matter: what is added to the logits of all classes alike changes nothing, so that the logits are

    scale * log(a),  scale * log(b),  tie_scale * log(tie) + tie_bias + cross * (log(a) + log(b)).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from votecast.calibration.base import Learning, learnt, log_probabilities, needs_ties, softmax
from votecast.metrics.checks import Checked
from votecast.metrics.scores import row_sum
from votecast.types import Floats, Probabilities

NAMES: Final = ("scale", "tie_scale", "tie_bias", "cross")
UNCHANGED: Final = np.array([1.0, 1.0, 0.0, 0.0])
"""The numbers that leave every forecast as it is."""

_STEPS: Final = 100
_CLOSE: Final = 1e-22
_SMALLEST_STEP: Final = 1e-14


class Logits(Learning):
    """What calibrators of this form share.

    Attributes:
        numbers: scale, tie_scale, tie_bias and cross, shape (4,); None before `fit`.
    """

    method: ClassVar[str]
    parameters: ClassVar[int] = len(NAMES)

    def __init__(self, numbers: Floats | None = None) -> None:
        self.numbers = numbers

    @property
    def matrix(self) -> Floats:
        """The matrix on the log-probabilities of a, b and tie, and the biases, shape (3, 4)."""
        scale, tie_scale, bias, cross = learnt(self.numbers, self.method)
        return np.array([[scale, 0, 0, 0], [0, scale, 0, 0], [cross, cross, tie_scale, bias]])

    def _learn(self, rows: Checked) -> None:
        needs_ties(self.method, rows)
        self.numbers = self._fitted(rows)

    @abstractmethod
    def _fitted(self, rows: Checked) -> Floats:
        """The numbers, shape (4,)."""

    def _apply(self, p: Probabilities) -> Probabilities:
        return softmax(logits(log_probabilities(p), learnt(self.numbers, self.method)))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """The four numbers; no arrays."""
        numbers = learnt(self.numbers, self.method).tolist()
        return {"method": self.method} | dict(zip(NAMES, numbers, strict=True)), {}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Self:  # noqa: ARG003
        """The calibrator with these numbers.

        Raises:
            ValueError: If one of them is not finite.
        """
        numbers = np.array([float(config[name]) for name in NAMES])
        if not np.isfinite(numbers).all():
            raise ValueError(f"{', '.join(NAMES)} are {numbers.tolist()}; allowed are finite numbers")
        return cls(numbers)


def logits(z: Floats, numbers: Floats) -> Floats:
    """The logits of log-probabilities (n, 3), shape (n, 3); columns a and b change places when those of z do."""
    scale, tie_scale, bias, cross = (float(number) for number in numbers)
    tie = (tie_scale * z[:, 2] + bias) + cross * (z[:, 0] + z[:, 1])
    return np.column_stack([scale * z[:, 0], scale * z[:, 1], tie])


def basis(z: Floats) -> Floats:
    """What the logits are sums of: by how much each number moves them, shape (n, 3, 4)."""
    nothing = np.zeros(len(z))
    by_number = (
        np.column_stack([z[:, 0], z[:, 1], nothing]),
        np.column_stack([nothing, nothing, z[:, 2]]),
        np.column_stack([nothing, nothing, np.ones(len(z))]),
        np.column_stack([nothing, nothing, z[:, 0] + z[:, 1]]),
    )
    return np.stack(by_number, axis=2)


@dataclass(frozen=True)
class Found:
    """Where the log loss, with its priors, is least.

    Args:
        theta: How far each fitted number is from no change, shape (k,).
        evidence: Logarithm of how likely the votes are under the priors, by Laplace's approximation (MacKay 1992,
            eq. 4.3), up to what all priors share.
    """

    theta: Floats
    evidence: float


class LeastLogLoss:
    """The log loss of some rows, summed over them and plus half the squared distance from no change: convex.

    Args:
        rows: Forecasts, votes and weights; a row of weight 1 counts as one vote.
        ties: How the four numbers follow from the k that are fitted, by how far both are from no change: shape (4, k).
    """

    def __init__(self, rows: Checked, ties: Floats) -> None:
        z = log_probabilities(rows.probabilities)
        self.rows, self.start = rows, logits(z, UNCHANGED)
        self.mass = row_sum(rows.targets)
        self.moves: Floats = np.einsum("ncj,jk->nck", basis(z), ties)  # (n, 3, k)

    def find(self, spread: Floats, begin: Floats | None = None) -> Found:
        """Newton's method, with steps that are halved until they help.

        Args:
            spread: Standard deviation of each number's normal prior around no change, shape (k,).
            begin: Where to begin, shape (k,); at no change where None.
        """
        precision = 1 / np.square(spread)
        theta = np.zeros(len(spread)) if begin is None else begin
        value, p = self._loss(theta, precision)
        for _ in range(_STEPS):
            slope, bend = self._bends(theta, p, precision)
            step = np.linalg.solve(bend, slope)
            if slope @ step <= _CLOSE * max(1.0, value):
                break
            further, q = self._loss(theta - step, precision)
            while further > value and np.abs(step).max() > _SMALLEST_STEP:
                step = step / 2
                further, q = self._loss(theta - step, precision)
            if further >= value:
                break
            theta, value, p = theta - step, further, q
        volume = float(np.linalg.slogdet(self._bends(theta, p, precision)[1])[1])
        return Found(theta, -value + 0.5 * float(np.log(precision).sum()) - 0.5 * volume)

    def _loss(self, theta: Floats, precision: Floats) -> tuple[float, Floats]:
        at = self.start + np.einsum("nck,k->nc", self.moves, theta)
        top = at.max(axis=1)
        mass = np.log(row_sum(np.exp(at - top[:, None]))) + top
        t, w = self.rows.targets, self.rows.weights
        return float(w @ (self.mass * mass - row_sum(t * at))) + 0.5 * float(precision @ np.square(theta)), softmax(at)

    def _bends(self, theta: Floats, p: Floats, precision: Floats) -> tuple[Floats, Floats]:
        """First and second derivatives."""
        w = self.rows.weights
        off = self.mass[:, None] * p - self.rows.targets
        mean = np.einsum("nc,nck->nk", p, self.moves)
        whole = np.einsum("nc,nck,ncl->kl", (w * self.mass)[:, None] * p, self.moves, self.moves)
        bend = whole - np.einsum("n,nk,nl->kl", w * self.mass, mean, mean) + np.diag(precision)
        return np.einsum("n,nc,nck->k", w, off, self.moves) + precision * theta, bend


def least_log_loss(rows: Checked, spread: Floats) -> Floats:
    """The four numbers, each with a normal prior of this standard deviation around no change, shape (4,)."""
    return np.asarray(UNCHANGED + LeastLogLoss(rows, np.eye(len(NAMES))).find(spread).theta)
