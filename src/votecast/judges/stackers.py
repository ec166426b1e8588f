"""Stack a model on the predictions of judges: a tied logistic regression, or boosted trees over a pool.

Both commute with swapping the responses by construction. Ensembles made with `--method stack` hold one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from votecast.calibration.tie_models import (
    davidson_curvatures,
    davidson_gradients,
    davidson_loss,
    davidson_probabilities,
)
from votecast.errors import ArtifactError, JudgeError
from votecast.judges.combiners import Combiner, Floats, Weights, best_weights, logs
from votecast.metrics import group_folds
from votecast.metrics.scores import log_losses
from votecast.models.boosting import load_lightgbm, paired
from votecast.types import Probabilities

COEFFICIENTS_FILE: Final = "logistic.json"
TREES_FILE: Final = "trees.txt"
PULLS: Final = (1e6, 1e4, 1e3, 1e2, 1e1, 1.0)
"""Strengths of the pull towards a pool, in rows that speak for it, from which cross-validation chooses."""

ROUNDS: Final = 150
PATIENCE: Final = 20
MIN_ROWS: Final = 60
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

    def fit(
        self, predictions: Floats, targets: Probabilities, weights: Floats, groups: NDArray[np.int64], seed: int
    ) -> Self:
        """Choose the pull on held-out prompts, then fit on all rows."""
        design = _Design.of(predictions)
        self.pull = _best_pull(design, targets, weights, groups, seed)
        centre = design.centre(targets, weights)
        self.values = _fit_coefficients(design, targets, weights, self.pull, (centre, centre))
        return self

    def predict(self, predictions: Floats) -> Probabilities:
        """Return probabilities of shape (n, 3)."""
        if self.values is None:
            raise JudgeError("the ensemble has not been fitted; call fit")
        return _Design.of(predictions).predict(self.values)

    def described(self) -> dict[str, Any]:
        """Return the coefficients by name; of each, one a judge."""
        if self.values is None:
            raise JudgeError("the ensemble has not been fitted; call fit")
        u, v, w = self.values[:-1].reshape(3, -1).tolist()
        return {"a_against_b": u, "tie": v, "decided": w, "constant": float(self.values[-1]), "pull": self.pull}

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
            raise ArtifactError(f"{file} is damaged: {error}; copy or make the ensemble again") from error


@dataclass(frozen=True)
class _Design:
    """What the regression reads of predictions: one column a coefficient for S, and for T."""

    logs: Floats  # log-probabilities, (judges, n, 3)
    s: Floats  # (judges, n)
    t: Floats  # (2 judges, n)

    @classmethod
    def of(cls, predictions: Floats) -> _Design:
        """Read predictions of shape (judges, n, 3)."""
        z = logs(predictions)
        return cls(z, z[..., 0] - z[..., 1], np.concatenate([z[..., 2], -0.5 * (z[..., 0] + z[..., 1])]))

    def take(self, rows: NDArray[np.bool_]) -> _Design:
        """Return the columns of some rows."""
        return _Design(self.logs[:, rows], self.s[:, rows], self.t[:, rows])

    def centre(self, targets: Probabilities, weights: Floats) -> Floats:
        """Return the coefficients that are the logarithmic pool with the best weights."""
        best, _ = best_weights(self.logs, targets, weights / weights.sum())
        return np.append(np.tile(best, 3), 0.0)

    def predict(self, values: Floats) -> Probabilities:
        """Return probabilities under these coefficients, shape (n, 3)."""
        judges = len(self.s)
        return davidson_probabilities(_summed(values[:judges], self.s), _summed(values[judges:-1], self.t) + values[-1])


def _summed(values: Floats, columns: Floats) -> Floats:
    """Add a weighted sum term by term: the same to the last bit whatever the number of rows."""
    total = np.zeros(columns.shape[1])
    for value, column in zip(values.tolist(), columns, strict=True):
        total = total + value * column
    return total


def _fit_coefficients(
    design: _Design, targets: Probabilities, weights: Floats, pull: float, points: tuple[Floats, Floats]
) -> Floats:
    """Fit under a ridge, which makes the loss strictly convex; `points` are its centre and the start."""
    mean, ridge, (centre, start) = weights / weights.sum(), pull / len(weights), points

    def _objective(values: Floats) -> tuple[float, Floats]:
        p = design.predict(values)
        ds, dt = (part * mean for part in davidson_gradients(p, targets))
        away = values - centre
        slope = np.concatenate([design.s @ ds, design.t @ dt, [dt.sum()]])  # (3 judges + 1,)
        return davidson_loss(p, targets, weights) + 0.5 * ridge * float(away @ away), slope + ridge * away

    options = {"maxiter": 2000, "ftol": 1e-13, "gtol": 1e-8}
    found: Floats = minimize(_objective, start, jac=True, method="L-BFGS-B", options=options).x
    return found


def _best_pull(design: _Design, targets: Probabilities, weights: Floats, groups: NDArray[np.int64], seed: int) -> float:
    """Return the strongest pull within one standard error of the best on held-out prompts."""
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
            # from strong to weak, so that the last solution is a good start for the next
            values = _fit_coefficients(train, targets[~held], weights[~held], pull, (centre, values))
            losses[place, held] = log_losses(targets[held], test.predict(values))
    return PULLS[simplest(losses, weights, groups)]


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

    def fit(
        self, predictions: Floats, targets: Probabilities, weights: Floats, groups: NDArray[np.int64], seed: int
    ) -> Self:
        """Fit the pool, settle the rounds on held-out prompts, then boost on all rows."""
        self.pool = Weights().fit(predictions, targets, weights, groups, seed)
        views, votes = _Views.of(predictions, self.pool), (targets, weights)
        self.booster, self.rounds = None, _best_rounds(views, votes, groups, seed)
        if self.rounds:
            text = str(_boost(views, votes, self.rounds, seed).model_to_string())
            self.booster = load_lightgbm().Booster(model_str=text)
        return self

    def predict(self, predictions: Floats) -> Probabilities:
        """Probabilities of shape (n, 3).

        Raises:
            JudgeError: Before `fit`.
        """
        if self.pool is None:
            raise JudgeError("the ensemble has not been fitted; call fit")
        views = _Views.of(predictions, self.pool)
        if self.booster is None or not len(views.s):
            return davidson_probabilities(views.s, views.t)
        raw = self.booster.predict(views.rows, raw_score=True, validate_features=False)
        ds, dt = paired(np.asarray(raw, dtype=np.float64).reshape(-1, 2))
        return davidson_probabilities(views.s + ds, views.t + dt)

    def described(self) -> dict[str, Any]:
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
            raise ArtifactError(f"{file} is damaged: {error}; copy or make the ensemble again") from error
        return cls(Weights.load(folder), booster, 0 if booster is None else int(booster.current_iteration()))


@dataclass(frozen=True)
class _Views:
    """Each battle in both orders, and its strength and closeness under the pool."""

    rows: Floats  # strength and closeness of every judge, (2n, 2m); the second half has the responses swapped
    s: Floats  # (n,)
    t: Floats  # (n,)

    @classmethod
    def of(cls, predictions: Floats, pool: Weights) -> _Views:
        """Read predictions of shape (judges, n, 3)."""
        s, t = strengths(predictions)
        rows = np.concatenate([np.concatenate([s, t]).T, np.concatenate([-s, t]).T])
        strength, closeness = strengths(pool.predict(predictions)[None])
        return cls(rows, strength[0], closeness[0])

    def take(self, kept: NDArray[np.bool_]) -> _Views:
        """Return some of the battles, each in both orders."""
        return _Views(self.rows[np.tile(kept, 2)], self.s[kept], self.t[kept])

    def can_be_split(self) -> bool:
        """Return whether any column can be split; LightGBM refuses to start where none can."""
        return any(np.count_nonzero(column != np.median(column)) >= MIN_ROWS for column in self.rows.T)


def _boost(
    views: _Views,
    votes: tuple[Probabilities, Floats],
    rounds: int,
    seed: int,
    stop: Callable[[Any], bool] = lambda _: False,
) -> Any:
    """Boost for some rounds, or fewer where nothing is left to learn or `stop` returns true."""
    lightgbm = load_lightgbm()
    data = lightgbm.Dataset(views.rows, free_raw_data=True, params={"feature_pre_filter": False, "verbosity": -1})
    booster, objective = lightgbm.Booster(SETTINGS | {"seed": seed}, data), _objective(views, *votes)
    for _ in range(rounds):
        if booster.update(fobj=objective) or stop(booster):
            break
    return booster


def _objective(views: _Views, targets: Probabilities, weights: Floats) -> Callable[..., tuple[Any, Any]]:
    scale = (weights / weights.mean())[:, None]

    def _gradients_of(raw: Floats, _: Any) -> tuple[Floats, Floats]:
        s, t = paired(raw.reshape(-1, 2))
        p = davidson_probabilities(views.s + s, views.t + t)
        ds, dt = (part[:, None] * scale for part in davidson_gradients(p, targets))
        # the swapped copy of a battle has the opposite strength and the same closeness: (2n, 2)
        gradient = np.concatenate([np.hstack([ds, dt]), np.hstack([-ds, dt])])
        curvature = np.tile(2 * scale * np.stack(davidson_curvatures(p), axis=1), (2, 1))
        return gradient, np.maximum(curvature, 1e-6)  # leaves divide by the sum of curvatures

    return _gradients_of


def _best_rounds(views: _Views, votes: tuple[Probabilities, Floats], groups: NDArray[np.int64], seed: int) -> int:
    """Return the number of rounds of least loss on held-out prompts; none unless they beat the pool."""
    weights = votes[1]
    if len(np.unique(groups)) < 2 or not views.can_be_split():
        return 0
    folds, losses = group_folds(groups, seed=seed), np.zeros((ROUNDS + 1, len(weights)))
    for fold in np.unique(folds):
        held = folds == fold
        if weights[~held].any() and views.take(~held).can_be_split():
            losses[:, held] = _losses_by_round(views, votes, held, seed)
    best = int(np.argmin(losses @ weights))
    return (0, best)[simplest(losses[[0, best]], weights, groups)]


def _losses_by_round(views: _Views, votes: tuple[Probabilities, Floats], held: NDArray[np.bool_], seed: int) -> Floats:
    """Return the loss of each held-out row before the first round and after each, shape (rounds + 1, rows)."""
    targets, weights = votes
    test = views.take(held)
    raw, losses = np.zeros((len(test.rows), 2)), [log_losses(targets[held], davidson_probabilities(test.s, test.t))]
    means = [float(losses[0] @ weights[held])]

    def _is_stale(booster: Any) -> bool:
        last = booster.current_iteration() - 1
        raw[:] += booster.predict(test.rows, raw_score=True, start_iteration=last, num_iteration=1).reshape(-1, 2)
        s, t = paired(raw)
        losses.append(log_losses(targets[held], davidson_probabilities(test.s + s, test.t + t)))
        means.append(float(losses[-1] @ weights[held]))
        return len(means) - 1 - int(np.argmin(means)) >= PATIENCE

    _boost(views.take(~held), (targets[~held], weights[~held]), ROUNDS, seed, _is_stale)
    found = np.stack(losses)  # (rounds grown + 1, rows)
    return np.concatenate([found, np.tile(found[-1], (ROUNDS + 1 - len(found), 1))])


def strengths(predictions: Floats) -> tuple[Floats, Floats]:
    """Return predictions as strength and closeness, each of shape (m, n); see `votecast.calibration.tie_models`.

    Swapping the responses changes the sign of the strength and nothing else, to the last bit.

    Example:
        >>> s, t = strengths(np.array([[[0.5, 0.25, 0.25]]]))
        >>> s.round(3).tolist(), t.round(3).tolist()
        ([[0.693]], [[-0.347]])
    """
    found = logs(predictions)
    a, b, tie = found[..., 0], found[..., 1], found[..., 2]
    return a - b, tie - 0.5 * (a + b)


def simplest(losses: Floats, weights: Floats, groups: NDArray[np.int64]) -> int:
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
