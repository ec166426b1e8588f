"""Temperature scaling: one number that makes all forecasts bolder or more modest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from votecast.calibration.base import Learning, learnt, log_probabilities, softmax
from votecast.metrics.checks import Checked
from votecast.metrics.scores import row_sum
from votecast.types import Probabilities

HOTTEST: Final = 100.0


class Temperature(Learning):
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

    def _learn(self, rows: Checked) -> None:
        t, p, w = rows
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

    def _apply(self, p: Probabilities) -> Probabilities:
        return softmax(log_probabilities(p) / learnt(self.temperature, self.method))

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
