"""Stack a model on the predictions of judges: a tied logistic regression, or boosted trees over a pool.

Both commute with swapping the responses by construction. Ensembles made with `--method stack` hold one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from scipy.optimize import minimize

from votecast.calibration.tie_models import (
    davidson_curvatures,
    davidson_gradients,
    davidson_loss,
    davidson_probabilities,
)
from votecast.errors import JudgeError
from votecast.judges.combiners import Combiner, Weights, best_weights, damaged, logs, weighted_sum
from votecast.metrics import group_folds
from votecast.metrics.scores import log_losses
from votecast.models.boosting import load_lightgbm, paired
from votecast.types import Bools, Floats, Ints, Probabilities

COEFFICIENTS_FILE, TREES_FILE = "logistic.json", "trees.txt"
PULLS: Final = (1e6, 1e4, 1e3, 1e2, 1e1, 1.0)
"""Strengths of the pull towards a pool, in rows that speak for it, from which cross-validation chooses."""

ROUNDS, PATIENCE, MIN_ROWS = 150, 20, 60
SETTINGS: Final[dict[str, Any]] = {
    "objective": "none",
    "num_class": 2,
    "learning_rate": 0.05,
    "num_leaves": 6,
    "min_data_in_leaf": MIN_ROWS,
    "min_sum_hessian_in_leaf": 1e-2,
    "lambda_l2": 20.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
"""Settings of LightGBM; a battle is two rows, one for each order of its responses."""


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
        for held in _held_out(groups, weights, seed):
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


class TreeStack(Combiner):
    """LightGBM on the predictions of the judges, averaged over both orders of the responses.

    Each battle is read twice, once in each order. The trees have two outputs f and g, and what they add to strength and
    closeness of the logarithmic pool with the best weights is f(a, b) - f(b, a) and g(a, b) + g(b, a): it commutes with
    the swap whatever they are fitted to. The number of rounds is chosen on held-out prompts; none is the pool itself.

    Args:
        pool: The pool that the trees correct; None before `fit`.
        booster: The LightGBM booster; None for no rounds.
        rounds: How many rounds it has.
    """

    method: ClassVar[str] = "stack"

    def __init__(self, pool: Weights | None = None, booster: Any = None, rounds: int = 0) -> None:
        self.pool, self.booster, self.rounds = pool, booster, rounds

    @staticmethod
    def parameters(judges: int) -> int:  # noqa: ARG004
        """Return about what the first few trees split: with fewer rows, trees find no more than a pool."""
        return 20

    def fit(self, predictions: Floats, targets: Probabilities, weights: Floats, groups: Ints, seed: int) -> Self:
        """Fit the pool, settle the rounds on held-out prompts, then boost on all rows."""
        self.pool = Weights().fit(predictions, targets, weights, groups, seed)
        views = _Views(*_read_both_orders(predictions, self.pool), targets, weights)
        self.booster, self.rounds = None, 0
        if views.can_be_split():
            losses = np.zeros((ROUNDS + 1, len(weights)))
            for held in _held_out(groups, weights, seed):
                if views.take(~held).can_be_split():
                    losses[:, held] = _losses_by_round(views.take(~held), views.take(held), seed)
            best = int(np.argmin(losses @ weights))
            self.rounds = (0, best)[simplest(losses[[0, best]], weights, groups)]  # none unless they beat the pool
        if self.rounds:
            text = str(views.boost(self.rounds, seed).model_to_string())
            self.booster = load_lightgbm().Booster(model_str=text)
        return self

    def predict(self, predictions: Floats) -> Probabilities:
        """Return probabilities of shape (n, 3); JudgeError before `fit`."""
        if self.pool is None:
            raise JudgeError("the ensemble has not been fitted; call fit")
        rows, s, t = _read_both_orders(predictions, self.pool)
        if self.booster is None or not len(s):
            return davidson_probabilities(s, t)
        raw = self.booster.predict(rows, raw_score=True, validate_features=False)
        ds, dt = paired(np.asarray(raw, dtype=np.float64).reshape(-1, 2))
        return davidson_probabilities(s + ds, t + dt)

    def described(self) -> dict[str, object]:
        """Return the number of rounds, and the weights of the pool that they correct."""
        return {"rounds": self.rounds} | ({} if self.pool is None else self.pool.described())

    def save(self, folder: Path) -> None:
        """Write the weights, and the trees in LightGBM's text format; an empty file without any."""
        if self.pool is not None:
            self.pool.save(folder)
        (folder / TREES_FILE).write_text("" if self.booster is None else str(self.booster.model_to_string()), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        lightgbm, file = load_lightgbm(), folder / TREES_FILE
        try:
            text = file.read_text("utf-8")
            booster = lightgbm.Booster(model_str=text) if text else None
        except (OSError, UnicodeDecodeError, lightgbm.basic.LightGBMError) as error:
            raise damaged(file, error) from error
        return cls(Weights.load(folder), booster, 0 if booster is None else int(booster.current_iteration()))


def _read_both_orders(predictions: Floats, pool: Weights) -> tuple[Floats, Floats, Floats]:
    """Return strength and closeness: of every judge in both orders, (2n, 2m); of the pool, (n,) each."""
    s, t = strengths(predictions)
    strength, closeness = strengths(pool.predict(predictions)[None])
    # the second half has the responses swapped
    rows = np.concatenate([np.concatenate([s, t]).T, np.concatenate([-s, t]).T])
    return rows, strength[0], closeness[0]


@dataclass(frozen=True)
class _Views:
    """Each battle in both orders, its strength and closeness under the pool, and its votes."""

    rows: Floats  # (2n, 2m)
    s: Floats  # (n,)
    t: Floats  # (n,)
    targets: Probabilities  # (n, 3)
    weights: Floats  # (n,)

    def take(self, kept: Bools) -> _Views:
        """Return some of the battles, each in both orders."""
        twice = np.tile(kept, 2)
        return _Views(self.rows[twice], self.s[kept], self.t[kept], self.targets[kept], self.weights[kept])

    def can_be_split(self) -> bool:
        """Return whether any column can be split; LightGBM refuses to start where none can."""
        return any(np.count_nonzero(column != np.median(column)) >= MIN_ROWS for column in self.rows.T)

    def predict(self, raw: Floats) -> Probabilities:
        """Return probabilities (n, 3) under what the trees add, of shape (2n, 2)."""
        s, t = paired(raw)
        return davidson_probabilities(self.s + s, self.t + t)

    def boost(self, rounds: int, seed: int, stop: Callable[[Any], bool] = lambda _: False) -> Any:
        """Boost for some rounds, or fewer where nothing is left to learn or `stop` returns true."""
        lightgbm, scale = load_lightgbm(), (self.weights / self.weights.mean())[:, None]

        def _objective(raw: Floats, _: object) -> tuple[Floats, Floats]:
            p = self.predict(raw.reshape(-1, 2))
            ds, dt = (part[:, None] * scale for part in davidson_gradients(p, self.targets))
            # the swapped copy of a battle has the opposite strength and the same closeness: (2n, 2)
            gradient = np.concatenate([np.hstack([ds, dt]), np.hstack([-ds, dt])])
            curvature = np.tile(2 * scale * np.stack(davidson_curvatures(p), axis=1), (2, 1))
            return gradient, np.maximum(curvature, 1e-6)  # leaves divide by the sum of curvatures

        data = lightgbm.Dataset(self.rows, free_raw_data=True, params={"feature_pre_filter": False, "verbosity": -1})
        booster = lightgbm.Booster(SETTINGS | {"seed": seed}, data)
        for _ in range(rounds):
            if booster.update(fobj=_objective) or stop(booster):
                break
        return booster


def _losses_by_round(train: _Views, test: _Views, seed: int) -> Floats:
    """Return the loss of each held-out row before the first round and after each, shape (rounds + 1, rows)."""
    raw, losses = np.zeros((len(test.rows), 2)), [log_losses(test.targets, davidson_probabilities(test.s, test.t))]
    means = [float(losses[0] @ test.weights)]

    def _is_stale(booster: Any) -> bool:
        last = booster.current_iteration() - 1
        raw[:] += booster.predict(test.rows, raw_score=True, start_iteration=last, num_iteration=1).reshape(-1, 2)
        losses.append(log_losses(test.targets, test.predict(raw)))
        means.append(float(losses[-1] @ test.weights))
        return len(means) - 1 - int(np.argmin(means)) >= PATIENCE

    train.boost(ROUNDS, seed, _is_stale)
    found = np.stack(losses)  # (rounds grown + 1, rows)
    return np.concatenate([found, np.tile(found[-1], (ROUNDS + 1 - len(found), 1))])


def _held_out(groups: Ints, weights: Floats, seed: int) -> Iterator[Bools]:
    """Yield the rows of each fold of prompts whose other folds count; none for a single prompt."""
    folds = group_folds(groups, seed=seed)
    if folds.any():
        for fold in np.unique(folds):
            held = folds == fold
            if weights[~held].any():
                yield held


def strengths(predictions: Floats) -> tuple[Floats, Floats]:
    """Return predictions as strength and closeness (see `votecast.calibration.tie_models`), each of shape (m, n)."""
    a, b, tie = np.moveaxis(logs(predictions), -1, 0)
    # swapping the responses changes the sign of the strength and nothing else, to the last bit
    return a - b, tie - 0.5 * (a + b)


def simplest(losses: Floats, weights: Floats, groups: Ints) -> int:
    """Return the first choice, simplest first, within one standard error of the best.

    The rule of one standard error (Breiman et al. 1984, section 3.4.3), here of differences on the same rows.

    Args:
        losses: Loss of each held-out row under each choice, shape (choices, n).
        weights: Shape (n,).
        groups: Rows of one group share a prompt, shape (n,).

    Example:
        >>> simplest(np.array([[1.0, 1.0], [0.9, 1.1], [0.5, 0.4]]), np.ones(2), np.arange(2))
        2
    """
    group = np.unique(groups, return_inverse=True)[1]
    best = losses[int(np.argmin(losses @ weights))]
    for place, one in enumerate(losses):
        worse = np.bincount(group, weights * (one - best))  # by prompt: rows of one prompt are not independent
        if worse.sum() <= np.sqrt(np.sum(np.square(worse))):
            return place
    raise AssertionError("the best is not worse than itself")
