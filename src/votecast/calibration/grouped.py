"""Calibration by groups: a common calibrator, and for each group what its own votes ask for beyond it, shrunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.calibration.base import Calibrator, Groups, clusters_that_count, fitting_rows, learnt
from votecast.calibration.chain import arrays_under
from votecast.calibration.shift import Shift, shifted
from votecast.calibration.table import make_calibrator, read_calibrator
from votecast.errors import DataError
from votecast.metrics.checks import Checked
from votecast.types import Probabilities

LEAST_ROWS: Final = 20
"""Groups with fewer rows are left to the common calibrator."""

ALIKE: Final = 5.0
"""How much likelier than any other it is that a group needs nothing of its own, before its votes are seen."""


class Grouped:
    """A common calibrator for all rows, followed by a small one for each group.

    The small one is that of few votes, `shift`: a temperature and a frequency of ties, shrunk towards no change, which
    here is the common calibrator. A group with few votes, or like the others, is calibrated as all are; so are groups
    that were not there when it was fitted.

    Args:
        group: What rows are grouped by: language, source or turns.
        common: Method of the common calibrator, or a fitted one.
        shifts: The small calibrators by name of the group.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 2] * 50 + [0, 1, 0, 1] * 50]
        >>> p = np.tile([[0.4, 0.3, 0.3], [0.3, 0.4, 0.3]], (200, 1))
        >>> groups = {"language": ["de"] * 200 + ["en"] * 200}
        >>> grouped = Grouped("language", "temperature").fit(p, votes, groups=groups)
        >>> q = grouped.transform(p[:3], {"language": ["de", "en", "fr"]})
        >>> bool(q[0, 2] > q[2, 2] > q[1, 2])
        True
    """

    method: ClassVar[str] = "grouped"
    parameters: ClassVar[int] = 2

    def __init__(self, group: str, common: str | Calibrator, shifts: dict[str, Shift] | None = None) -> None:
        self.group, self.shifts = group, shifts
        self.common: Calibrator = make_calibrator(common) if isinstance(common, str) else common

    @property
    def by(self) -> tuple[str, ...]:
        """What rows are grouped by."""
        return (self.group,)

    def fit(
        self,
        probabilities: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        clusters: ArrayLike | None = None,
        groups: Groups | None = None,
    ) -> Self:
        """Learn from forecasts (n, 3), votes (n, 3) and weights (n,).

        Args:
            probabilities: Forecasts of rows the judge had not seen, shape (n, 3).
            targets: Their votes, shape (n, 3).
            weights: How much each row counts, shape (n,).
            clusters: Cluster of prompts of each row, shape (n,).
            groups: The group of each row, by the name of what they are grouped by.

        Raises:
            DataError: If these are not probabilities and groups of the same rows.
            JudgeError: If the votes do not suffice for the common calibrator.
        """
        rows = fitting_rows(self, probabilities, targets, weights)
        counts = np.ones(len(rows.weights), bool) if weights is None else np.asarray(weights, dtype=np.float64) > 0
        names = self._names(groups, len(counts))[counts]
        kept = clusters_that_count(clusters, weights, len(rows.weights))
        self.common.fit(rows.probabilities, rows.targets, rows.weights, clusters=kept)
        p = self.common.transform(rows.probabilities)
        self.shifts = {}
        for name in np.unique(names).tolist():
            here = names == name
            if int(here.sum()) >= LEAST_ROWS:
                self.shifts[name] = shifted(Checked(rows.targets[here], p[here], rows.weights[here]), ALIKE)
        return self

    def transform(self, probabilities: ArrayLike, groups: Groups | None = None) -> Probabilities:
        """Calibrate forecasts (n, 3) of rows whose groups are given.

        Raises:
            DataError: If these are not probabilities and groups of the same rows.
            JudgeError: Before `fit`.
        """
        shifts = learnt(self.shifts, self.method)
        p = self.common.transform(probabilities)
        names = self._names(groups, len(p))
        for name, shift in shifts.items():
            here = names == name
            if here.any():
                p[here] = shift.transform(p[here])
        return p

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """The common calibrator and the numbers of each group."""
        config, arrays = self.common.state()
        groups = {name: shift.state()[0] for name, shift in learnt(self.shifts, self.method).items()}
        kept = {f"common.{name}": array for name, array in arrays.items()}
        return {"method": self.method, "by": self.group, "common": config, "groups": groups}, kept

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Self:
        """The calibrator with these groups."""
        common = read_calibrator(config["common"], arrays_under("common", arrays))
        return cls(config["by"], common, {name: Shift.from_state(one, {}) for name, one in config["groups"].items()})

    def _names(self, groups: Groups | None, rows: int) -> NDArray[np.object_]:
        if groups is None or self.group not in groups:
            raise DataError(f"this calibrator goes by {self.group}, and the {self.group} of the rows is not given")
        names = np.asarray(groups[self.group], dtype=object)
        if names.shape != (rows,):
            raise DataError(f"the {self.group} has shape {names.shape}; allowed is ({rows},), one for each row")
        return names
