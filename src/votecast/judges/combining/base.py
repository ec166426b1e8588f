"""What every combiner brings, and the two numbers in which the forecasts of judges are joined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from votecast.types import Probabilities

LEAST: Final = 1e-9
"""Probabilities below this count as this much before a logarithm is taken."""

ROWS_FOR_A_NUMBER: Final = 10
"""Rows without which a number is not fitted: fewer would fit their chance (Peduzzi et al. 1996)."""

Floats = NDArray[np.float64]
Forecasts = NDArray[np.float64]
"""What each of m judges forecasts of n battles, shape (m, n, 3)."""


class Combiner(Protocol):
    """A map from the forecasts of several judges to one forecast; exchanging the answers commutes with it.

    Attributes:
        method: What the user calls it.
    """

    method: ClassVar[str]

    @staticmethod
    def parameters(judges: int) -> int:
        """How many numbers are fitted, each of which needs `ROWS_FOR_A_NUMBER` rows."""

    def fit(
        self, forecasts: Forecasts, targets: Probabilities, weights: Floats, groups: NDArray[np.int64], seed: int
    ) -> Self:
        """Learn from forecasts (m, n, 3) of rows that the judges had not seen; rows of one group share a prompt."""

    def predict(self, forecasts: Forecasts) -> Probabilities:
        """One forecast for each battle, shape (n, 3)."""

    def shares(self) -> list[float] | None:
        """How much each judge counts, where that is one number that is at least 0; they sum to 1."""

    def described(self) -> dict[str, Any]:
        """What was learnt, JSON-able, for card and screen."""

    def only(self, kept: Sequence[int]) -> Self:
        """The same for some of the judges, where the others have no share."""

    def save(self, folder: Path) -> None:
        """Write what was learnt into an existing folder."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; forecasts are bit-equal."""


def logs(forecasts: Forecasts) -> Floats:
    """Logarithms of forecasts, of the same shape; what is next to impossible stays possible."""
    return np.asarray(np.log(np.maximum(forecasts, LEAST)))


def strengths(forecasts: Forecasts) -> tuple[Floats, Floats]:
    """Forecasts in the two numbers of `votecast.calibration.tie_models`: strength and closeness, each of shape (m, n).

    Exchanging the answers turns the sign of the strength and leaves the closeness alone, to the last bit.

    Example:
        >>> s, t = strengths(np.array([[[0.5, 0.25, 0.25]]]))
        >>> s.round(3).tolist(), t.round(3).tolist()
        ([[0.693]], [[-0.347]])
    """
    found = logs(forecasts)
    a, b, tie = found[..., 0], found[..., 1], found[..., 2]
    return a - b, tie - 0.5 * (a + b)


def pooled(parts: Floats) -> Probabilities:
    """Normalised exponentials of sums of logarithms, shape (n, 3); bit-equal when a and b are exchanged."""
    p = np.exp(parts - parts.max(axis=1, keepdims=True))
    return np.asarray(p / ((p[:, 0] + p[:, 1]) + p[:, 2])[:, None])


def simplest(losses: Floats, weights: Floats, groups: NDArray[np.int64]) -> int:
    """The first of several choices, simplest first, that is not worse than the best beyond one standard error.

    The rule of one standard error (Breiman et al. 1984, section 3.4.3), here of differences on the same rows.

    Args:
        losses: Loss of each held-out row under each choice, shape (choices, n).
        weights: Shape (n,).
        groups: Rows of one group share a prompt, shape (n,).

    Example:
        >>> simplest(np.array([[1.0, 1.0], [0.9, 1.1], [0.5, 0.4]]), np.ones(2), np.arange(2))
        2
    """
    group = np.unique(groups, return_inverse=True)[1]
    best = losses[int(np.argmin(losses @ weights))]
    for place, one in enumerate(losses):
        worse = np.bincount(group, weights * (one - best))
        if worse.sum() <= np.sqrt(np.sum(np.square(worse))):
            return place
    raise AssertionError("the best is not worse than itself")
