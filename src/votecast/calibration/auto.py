"""Automatic choice of a calibration method: log loss cross-validated over clusters of prompts.

`votecast calibrate` uses it unless a method is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike

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
from votecast.calibration.composition import arrays_under
from votecast.calibration.crossfit import crossfit_calibrate
from votecast.errors import JudgeError
from votecast.metrics.baselines import group_folds
from votecast.metrics.checks import Checked
from votecast.metrics.scores import log_losses
from votecast.types import Floats, Ints, Probabilities

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

    def fit(
        self,
        probabilities: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        clusters: ArrayLike | None = None,
        groups: Groups | None = None,  # noqa: ARG002
    ) -> Self:
        """Choose a method by cross-validation over clusters, and fit it on all rows."""
        rows = fitting_rows(self, probabilities, targets, weights)
        cluster = fitting_clusters(clusters, weights, len(rows.weights))
        losses, self.tried = _cross_validate(rows, cluster)
        name = _choose(losses, self.tried, rows.weights, cluster) if losses else FALLBACK
        self.chosen = make_calibrator(name).fit(rows.probabilities, rows.targets, rows.weights)
        return self

    def transform(self, probabilities: ArrayLike, groups: Groups | None = None) -> Probabilities:  # noqa: ARG002
        """Calibrate predictions (n, 3) by the chosen method."""
        return require_fitted(self.chosen, self.method).transform(probabilities)

    def state(self) -> State:
        """Return the chosen calibrator, and what was tried."""
        config, arrays = require_fitted(self.chosen, self.method).state()
        kept = {f"chosen.{name}": array for name, array in arrays.items()}
        return {"method": self.method, "chosen": config, "tried": self.tried}, kept

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the calibrator that was chosen."""
        return cls(read_calibrator(config["chosen"], arrays_under("chosen", arrays)), list(config["tried"]))


def _cross_validate(rows: Checked, clusters: Ints) -> tuple[dict[str, Floats], list[dict[str, Any]]]:
    """Return cross-validated log losses by method, and an entry for each method."""
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


def _choose(losses: dict[str, Floats], tried: list[dict[str, Any]], w: Floats, clusters: Ints) -> str:
    """Return the simplest method within one standard error of the best."""
    best = min(losses, key=lambda name: float(w @ losses[name]))
    chosen = ""
    for entry in tried:
        name = entry["method"]
        if name in losses:
            # standard error of a mean from sums over G clusters, times G / (G - 1)
            gap = losses[name] - losses[best]  # (n,)
            mean = float(w @ gap / w.sum())
            sums = np.bincount(clusters, w * (gap - mean))
            variance = np.square(sums).sum() * len(sums) / max(len(sums) - 1, 1)
            entry["behind"], entry["error"] = mean, float(np.sqrt(variance) / w.sum())
            if not chosen and entry["behind"] <= entry["error"]:
                chosen = name
    return chosen or best
