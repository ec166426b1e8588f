"""The base classes of calibrators, their table by name, and the sums they share, which are blind to swaps.

Swapping the responses swaps columns a and b of a calibrator's input, and must do exactly that to its output:
parameters are shared by a and b, and sums over classes are taken as (a + b) + tie, bit-equal when a and b swap.
"""

from __future__ import annotations

import difflib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import ConfigError, DataError, JudgeError
from votecast.metrics.checks import Checked, check_groups, check_probabilities, check_rows
from votecast.metrics.scores import row_sum
from votecast.types import Floats, Ints, Probabilities

SMALLEST: Final = 1e-12
"""Probabilities below this count as this much before a logarithm is taken: 0 stays unlikely, not impossible."""

Groups = Mapping[str, Sequence[str] | NDArray[np.object_]]
"""What the rows are grouped by ("language") to the group of each of n rows."""

Arrays = Mapping[str, Floats]
State = tuple[dict[str, Any], dict[str, Floats]]
"""What a calibrator has learned: JSON-able values, and arrays by name."""

Learned = TypeVar("Learned")


class Calibrator(ABC):
    """A map from probabilities to calibrated ones, fitted on out-of-fold predictions.

    Subclasses fit and transform rows that are checked already.

    Attributes:
        method: Name in the table of calibrators.
        parameters: How many numbers it fits at least, and so how many rows it needs; 0 needs no rows.
        by: Names of the groups that it needs, such as ("language",); most calibrators need none.
    """

    method: ClassVar[str]
    parameters: ClassVar[int]
    by: tuple[str, ...] = ()

    def fit(
        self,
        probabilities: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        clusters: ArrayLike | None = None,
        groups: Groups | None = None,
    ) -> Self:
        """Fit on predictions and votes of rows the judge was not trained on.

        Args:
            probabilities: Predictions, shape (n, 3).
            targets: Votes, one-hot or soft, shape (n, 3).
            weights: How much each row counts, shape (n,); every row once where None.
            clusters: Cluster of prompts of each row, shape (n,), for calibrators that cross-validate; every row by
                itself where None.
            groups: Groups of the rows, for calibrators that go by them.

        Returns:
            The calibrator itself.

        Raises:
            DataError: If these are not probabilities, clusters or groups of the same rows.
            JudgeError: If too few rows count for the method, or no vote is for a or b.
        """
        rows = check_rows(targets, probabilities, weights)
        n, counts = len(rows.weights), rows.weights > 0
        rows = Checked(*(each[counts] for each in rows))
        if len(rows.weights) < self.parameters:
            raise JudgeError(
                f"{self.method} calibration fits {self.parameters} numbers and was given {len(rows.weights)} "
                "rows that count; give more votes, or choose calibration.method none"
            )
        if self.parameters and not np.any(rows.targets[:, :2]):
            raise JudgeError(
                f"all {len(rows.weights)} votes are ties; {self.method} calibration needs votes for a or b: "
                "give such votes, or choose calibration.method none"
            )
        names = {by: each[counts] for by, each in self._group_names(groups, n).items()} if self.by else {}
        # clusters are numbered again without the rows of weight 0, as if these had not been given
        self._fit(rows, check_groups(check_groups(clusters, n)[counts], len(rows.weights)), names)
        return self

    def transform(self, probabilities: ArrayLike, groups: Groups | None = None) -> Probabilities:
        """Calibrate predictions; a row does not depend on the others.

        Args:
            probabilities: Shape (n, 3), n may be 0.
            groups: Groups of the rows, for calibrators that go by them.

        Raises:
            DataError: If these are not probabilities, or groups are missing.
            JudgeError: Before `fit`.
        """
        # unlike in metrics, n may be 0
        p = np.empty((0, 3)) if np.shape(probabilities) == (0, 3) else check_probabilities(probabilities)
        return self._transform(p, self._group_names(groups, len(p)) if self.by else {})

    @abstractmethod
    def _fit(self, rows: Checked, clusters: Ints, groups: Groups, /) -> None:
        """Fit on rows that all count, with their clusters (n,) and the groups in `by`."""

    @abstractmethod
    def _transform(self, p: Probabilities, groups: Groups, /) -> Probabilities:
        """Calibrate checked predictions, or raise JudgeError before the fit."""

    @abstractmethod
    def state(self) -> State:
        """Return what was learned: JSON-able values, and arrays by name; JudgeError before `fit`."""

    @classmethod
    @abstractmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the calibrator whose `state` this is; further keys are ignored.

        Raises:
            KeyError: If something is missing.
            ValueError: If a value is not allowed.
        """

    def _group_names(self, groups: Groups | None, rows: int) -> dict[str, NDArray[np.object_]]:
        """Return the groups that this calibrator goes by, each of shape (n,)."""
        found = {}
        for by in self.by:
            if groups is None or by not in groups:
                raise DataError(f"this calibrator goes by {by}, and the {by} of the rows is not given")
            found[by] = np.asarray(groups[by], dtype=object)
            if found[by].shape != (rows,):
                raise DataError(f"the {by} has shape {found[by].shape}; allowed is ({rows},), one for each row")
        return found

    def _known(self, learned: Learned | None) -> Learned:
        """Return what was fitted, or raise JudgeError where it is None."""
        if learned is None:
            raise JudgeError(
                f"the {self.method} calibrator has not been fitted; call fit(probabilities, targets) first"
            )
        return learned


class NumberScaler(Calibrator):
    """A scaler whose whole state is a few finite numbers.

    Args:
        *numbers: As many as `names`; none before `fit`.

    Attributes:
        names: Names of the numbers in a judge folder.
        above: All numbers are above this.
        numbers: The fitted numbers, shape (k,); None before `fit`.
    """

    names: ClassVar[tuple[str, ...]]
    above: ClassVar[float] = -np.inf

    def __init__(self, *numbers: float) -> None:
        self.numbers: Floats | None = np.array(numbers) if numbers else None

    def state(self) -> State:
        """Return the numbers by name; no arrays."""
        return {"method": self.method} | dict(zip(self.names, self._known(self.numbers).tolist(), strict=True)), {}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:  # noqa: ARG003
        """Return the calibrator with these numbers; ValueError if one of them is not allowed."""
        numbers = [float(config[name]) for name in cls.names]
        if not all(cls.above < number < np.inf for number in numbers):
            least = "" if cls.above == -np.inf else f" above {cls.above:g}"
            raise ValueError(f"{', '.join(cls.names)}: {numbers}; allowed are finite numbers{least}")
        return cls(*numbers)

    def _require_ties(self, rows: Checked) -> None:
        """Raise JudgeError for rows from which the frequency of ties cannot be fitted."""
        if not np.any(rows.targets[:, 2]):
            raise JudgeError(
                f"none of {len(rows.weights)} votes is a tie; {self.method} calibration fits how often ties occur: "
                "give such votes, or choose calibration.method temperature"
            )


CALIBRATORS: Final = {
    "temperature": "votecast.calibration.scalers:Temperature",
    "vector": "votecast.calibration.scalers:Vector",
    "matrix": "votecast.calibration.logit_scalers:Matrix",
    "isotonic": "votecast.calibration.scalers:Isotonic",
    "dirichlet": "votecast.calibration.logit_scalers:Dirichlet",
    "tie_link": "votecast.calibration.scalers:TieLink",
    "shift": "votecast.calibration.logit_scalers:Shift",
    "auto": "votecast.calibration.composition:Auto",
    "none": "votecast.calibration.scalers:Identity",
}
"""Name of a method to its class, imported on demand."""

COMPOSED: Final = {
    "chain": "votecast.calibration.composition:Chain",
    "grouped": "votecast.calibration.composition:Grouped",
}
"""Calibrators made of others: found in judge folders, never chosen by name."""


def make_calibrator(method: str) -> Calibrator:
    """Return an unfitted calibrator by its name in `CALIBRATORS`; ConfigError if there is none of that name.

    Example:
        >>> make_calibrator("temperature").method
        'temperature'
    """
    return _calibrator_class(method, CALIBRATORS)()


def read_calibrator(config: Mapping[str, Any], arrays: Arrays) -> Calibrator:
    """Return the calibrator whose `state` this is, of any kind; ConfigError, KeyError or ValueError if it is none.

    Example:
        >>> read_calibrator({"method": "temperature", "temperature": 2.0}, {}).transform([[0.8, 0.1, 0.1]]).round(3)
        array([[0.586, 0.207, 0.207]])
    """
    return _calibrator_class(config["method"], CALIBRATORS | COMPOSED).from_state(config, arrays)


def _calibrator_class(method: str, known: Mapping[str, str]) -> type[Calibrator]:
    if method not in known:
        near = difflib.get_close_matches(str(method), CALIBRATORS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"there is no calibration method {method!r}; allowed are {', '.join(CALIBRATORS)}{hint}")
    found: type[Calibrator] = pkgutil.resolve_name(known[method])
    return found


def log_probabilities(p: Probabilities) -> Floats:
    """Return natural logarithms, of nothing smaller than `SMALLEST`."""
    return np.asarray(np.log(np.maximum(p, SMALLEST)))


def softmax(z: Floats) -> Probabilities:
    """Return exp(z) over its row sum.

    Example:
        >>> softmax(np.array([[0.0, 0.0, 0.0]])).round(4)
        array([[0.3333, 0.3333, 0.3333]])
    """
    x = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(x / row_sum(x)[:, None])
