"""Stacking by a multinomial logistic regression whose coefficients are tied: exchanging a and b commutes with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from votecast.calibration.tie_models import davidson_gradients, davidson_loss, davidson_probabilities
from votecast.errors import ArtifactError, JudgeError
from votecast.judges.combining.base import Floats, Forecasts, logs, simplest
from votecast.judges.combining.pool import best_weights
from votecast.metrics import group_folds
from votecast.metrics.scores import log_losses
from votecast.types import Probabilities

FILE: Final = "logistic.json"
PULLS: Final = (1e6, 1e4, 1e3, 1e2, 1e1, 1.0)
"""Strengths of the pull towards a pool, in rows that speak for it, from which cross-validation chooses."""


class LogisticStack:
    """A multinomial logistic regression on the logarithms of the judges' forecasts (Wolpert 1992).

    With the logarithms a, b, t of what judge i forecasts, the odds a : b : tie are exp(S/2) : exp(-S/2) : exp(T), where

        S = sum of u_i (a_i - b_i)        T = c + sum of v_i t_i - w_i (a_i + b_i) / 2

    These are all linear models that commute with the exchange of the answers. u = v = w with sum 1 and c = 0 is a
    logarithmic pool. A ridge pulls towards the pool with the best weights, as strongly as cross-validation over prompts
    allows (within one standard error of the best pull), so that few votes give that pool and many are followed.

    Args:
        values: u, v, w and c, shape (3m + 1,).
        pull: Strength of the ridge.
    """

    method: ClassVar[str] = "stack"

    def __init__(self, values: Floats | None = None, pull: float = PULLS[0]) -> None:
        self.values, self.pull = values, pull

    @staticmethod
    def parameters(judges: int) -> int:
        """Three for each judge, and a constant."""
        return 3 * judges + 1

    def fit(
        self, forecasts: Forecasts, targets: Probabilities, weights: Floats, groups: NDArray[np.int64], seed: int
    ) -> Self:
        """Choose the pull on held-out prompts, then fit on all rows."""
        design = _Design.of(forecasts)
        self.pull = _best_pull(design, targets, weights, groups, seed)
        centre = design.centre(targets, weights)
        self.values = _fitted(design, targets, weights, self.pull, (centre, centre))
        return self

    def predict(self, forecasts: Forecasts) -> Probabilities:
        """Probabilities of shape (n, 3)."""
        if self.values is None:
            raise JudgeError("the ensemble has not been fitted; call fit")
        return _Design.of(forecasts).predict(self.values)

    def shares(self) -> None:
        """Nothing: each judge has three numbers."""
        return

    def described(self) -> dict[str, Any]:
        """The coefficients by name; of each, one a judge."""
        if self.values is None:
            raise JudgeError("the ensemble has not been fitted; call fit")
        u, v, w = self.values[:-1].reshape(3, -1).tolist()
        return {"a_against_b": u, "tie": v, "decided": w, "constant": float(self.values[-1]), "pull": self.pull}

    def only(self, kept: Sequence[int]) -> Self:  # noqa: ARG002
        """The same: every judge has its numbers."""
        return self

    def save(self, folder: Path) -> None:
        """Write the coefficients."""
        (folder / FILE).write_text(json.dumps(self.described(), indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote.

        Raises:
            ArtifactError: If the file is absent or damaged.
        """
        try:
            found = json.loads((folder / FILE).read_text("utf-8"))
            parts = [*found["a_against_b"], *found["tie"], *found["decided"], found["constant"]]
            values = np.array(parts, dtype=np.float64)
            if values.ndim != 1 or len(values) % 3 != 1 or not np.isfinite(values).all():
                raise ValueError(f"{values.shape} numbers")
            return cls(values, float(found["pull"]))
        except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ArtifactError(f"{folder / FILE} is damaged: {error}; copy or make the ensemble again") from error


@dataclass(frozen=True)
class _Design:
    """What the regression reads of forecasts: one column a coefficient for S, and for T.

    Args:
        logs: Log-probabilities, shape (judges, n, 3).
        s: Columns of S, shape (judges, n).
        t: Columns of T, shape (2 judges, n).
    """

    logs: Floats
    s: Floats
    t: Floats

    @classmethod
    def of(cls, forecasts: Forecasts) -> _Design:
        """What is read of these forecasts."""
        z = logs(forecasts)
        return cls(z, z[..., 0] - z[..., 1], np.concatenate([z[..., 2], -0.5 * (z[..., 0] + z[..., 1])]))

    def take(self, rows: NDArray[np.bool_]) -> _Design:
        """The columns of some rows."""
        return _Design(self.logs[:, rows], self.s[:, rows], self.t[:, rows])

    def centre(self, targets: Probabilities, weights: Floats) -> Floats:
        """The coefficients that are the logarithmic pool with the best weights."""
        best, _ = best_weights(self.logs, targets, weights / weights.sum())
        return np.append(np.tile(best, 3), 0.0)

    def predict(self, values: Floats) -> Probabilities:
        """Forecasts under these coefficients, shape (n, 3)."""
        judges = len(self.s)
        return davidson_probabilities(_summed(values[:judges], self.s), _summed(values[judges:-1], self.t) + values[-1])


def _summed(values: Floats, columns: Floats) -> Floats:
    """A weighted sum, term by term: the same number to the last bit however many rows there are."""
    total = np.zeros(columns.shape[1])
    for value, column in zip(values.tolist(), columns, strict=True):
        total = total + value * column
    return total


def _fitted(
    design: _Design, targets: Probabilities, weights: Floats, pull: float, points: tuple[Floats, Floats]
) -> Floats:
    """The coefficients of the least loss under a ridge, which is strictly convex, from a centre and a start."""
    mean, ridge, (centre, start) = weights / weights.sum(), pull / len(weights), points

    def _objective(values: Floats) -> tuple[float, Floats]:
        p = design.predict(values)
        ds, dt = (part * mean for part in davidson_gradients(p, targets))
        away = values - centre
        slope = np.concatenate([design.s @ ds, design.t @ dt, [dt.sum()]])
        return davidson_loss(p, targets, weights) + 0.5 * ridge * float(away @ away), slope + ridge * away

    options = {"maxiter": 2000, "ftol": 1e-13, "gtol": 1e-8}
    found: Floats = minimize(_objective, start, jac=True, method="L-BFGS-B", options=options).x
    return found


def _best_pull(design: _Design, targets: Probabilities, weights: Floats, groups: NDArray[np.int64], seed: int) -> float:
    """The strongest pull that is as good as the best, within one standard error, on prompts that were held out."""
    if len(np.unique(groups)) < 2:
        return PULLS[0]
    folds, losses = group_folds(groups, seed=seed), np.zeros((len(PULLS), len(weights)))
    for fold in np.unique(folds):
        held = folds == fold
        if not weights[~held].any():
            continue
        train, test = design.take(~held), design.take(held)
        values = centre = train.centre(targets[~held], weights[~held])
        for place, pull in enumerate(PULLS):
            values = _fitted(train, targets[~held], weights[~held], pull, (centre, values))
            losses[place, held] = log_losses(targets[held], test.predict(values))
    return PULLS[simplest(losses, weights, groups)]
