"""Calibrators made of others: one after another (`Chain`), and one for each group (`Grouped`).

A judge that was recalibrated carries a chain; `votecast calibrate --by` makes a grouped calibrator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.calibration.base import (
    Arrays,
    Calibrator,
    Groups,
    State,
    fitting_clusters,
    fitting_rows,
    make_calibrator,
    read_calibrator,
    require_fitted,
)
from votecast.calibration.logit_scalers import Shift
from votecast.errors import DataError, JudgeError
from votecast.metrics.checks import Checked
from votecast.types import Floats, Probabilities

LEAST_ROWS: Final = 20
"""Groups with fewer rows are left to the common calibrator."""

ALIKE: Final = 5.0
"""How much likelier it is that a group needs nothing of its own than anything else, before its votes are seen."""


class Chain(Calibrator):
    """Fitted calibrators, each applied to the output of the one before.

    Args:
        parts: At least one, in order; chains among them are unrolled.

    Example:
        >>> from votecast.calibration.scalers import Temperature
        >>> Chain([Temperature(2.0), Temperature(0.5)]).transform([[0.8, 0.1, 0.1]]).round(3)
        array([[0.8, 0.1, 0.1]])
    """

    method: ClassVar[str] = "chain"
    parameters: ClassVar[int] = 0

    def __init__(self, parts: Sequence[Calibrator]) -> None:
        self.parts: tuple[Calibrator, ...] = tuple(
            one for part in parts for one in (part.parts if isinstance(part, Chain) else (part,))
        )

    @property
    def by(self) -> tuple[str, ...]:
        """Names of the groups that any part needs."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.by))

    def fit(
        self,
        probabilities: ArrayLike,  # noqa: ARG002
        targets: ArrayLike,  # noqa: ARG002
        weights: ArrayLike | None = None,  # noqa: ARG002
        *,
        clusters: ArrayLike | None = None,  # noqa: ARG002
        groups: Groups | None = None,  # noqa: ARG002
    ) -> Self:
        """Raise JudgeError: each part was fitted on votes of its own."""
        raise JudgeError("a chain of calibrators is made of fitted ones and cannot be fitted itself; fit a new part")

    def transform(self, probabilities: ArrayLike, groups: Groups | None = None) -> Probabilities:
        """Calibrate predictions (n, 3) by one part after another."""
        p = self.parts[0].transform(probabilities, groups)
        for part in self.parts[1:]:
            p = part.transform(p, groups)
        return p

    def state(self) -> State:
        """Return the states of the parts, their arrays prefixed by number."""
        states = [part.state() for part in self.parts]
        arrays = {f"{number}.{name}": array for number, (_, own) in enumerate(states) for name, array in own.items()}
        return {"method": self.method, "parts": [config for config, _ in states]}, arrays

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the chain of these parts; ValueError if there is none."""
        if not config["parts"]:
            raise ValueError("a chain of calibrators has at least one part")
        return cls(
            [read_calibrator(part, arrays_under(str(number), arrays)) for number, part in enumerate(config["parts"])]
        )


class Grouped(Calibrator):
    """A common calibrator for all rows, followed by a small one for each group.

    The small one is a `Shift`: a temperature and a frequency of ties, shrunk towards no change, which here is the
    common calibrator. A group with few votes, or like the others, is calibrated as all are; so are groups that did not
    occur in the fit.

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
        """Name of the groups."""
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
        """Fit a common calibrator, then a small one on each larger group."""
        rows = fitting_rows(self, probabilities, targets, weights)
        counts = np.ones(len(rows.weights), bool) if weights is None else np.asarray(weights, dtype=np.float64) > 0
        names = self._group_names(groups, len(counts))[counts]
        kept = fitting_clusters(clusters, weights, len(rows.weights))
        self.common.fit(rows.probabilities, rows.targets, rows.weights, clusters=kept)
        # each group is fitted on commonly calibrated predictions, so that "no change" means: as all others
        p = self.common.transform(rows.probabilities)
        self.shifts = {}
        for name in np.unique(names).tolist():
            here = names == name
            if int(here.sum()) >= LEAST_ROWS:
                self.shifts[name] = Shift.of_rows(Checked(rows.targets[here], p[here], rows.weights[here]), ALIKE)
        return self

    def transform(self, probabilities: ArrayLike, groups: Groups | None = None) -> Probabilities:
        """Calibrate predictions (n, 3) of rows whose groups are given."""
        shifts = require_fitted(self.shifts, self.method)
        p = self.common.transform(probabilities)
        names = self._group_names(groups, len(p))
        for name, shift in shifts.items():
            here = names == name
            if here.any():
                p[here] = shift.transform(p[here])
        return p

    def state(self) -> State:
        """Return the common calibrator and the numbers of each group."""
        config, arrays = self.common.state()
        groups = {name: shift.state()[0] for name, shift in require_fitted(self.shifts, self.method).items()}
        kept = {f"common.{name}": array for name, array in arrays.items()}
        return {"method": self.method, "by": self.group, "common": config, "groups": groups}, kept

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the calibrator with these groups."""
        common = read_calibrator(config["common"], arrays_under("common", arrays))
        return cls(config["by"], common, {name: Shift.from_state(one, {}) for name, one in config["groups"].items()})

    def _group_names(self, groups: Groups | None, rows: int) -> NDArray[np.object_]:
        if groups is None or self.group not in groups:
            raise DataError(f"this calibrator goes by {self.group}, and the {self.group} of the rows is not given")
        names = np.asarray(groups[self.group], dtype=object)
        if names.shape != (rows,):
            raise DataError(f"the {self.group} has shape {names.shape}; allowed is ({rows},), one for each row")
        return names


def arrays_under(name: str, arrays: Arrays) -> dict[str, Floats]:
    """Return the arrays whose names begin with `name` and a dot, without that prefix."""
    start = f"{name}."
    return {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}
