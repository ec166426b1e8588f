"""Stack a tied logistic regression on the predictions of judges; it commutes with swapping the responses.

Ensembles made with `--method stack` hold one unless they name another stacker.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self

import numpy as np
from scipy.optimize import minimize

from votecast.calibration.tie_models import davidson_gradients, davidson_loss, davidson_probabilities
from votecast.errors import JudgeError
from votecast.judges.combiners import Combiner, best_weights, damaged, logs, weighted_sum
from votecast.judges.held_out_choice import held_out_rows, simplest
from votecast.metrics.scores import log_losses
from votecast.types import Bools, Floats, Ints, Probabilities

COEFFICIENTS_FILE: Final = "logistic.json"
PULLS: Final = (1e6, 1e4, 1e3, 1e2, 1e1, 1.0)
"""Strengths of the pull towards a pool, in rows that speak for it, from which cross-validation chooses."""


class LogisticStack(Combiner):
    """A multinomial logistic regression on the logarithms of the judges' predictions (Wolpert 1992).

    With the logarithms a, b, t of what judge i predicts, the odds a : b : tie are exp(S/2) : exp(-S/2) : exp(T), where

        S = sum of u_i (a_i - b_i)        T = c + sum of v_i t_i - w_i (a_i + b_i) / 2

    These are all linear models that commute with swapping the responses. u = v = w with sum 1 and c = 0 is a
    logarithmic pool. A ridge pulls towards the pool with the best weights, as strongly as cross-validation over prompts
    allows (within one standard error of the best pull), so that few votes give that pool.

    Args:
        values: u, v, w and c, shape (3m + 1,).
        pull: Strength of the ridge.
    """

    method: ClassVar[str] = "stack"

    def __init__(self, values: Floats | None = None, pull: float = PULLS[0]) -> None:
        self.values, self.pull = values, pull

    @staticmethod
    def parameters(judges: int) -> int:
        """Return three for each judge, and a constant."""
        return 3 * judges + 1

    def fit(self, predictions: Floats, targets: Probabilities, weights: Floats, groups: Ints, seed: int) -> Self:
        """Choose the pull on held-out prompts, then fit on all rows."""
        design = _Design.of(predictions, targets, weights)
        losses = np.zeros((len(PULLS), len(weights)))
        for held in held_out_rows(groups, weights, seed):
            train, test = design.take(~held), design.take(held)
            values = centre = train.best_pool()
            for place, pull in enumerate(PULLS):
                # from strong to weak, so that the last solution is a good start for the next
                values = train.fit(pull, centre, values)
                losses[place, held] = log_losses(test.targets, test.predict(values))
        self.pull = PULLS[simplest(losses, weights, groups)]
        centre = design.best_pool()
        self.values = design.fit(self.pull, centre, centre)
        return self

    def predict(self, predictions: Floats) -> Probabilities:
        """Return probabilities of shape (n, 3)."""
        return _Design.of(predictions).predict(self._known())

    def described(self) -> dict[str, object]:
        """Return the coefficients by name; of each, one a judge."""
        values = self._known()
        u, v, w = values[:-1].reshape(3, -1).tolist()
        return {"a_against_b": u, "tie": v, "decided": w, "constant": float(values[-1]), "pull": self.pull}

    def save(self, folder: Path) -> None:
        """Write the coefficients."""
        (folder / COEFFICIENTS_FILE).write_text(json.dumps(self.described(), indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        file = folder / COEFFICIENTS_FILE
        try:
            found = json.loads(file.read_text("utf-8"))
            parts = [*found["a_against_b"], *found["tie"], *found["decided"], found["constant"]]
            values = np.array(parts, dtype=np.float64)
            if values.ndim != 1 or len(values) % 3 != 1 or not np.isfinite(values).all():
                raise ValueError(f"{values.shape} numbers")
            return cls(values, float(found["pull"]))
        except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise damaged(file, error) from error

    def _known(self) -> Floats:
        if self.values is None:
            raise JudgeError("the ensemble has not been fitted; call fit")
        return self.values


@dataclass(frozen=True)
class _Design:
    """What the regression reads of predictions: one column a coefficient for S, and for T; and the votes."""

    logs: Floats  # log-probabilities, (judges, n, 3)
    s: Floats  # (judges, n)
    t: Floats  # (2 judges, n)
    targets: Probabilities  # (n, 3)
    weights: Floats  # (n,)

    @classmethod
    def of(cls, predictions: Floats, targets: Probabilities | None = None, weights: Floats | None = None) -> _Design:
        """Read predictions of shape (judges, n, 3), and their votes where it is to be fitted."""
        z = logs(predictions)
        t = np.concatenate([z[..., 2], -0.5 * (z[..., 0] + z[..., 1])])
        none = np.empty((z.shape[1], 0))
        return cls(
            z, z[..., 0] - z[..., 1], t, none if targets is None else targets, none if weights is None else weights
        )

    def take(self, rows: Bools) -> _Design:
        """Return the columns of some rows."""
        return _Design(self.logs[:, rows], self.s[:, rows], self.t[:, rows], self.targets[rows], self.weights[rows])

    def best_pool(self) -> Floats:
        """Return the coefficients that are the logarithmic pool with the best weights."""
        best, _ = best_weights(self.logs, self.targets, self.weights / self.weights.sum())
        return np.append(np.tile(best, 3), 0.0)

    def predict(self, values: Floats) -> Probabilities:
        """Return probabilities under these coefficients, shape (n, 3)."""
        judges = len(self.s)
        s, t = weighted_sum(values[:judges], self.s), weighted_sum(values[judges:-1], self.t)
        return davidson_probabilities(s, t + values[-1])

    def fit(self, pull: float, centre: Floats, start: Floats) -> Floats:
        """Fit coefficients under a ridge around `centre`, which makes the loss strictly convex."""
        mean, ridge = self.weights / self.weights.sum(), pull / len(self.weights)

        def _objective(values: Floats) -> tuple[float, Floats]:
            p = self.predict(values)
            ds, dt = (part * mean for part in davidson_gradients(p, self.targets))
            away = values - centre
            slope = np.concatenate([self.s @ ds, self.t @ dt, [dt.sum()]])  # (3 judges + 1,)
            loss = davidson_loss(p, self.targets, self.weights) + 0.5 * ridge * float(away @ away)
            return loss, slope + ridge * away

        options = {"maxiter": 2000, "ftol": 1e-13, "gtol": 1e-8}
        return np.asarray(minimize(_objective, start, jac=True, method="L-BFGS-B", options=options).x)
