"""No calibration: the judge's own probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.calibration.base import Groups, checked_input
from votecast.metrics.checks import check_rows
from votecast.types import Probabilities


class Identity:
    """Leave probabilities as they are.

    Example:
        >>> Identity().transform([[0.5, 0.3, 0.2]])
        array([[0.5, 0.3, 0.2]])
    """

    method: ClassVar[str] = "none"
    parameters: ClassVar[int] = 0

    @property
    def by(self) -> tuple[str, ...]:
        """Nothing: all rows are left alone."""
        return ()

    def fit(
        self,
        probabilities: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        clusters: ArrayLike | None = None,  # noqa: ARG002
        groups: Groups | None = None,  # noqa: ARG002
    ) -> Self:
        """Check the rows, learn nothing.

        Raises:
            DataError: If these are not probabilities of the same rows.
        """
        check_rows(targets, probabilities, weights)
        return self

    def transform(self, probabilities: ArrayLike, groups: Groups | None = None) -> Probabilities:  # noqa: ARG002
        """The same probabilities, checked, in a new array.

        Raises:
            DataError: If these are not probabilities.
        """
        return checked_input(probabilities).copy()

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """Nothing but the name."""
        return {"method": self.method}, {}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Self:  # noqa: ARG003
        """The calibrator that does nothing."""
        return cls()
