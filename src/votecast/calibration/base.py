"""What a calibrator is, and what all share: checked rows, log-probabilities, sums that an exchange leaves alone.

A calibrator maps probabilities to truer ones. Exchanging the answers exchanges columns a and b of its input, and must
do exactly that to its output: parameters are shared by a and b, and every sum over classes is taken as (a + b) + tie,
which is the same number to the last bit when a and b change places.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import JudgeError
from votecast.metrics.checks import Checked, check_groups, check_probabilities, check_rows
from votecast.metrics.scores import row_sum
from votecast.types import Floats, Probabilities

SMALLEST: Final = 1e-12
"""Probabilities below this count as this much before a logarithm is taken: 0 stays unlikely, but not for ever."""

Learnt = TypeVar("Learnt")

Groups = Mapping[str, Sequence[str]]
"""What the rows are grouped by ("language") to the group of each of n rows."""


@runtime_checkable
class Calibrator(Protocol):
    """A map from probabilities to truer ones, fitted on forecasts of rows that the judge had not seen.

    Attributes:
        method: Name in the table of calibrators.
        parameters: How many numbers it fits at least.
        by: What rows must be grouped by for `transform`, such as ("language",); most calibrators want nothing.
    """

    method: ClassVar[str]
    parameters: ClassVar[int]

    @property
    def by(self) -> tuple[str, ...]:
        """What rows must be grouped by."""

    def fit(
        self,
        probabilities: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        clusters: ArrayLike | None = None,
        groups: Groups | None = None,
    ) -> Self:
        """Learn from forecasts (n, 3), votes (n, 3) and weights (n,); clusters (n,) are those of their prompts."""

    def transform(self, probabilities: ArrayLike, groups: Groups | None = None) -> Probabilities:
        """Calibrated probabilities, shape (n, 3)."""

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """What was learnt: JSON-able values, and arrays by name."""

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Self:
        """The calibrator whose `state` this is; further keys are left alone."""


class Learning(ABC):
    """What calibrators with something to learn share: rows are checked before they fit and before they transform."""

    method: ClassVar[str]
    parameters: ClassVar[int]

    @property
    def by(self) -> tuple[str, ...]:
        """Nothing: all rows are calibrated alike."""
        return ()

    def fit(
        self,
        probabilities: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        clusters: ArrayLike | None = None,
        groups: Groups | None = None,  # noqa: ARG002 - read by calibrators that group
    ) -> Self:
        """Learn from forecasts and votes.

        Args:
            probabilities: Forecasts of rows the judge had not seen, shape (n, 3).
            targets: Their votes, one-hot or soft, shape (n, 3).
            weights: How much each row counts, shape (n,); every row once where None.
            clusters: Cluster of prompts of each row, shape (n,), for methods that cross-validate; every row by itself
                where None.
            groups: Not read.

        Returns:
            The calibrator itself.

        Raises:
            DataError: If these are not probabilities of the same rows.
            JudgeError: If too few rows count for the method, or nobody decided for an answer.
        """
        rows = fitting_rows(self, probabilities, targets, weights)
        self._learn_in_clusters(rows, clusters_that_count(clusters, weights, len(rows.weights)))
        return self

    def transform(self, probabilities: ArrayLike, groups: Groups | None = None) -> Probabilities:  # noqa: ARG002
        """Calibrate forecasts; a row does not depend on the others.

        Args:
            probabilities: Shape (n, 3), n may be 0.
            groups: Not read.

        Returns:
            Shape (n, 3).

        Raises:
            DataError: If these are not probabilities.
            JudgeError: Before `fit`.
        """
        return self._apply(checked_input(probabilities))

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """What was learnt: JSON-able values, and arrays by name.

        Raises:
            JudgeError: Before `fit`.
        """

    def _learn_in_clusters(self, rows: Checked, clusters: NDArray[np.int64]) -> None:  # noqa: ARG002 - read by auto
        """Fit on rows that all count, of these clusters of prompts."""
        self._learn(rows)

    @abstractmethod
    def _learn(self, rows: Checked) -> None:
        """Fit on rows that all count."""

    @abstractmethod
    def _apply(self, p: Probabilities) -> Probabilities:
        """Calibrate checked forecasts, or raise JudgeError before the fit."""


def fitting_rows(
    calibrator: Calibrator | Learning, probabilities: ArrayLike, targets: ArrayLike, weights: ArrayLike | None
) -> Checked:
    """The rows that count towards a fit.

    Raises:
        DataError: If these are not probabilities of the same rows.
        JudgeError: If there are too few rows for the method, or nobody decided for an answer.
    """
    rows = check_rows(targets, probabilities, weights)
    counts = rows.weights > 0
    rows = Checked(rows.targets[counts], rows.probabilities[counts], rows.weights[counts])
    if len(rows.weights) < calibrator.parameters:
        raise JudgeError(
            f"{calibrator.method} calibration fits {calibrator.parameters} numbers and was given {len(rows.weights)} "
            "rows that count; give more votes, or choose calibration.method none"
        )
    if not np.any(rows.targets[:, :2]):
        raise JudgeError(
            f"all {len(rows.weights)} votes are ties; {calibrator.method} calibration needs votes for a or b: "
            "give such votes, or choose calibration.method none"
        )
    return rows


def needs_ties(method: str, rows: Checked) -> None:
    """Refuse rows from which the frequency of ties cannot be learnt.

    Raises:
        JudgeError: If nobody voted for a tie.
    """
    if not np.any(rows.targets[:, 2]):
        raise JudgeError(
            f"none of {len(rows.weights)} votes is a tie; {method} calibration fits how often ties occur: give such "
            "votes, or choose calibration.method temperature"
        )


def clusters_that_count(clusters: ArrayLike | None, weights: ArrayLike | None, rows: int) -> NDArray[np.int64]:
    """Clusters of the rows whose weight is above 0, numbered from 0; every row by itself where None.

    Raises:
        DataError: If there is not one cluster for each row.
    """
    if clusters is None:
        return np.arange(rows, dtype=np.int64)
    if weights is None:
        return check_groups(clusters, rows)
    counts = np.asarray(weights, dtype=np.float64) > 0
    return check_groups(check_groups(clusters, len(counts))[counts], rows)


def checked_input(probabilities: ArrayLike) -> Probabilities:
    """Probabilities of shape (n, 3), n may be 0.

    Raises:
        DataError: If they are not.
    """
    return np.empty((0, 3)) if np.shape(probabilities) == (0, 3) else check_probabilities(probabilities)


def learnt(value: Learnt | None, method: str) -> Learnt:
    """What a calibrator has learnt, if it has.

    Raises:
        JudgeError: If `value` is None.
    """
    if value is None:
        raise JudgeError(f"the {method} calibrator has not been fitted; call fit(probabilities, targets) first")
    return value


def log_probabilities(p: Probabilities) -> Floats:
    """Natural logarithms, of nothing smaller than `SMALLEST`."""
    return np.asarray(np.log(np.maximum(p, SMALLEST)))


def softmax(z: Floats) -> Probabilities:
    """exp(z) over its row sum.

    Example:
        >>> softmax(np.array([[0.0, 0.0, 0.0]])).round(4)
        array([[0.3333, 0.3333, 0.3333]])
    """
    return normalised(np.exp(z - z.max(axis=1, keepdims=True)))


def normalised(x: Floats) -> Probabilities:
    """Positive numbers over their row sum, (a + b) + tie."""
    return np.asarray(x / row_sum(x)[:, None])
