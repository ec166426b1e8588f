"""Temperature scaling: one number that makes all forecasts bolder or more modest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from votecast.calibration.base import checked_input, fitting_rows, learnt, log_probabilities, softmax
from votecast.metrics.rows import row_sum
from votecast.types import Probabilities

HOTTEST: Final = 100.0


class Temperature:
    """Divide the logits by one temperature (Guo et al. 2017, eq. 9): the order of the classes stays what it is.

    The log loss is convex in the inverse temperature, and least where its derivative vanishes; the temperature is kept
    within 1/100 and 100, which forecasts that know nothing, or everything, would leave.

    Attributes:
        temperature: Above 1 where the forecasts were too bold, below 1 where they were too modest; None before `fit`.

    Example:
        >>> votes = np.eye(3)[[0, 0, 1, 2]]
        >>> bold = np.tile([0.98, 0.01, 0.01], (4, 1))
        >>> Temperature().fit(bold, votes).transform(bold[:1]).round(3)
        array([[0.5 , 0.25, 0.25]])
    """

    method: ClassVar[str] = "temperature"
    parameters: ClassVar[int] = 1

    def __init__(self, temperature: float | None = None) -> None:
        self.temperature = temperature

    def fit(self, probabilities: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None) -> Self:
        """Find the temperature with the least log loss.

        Args:
            probabilities: Forecasts of rows the judge had not seen, shape (n, 3).
            targets: Their votes, shape (n, 3).
            weights: How much each row counts, shape (n,).

        Raises:
            DataError: If these are not probabilities of the same rows.
            JudgeError: If no row counts, or nobody decided for an answer.
        """
        t, p, w = fitting_rows(self, probabilities, targets, weights)
        z = log_probabilities(p)
        voted = row_sum(t * z)

        def slope(inverse: float) -> float:
            """Derivative of the log loss."""
            return float(w @ (row_sum(softmax(inverse * z) * z) - voted))

        if slope(1 / HOTTEST) >= 0:
            inverse = 1 / HOTTEST
        elif slope(HOTTEST) <= 0:
            inverse = HOTTEST
        else:
            inverse = brentq(slope, 1 / HOTTEST, HOTTEST, xtol=1e-12)
        self.temperature = float(1 / inverse)
        return self

    def transform(self, probabilities: ArrayLike) -> Probabilities:
        """Apply the temperature.

        Args:
            probabilities: Shape (n, 3).

        Returns:
            Shape (n, 3).

        Raises:
            DataError: If these are not probabilities.
            JudgeError: Before `fit`.
        """
        temperature = learnt(self.temperature, self.method)
        return softmax(log_probabilities(checked_input(probabilities)) / temperature)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """The temperature; no arrays."""
        return {"method": self.method, "temperature": learnt(self.temperature, self.method)}, {}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Self:  # noqa: ARG003
        """The calibrator with this temperature.

        Raises:
            ValueError: If it is not a number above 0.
        """
        temperature = float(config["temperature"])
        if not 0 < temperature < np.inf:
            raise ValueError(f"the temperature is {temperature}; allowed are numbers above 0")
        return cls(temperature)
