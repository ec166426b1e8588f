"""Stacking by boosted trees that correct the pool of the judges, blind to which answer is called a."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from votecast.calibration.tie_models import davidson_curvatures, davidson_gradients, davidson_probabilities
from votecast.errors import ArtifactError, JudgeError
from votecast.judges.combining.base import Floats, Forecasts, simplest, strengths
from votecast.judges.combining.pool import Weights
from votecast.metrics import group_folds
from votecast.metrics.scores import log_losses
from votecast.models.boosting import load_lightgbm, paired
from votecast.types import Probabilities

FILE: Final = "trees.txt"
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
"""Settings of LightGBM; a battle is two rows, one for each order of its answers."""


class TreeStack:
    """LightGBM on what the judges forecast, averaged over both orders of the answers.

    Each battle is read twice, once in each order. The trees have two outputs f and g, and what they add to strength and
    closeness of the logarithmic pool with the best weights is f(a, b) - f(b, a) and g(a, b) + g(b, a): it commutes with
    the exchange whatever they have learnt. How many rounds are grown is settled on held-out prompts; none is the pool
    itself.

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
        """About what the first few trees cut: fewer rows have nothing that trees could find and a pool could not."""
        return 20

    def fit(
        self, forecasts: Forecasts, targets: Probabilities, weights: Floats, groups: NDArray[np.int64], seed: int
    ) -> Self:
        """Fit the pool, settle the rounds on held-out prompts, then boost on all rows."""
        self.pool = Weights().fit(forecasts, targets, weights, groups, seed)
        views, votes = _Views.of(forecasts, self.pool), (targets, weights)
        self.booster, self.rounds = None, _best_rounds(views, votes, groups, seed)
        if self.rounds:
            text = str(_boosted(views, votes, self.rounds, seed).model_to_string())
            self.booster = load_lightgbm().Booster(model_str=text)
        return self

    def predict(self, forecasts: Forecasts) -> Probabilities:
        """Probabilities of shape (n, 3).

        Raises:
            JudgeError: Before `fit`.
        """
        if self.pool is None:
            raise JudgeError("the ensemble has not been fitted; call fit")
        views = _Views.of(forecasts, self.pool)
        if self.booster is None or not len(views.s):
            return davidson_probabilities(views.s, views.t)
        raw = self.booster.predict(views.rows, raw_score=True, validate_features=False)
        ds, dt = paired(np.asarray(raw, dtype=np.float64).reshape(-1, 2))
        return davidson_probabilities(views.s + ds, views.t + dt)

    def shares(self) -> None:
        """Nothing: trees have no weights."""
        return

    def described(self) -> dict[str, Any]:
        """How many rounds were grown, and the weights of the pool that they correct."""
        return {"rounds": self.rounds} | ({} if self.pool is None else self.pool.described())

    def only(self, kept: Sequence[int]) -> Self:  # noqa: ARG002
        """The same: the trees may read every judge."""
        return self

    def save(self, folder: Path) -> None:
        """Write the weights, and the trees in LightGBM's text format; an empty file without any."""
        if self.pool is not None:
            self.pool.save(folder)
        (folder / FILE).write_text("" if self.booster is None else str(self.booster.model_to_string()), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote.

        Raises:
            ArtifactError: If the file is absent or damaged.
        """
        lightgbm = load_lightgbm()
        try:
            text = (folder / FILE).read_text("utf-8")
            booster = lightgbm.Booster(model_str=text) if text else None
        except (OSError, UnicodeDecodeError, lightgbm.basic.LightGBMError) as error:
            raise ArtifactError(f"{folder / FILE} is damaged: {error}; copy or make the ensemble again") from error
        return cls(Weights.load(folder), booster, 0 if booster is None else int(booster.current_iteration()))


@dataclass(frozen=True)
class _Views:
    """Each battle in both orders, and what the pool says of it.

    Args:
        rows: Strengths and closenesses of every judge, shape (2n, 2m); the second half has the answers exchanged.
        s: Strength under the pool, shape (n,).
        t: Closeness under the pool, shape (n,).
    """

    rows: Floats
    s: Floats
    t: Floats

    @classmethod
    def of(cls, forecasts: Forecasts, pool: Weights) -> _Views:
        """The battles of these forecasts."""
        s, t = strengths(forecasts)
        rows = np.concatenate([np.concatenate([s, t]).T, np.concatenate([-s, t]).T])
        strength, closeness = strengths(pool.predict(forecasts)[None])
        return cls(rows, strength[0], closeness[0])

    def take(self, kept: NDArray[np.bool_]) -> _Views:
        """Some of the battles, each in both orders."""
        return _Views(self.rows[np.tile(kept, 2)], self.s[kept], self.t[kept])

    def can_be_split(self) -> bool:
        """Whether any column has enough rows beside its most common value; LightGBM refuses to start where none has."""
        return any(np.count_nonzero(column != np.median(column)) >= MIN_ROWS for column in self.rows.T)


def _boosted(
    views: _Views,
    votes: tuple[Probabilities, Floats],
    rounds: int,
    seed: int,
    stop: Callable[[Any], bool] = lambda _: False,
) -> Any:
    """A booster of some rounds, or fewer where there is nothing left to learn or `stop` says so."""
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
        gradient = np.concatenate([np.hstack([ds, dt]), np.hstack([-ds, dt])])
        curvature = np.tile(2 * scale * np.stack(davidson_curvatures(p), axis=1), (2, 1))
        return gradient, np.maximum(curvature, 1e-6)

    return _gradients_of


def _best_rounds(views: _Views, votes: tuple[Probabilities, Floats], groups: NDArray[np.int64], seed: int) -> int:
    """How many rounds lose least on prompts that were held out; none unless they do better than the pool."""
    weights = votes[1]
    if len(np.unique(groups)) < 2 or not views.can_be_split():
        return 0
    folds, losses = group_folds(groups, seed=seed), np.zeros((ROUNDS + 1, len(weights)))
    for fold in np.unique(folds):
        held = folds == fold
        if weights[~held].any() and views.take(~held).can_be_split():
            losses[:, held] = _followed(views, votes, held, seed)
    best = int(np.argmin(losses @ weights))
    return (0, best)[simplest(losses[[0, best]], weights, groups)]


def _followed(views: _Views, votes: tuple[Probabilities, Floats], held: NDArray[np.bool_], seed: int) -> Floats:
    """The loss of each held-out row before the first round, and after each, shape (rounds + 1, rows)."""
    targets, weights = votes
    test = views.take(held)
    raw, losses = np.zeros((len(test.rows), 2)), [log_losses(targets[held], davidson_probabilities(test.s, test.t))]
    means = [float(losses[0] @ weights[held])]

    def _stale(booster: Any) -> bool:
        last = booster.current_iteration() - 1
        raw[:] += booster.predict(test.rows, raw_score=True, start_iteration=last, num_iteration=1).reshape(-1, 2)
        s, t = paired(raw)
        losses.append(log_losses(targets[held], davidson_probabilities(test.s + s, test.t + t)))
        means.append(float(losses[-1] @ weights[held]))
        return len(means) - 1 - int(np.argmin(means)) >= PATIENCE

    _boosted(views.take(~held), (targets[~held], weights[~held]), ROUNDS, seed, _stale)
    found = np.stack(losses)
    return np.concatenate([found, np.tile(found[-1], (ROUNDS + 1 - len(found), 1))])
