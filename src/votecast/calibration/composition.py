"""Calibrators that hold others: one after the other (`Chain`), one for each group (`Grouped`), the best (`Auto`).

A judge that was recalibrated carries a chain; `votecast calibrate` chooses by `Auto` and groups with `--by`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np

from votecast.calibration.base import Arrays, Calibrator, Groups, State, make_calibrator, read_calibrator
from votecast.calibration.crossfit import crossfit_calibrate
from votecast.calibration.logit_scalers import Shift
from votecast.errors import JudgeError
from votecast.metrics.baselines import group_folds
from votecast.metrics.checks import Checked
from votecast.metrics.scores import log_losses
from votecast.types import Floats, Ints, Probabilities

LEAST_ROWS: Final = 20
"""Groups with fewer rows are left to the common calibrator."""

ALIKE: Final = 5.0
"""How much likelier it is that a group needs nothing of its own than anything else, before its votes are seen."""

CANDIDATES: Final = {
    "none": 0,
    "shift": 0,
    "temperature": 200,
    "tie_link": 200,
    "vector": 200,
    "dirichlet": 200,
    "matrix": 400,
    "isotonic": 2000,
}
"""Methods, simplest first, to the fewest rows they are tried on."""

FALLBACK: Final = "shift"
"""Chosen where nothing can be cross-validated: few votes change it little."""


def _arrays_under(name: str, arrays: Arrays) -> dict[str, Floats]:
    """Return the arrays whose names begin with `name` and a dot, without that prefix."""
    start = f"{name}."
    return {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}


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
        self.by = tuple(dict.fromkeys(name for part in self.parts for name in part.by))

    def _fit(self, *_: object) -> None:
        raise JudgeError("a chain of calibrators is made of fitted ones and cannot be fitted itself; fit a new part")

    def _transform(self, p: Probabilities, groups: Groups, /) -> Probabilities:
        for part in self.parts:
            p = part._transform(p, groups)
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
            [read_calibrator(part, _arrays_under(str(number), arrays)) for number, part in enumerate(config["parts"])]
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
        self.group, self.by, self.shifts = group, (group,), shifts
        self.common: Calibrator = make_calibrator(common) if isinstance(common, str) else common

    def _fit(self, rows: Checked, clusters: Ints, groups: Groups, /) -> None:
        self.common.fit(rows.probabilities, rows.targets, rows.weights, clusters=clusters)
        # each group is fitted on commonly calibrated predictions, so that "no change" means: as all others
        p = self.common.transform(rows.probabilities)
        self.shifts, names = {}, np.asarray(groups[self.group])
        for name in np.unique(names).tolist():
            here = names == name
            if int(here.sum()) >= LEAST_ROWS:
                self.shifts[name] = Shift.of_rows(Checked(rows.targets[here], p[here], rows.weights[here]), ALIKE)

    def _transform(self, p: Probabilities, groups: Groups, /) -> Probabilities:
        shifts, names = self._known(self.shifts), np.asarray(groups[self.group])
        p = self.common._transform(p, {})
        for name, shift in shifts.items():
            here = names == name
            if here.any():
                p[here] = shift.transform(p[here])
        return p

    def state(self) -> State:
        """Return the common calibrator and the numbers of each group."""
        config, arrays = self.common.state()
        groups = {name: shift.state()[0] for name, shift in self._known(self.shifts).items()}
        kept = {f"common.{name}": array for name, array in arrays.items()}
        return {"method": self.method, "by": self.group, "common": config, "groups": groups}, kept

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the calibrator with these groups."""
        common = read_calibrator(config["common"], _arrays_under("common", arrays))
        return cls(config["by"], common, {name: Shift.from_state(one, {}) for name, one in config["groups"].items()})


class Auto(Calibrator):
    """Try all methods and keep the best.

    Every method is fitted on four fifths of the clusters of prompts and predicts the fifth; the lowest log loss wins,
    and the simplest method wins among those within one standard error of it, taken over clusters (Breiman et al. 1984,
    section 3.4.3). Below 200 rows, or with one cluster, nothing is tried and `shift` is chosen.

    Attributes:
        chosen: The fitted calibrator; None before `fit`.
        tried: For each method its name, its log loss, how far it is behind the best with the standard error of that,
            or why it was left out.

    Example:
        >>> votes = np.eye(3)[[0, 0, 1, 2] * 200]
        >>> auto = Auto().fit(np.tile([0.98, 0.01, 0.01], (800, 1)), votes)
        >>> auto.chosen.method, len(auto.tried)
        ('temperature', 8)
    """

    method: ClassVar[str] = "auto"
    parameters: ClassVar[int] = 2

    def __init__(self, chosen: Calibrator | None = None, tried: list[dict[str, Any]] | None = None) -> None:
        self.chosen, self.tried = chosen, tried or []

    def _fit(self, rows: Checked, clusters: Ints, _: Groups, /) -> None:
        t, p, w = rows
        folds = group_folds(clusters)
        self.tried, losses = [], dict[str, Floats]()
        few = len(w) < CANDIDATES["temperature"] or not folds.any()
        counted = f"{len(w):,} votes, {len(np.unique(clusters)):,} prompts"
        for name, least in CANDIDATES.items():
            entry: dict[str, Any] = {"method": name}
            if few:
                entry["left_out"] = f"{counted}; a choice takes 200 votes and 2 prompts"
            elif len(w) < least:
                entry["left_out"] = f"tried from {least:,} votes up"
            else:
                try:
                    losses[name] = log_losses(t, crossfit_calibrate(name, p, t, w, folds))
                    entry["log_loss"] = float(w @ losses[name] / w.sum())
                except JudgeError as error:
                    entry["left_out"] = str(error)
            self.tried.append(entry)
        self.chosen = make_calibrator(self._choose(losses, w, clusters) if losses else FALLBACK).fit(p, t, w)

    def _choose(self, losses: dict[str, Floats], w: Floats, clusters: Ints) -> str:
        """Return the simplest method within one standard error of the best."""
        best = min(losses, key=lambda name: float(w @ losses[name]))
        near = []
        for entry in self.tried:
            if entry["method"] in losses:
                # standard error of a mean from sums over G clusters, times G / (G - 1)
                gap = losses[entry["method"]] - losses[best]  # (n,)
                mean = float(w @ gap / w.sum())
                sums = np.bincount(clusters, w * (gap - mean))
                variance = np.square(sums).sum() * len(sums) / max(len(sums) - 1, 1)
                entry["behind"], entry["error"] = mean, float(np.sqrt(variance) / w.sum())
                near += [entry["method"]] if entry["behind"] <= entry["error"] else []
        return str(near[0]) if near else best

    def _transform(self, p: Probabilities, _: Groups, /) -> Probabilities:
        return self._known(self.chosen)._transform(p, {})

    def state(self) -> State:
        """Return the chosen calibrator, and what was tried."""
        config, arrays = self._known(self.chosen).state()
        kept = {f"chosen.{name}": array for name, array in arrays.items()}
        return {"method": self.method, "chosen": config, "tried": self.tried}, kept

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the calibrator that was chosen."""
        return cls(read_calibrator(config["chosen"], _arrays_under("chosen", arrays)), list(config["tried"]))
