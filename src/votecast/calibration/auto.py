"""The method that forecasts best what it has not seen: chosen by log loss, cross-validated over clusters of prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from votecast.calibration.base import Calibrator, Learning, learnt
from votecast.calibration.chain import arrays_under
from votecast.calibration.crossfit import crossfit_calibrate
from votecast.calibration.table import make_calibrator, read_calibrator
from votecast.errors import JudgeError
from votecast.metrics.baselines import group_folds
from votecast.metrics.checks import Checked
from votecast.metrics.scores import log_losses
from votecast.types import Floats, Probabilities

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
"""What is tried, simplest first, to the fewest rows it is tried on."""

FALLBACK: Final = "shift"
"""What is taken where nothing can be cross-validated: it follows few votes little."""


class Auto(Learning):
    """Try the methods and keep the best.

    Every method is fitted on four fifths of the clusters of prompts and forecasts the fifth; the lowest log loss wins,
    and the simplest method wins among those that are not told apart from it: within one standard error of the paired
    difference, taken over clusters (Breiman et al. 1984, section 3.4.3). Below 200 rows, or with one cluster, nothing
    is tried and `shift` is taken.

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

    def _learn(self, rows: Checked) -> None:
        self._learn_in_clusters(rows, np.arange(len(rows.weights)))

    def _learn_in_clusters(self, rows: Checked, clusters: NDArray[np.int64]) -> None:
        losses, self.tried = _losses(rows, clusters)
        name = _choose(losses, self.tried, rows.weights, clusters) if losses else FALLBACK
        self.chosen = make_calibrator(name).fit(rows.probabilities, rows.targets, rows.weights)

    def _apply(self, p: Probabilities) -> Probabilities:
        return learnt(self.chosen, self.method).transform(p)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """The chosen calibrator, and what was tried."""
        config, arrays = learnt(self.chosen, self.method).state()
        kept = {f"chosen.{name}": array for name, array in arrays.items()}
        return {"method": self.method, "chosen": config, "tried": self.tried}, kept

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Self:
        """The calibrator that was chosen."""
        return cls(read_calibrator(config["chosen"], arrays_under("chosen", arrays)), list(config["tried"]))


def _losses(rows: Checked, clusters: NDArray[np.int64]) -> tuple[dict[str, Floats], list[dict[str, Any]]]:
    """Cross-validated log loss of each row under each method that can be tried, and what is to be said of each."""
    t, p, w = rows
    folds = group_folds(clusters)
    losses: dict[str, Floats] = {}
    tried: list[dict[str, Any]] = []
    few = len(w) < CANDIDATES["temperature"] or not folds.any()
    for name, least in CANDIDATES.items():
        entry: dict[str, Any] = {"method": name}
        if few:
            entry["left_out"] = (
                f"{len(w):,} votes, {len(np.unique(clusters)):,} prompts; a choice takes 200 votes and 2 prompts"
            )
        elif len(w) < least:
            entry["left_out"] = f"tried from {least:,} votes up"
        else:
            try:
                losses[name] = log_losses(t, crossfit_calibrate(name, p, t, w, folds))
                entry["log_loss"] = float(w @ losses[name] / w.sum())
            except JudgeError as error:
                entry["left_out"] = str(error)
        tried.append(entry)
    return losses, tried


def _choose(losses: dict[str, Floats], tried: list[dict[str, Any]], w: Floats, clusters: NDArray[np.int64]) -> str:
    """The simplest method within one standard error of the best."""
    best = min(losses, key=lambda name: float(w @ losses[name]))
    chosen = ""
    for entry in tried:
        name = entry["method"]
        if name in losses:
            entry["behind"], entry["error"] = _difference(losses[name] - losses[best], w, clusters)
            if not chosen and entry["behind"] <= entry["error"]:
                chosen = name
    return chosen or best


def _difference(gap: Floats, w: Floats, clusters: NDArray[np.int64]) -> tuple[float, float]:
    """Mean gap and its standard error, from sums over clusters."""
    mean = float(w @ gap / w.sum())
    sums = np.bincount(clusters, w * (gap - mean))
    several = len(sums)
    return mean, float(np.sqrt(np.square(sums).sum() * several / max(several - 1, 1)) / w.sum())
