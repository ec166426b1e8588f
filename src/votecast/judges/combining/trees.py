"""Stacking by boosted trees that correct the pool of the judges, blind to which answer is called a."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from votecast.errors import ArtifactError
from votecast.judges.boosting import load_lightgbm, paired
from votecast.judges.combining.base import Floats, Forecasts, simplest, strengths
from votecast.judges.davidson import curvatures, gradients, link
from votecast.metrics import group_folds
from votecast.metrics.rows import log_losses
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
    closeness of the logarithmic pool is f(a, b) - f(b, a) and g(a, b) + g(b, a): it commutes with the exchange whatever
    they have learnt. How many rounds are grown is settled on held-out prompts; none is the pool itself.

    Args:
        booster: The LightGBM booster; None for no rounds.
        rounds: How many rounds it has.
    """

    method: ClassVar[str] = "stack"

    def __init__(self, booster: Any = None, rounds: int = 0) -> None:
        self.booster, self.rounds = booster, rounds

    @staticmethod
    def parameters(judges: int) -> int:  # noqa: ARG004
        """A tree needs as many rows on each side of its first cut, and a battle is two of them."""
        return MIN_ROWS

    def fit(
        self, forecasts: Forecasts, targets: Probabilities, weights: Floats, groups: NDArray[np.int64], seed: int
    ) -> Self:
        """Settle the rounds on held-out prompts, then boost on all rows."""
        views, votes = _views(forecasts), (targets, weights)
        self.booster, self.rounds = None, _best_rounds(views, votes, groups, seed)
        if self.rounds:
            text = str(_boosted(views, votes, self.rounds, seed).model_to_string())
            self.booster = load_lightgbm().Booster(model_str=text)
        return self

    def predict(self, forecasts: Forecasts) -> Probabilities:
        """Probabilities of shape (n, 3)."""
        s, t = _pool(forecasts)
        if self.booster is None or not len(s):
            return link(s, t)
        raw = self.booster.predict(_views(forecasts), raw_score=True, validate_features=False)
        ds, dt = paired(np.asarray(raw, dtype=np.float64).reshape(-1, 2))
        return link(s + ds, t + dt)

    def shares(self) -> None:
        """Nothing: trees have no weights."""
        return

    def described(self) -> dict[str, Any]:
        """How many rounds were grown."""
        return {"rounds": self.rounds}

    def only(self, kept: Sequence[int]) -> Self:  # noqa: ARG002
        """The same: the trees may read every judge."""
        return self

    def save(self, folder: Path) -> None:
        """Write the trees in LightGBM's text format; an empty file without any."""
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
        return cls(booster, 0 if booster is None else int(booster.current_iteration()))


def _pool(forecasts: Forecasts) -> tuple[Floats, Floats]:
    """Strength and closeness of the logarithmic pool with equal weights."""
    s, t = strengths(forecasts)
    return s.sum(axis=0) / len(s), t.sum(axis=0) / len(t)


def _views(forecasts: Forecasts) -> NDArray[np.float64]:
    """Each battle in both orders: strengths and closenesses of every judge, shape (2n, 2m)."""
    s, t = strengths(forecasts)
    return np.concatenate([np.concatenate([s, t]).T, np.concatenate([-s, t]).T])


def _boosted(
    views: Floats,
    votes: tuple[Probabilities, Floats],
    rounds: int,
    seed: int,
    stop: Callable[[Any], bool] = lambda _: False,
) -> Any:
    """A booster of some rounds, or fewer where there is nothing left to learn or `stop` says so."""
    lightgbm = load_lightgbm()
    data = lightgbm.Dataset(views, free_raw_data=True, params={"feature_pre_filter": False, "verbosity": -1})
    booster, objective = lightgbm.Booster(SETTINGS | {"seed": seed}, data), _objective(views, *votes)
    for _ in range(rounds):
        if booster.update(fobj=objective) or stop(booster):
            break
    return booster


def _objective(views: Floats, targets: Probabilities, weights: Floats) -> Callable[..., tuple[Any, Any]]:
    scale, (s0, t0) = (weights / weights.mean())[:, None], _pool_of_views(views)

    def _gradients_of(raw: Floats, _: Any) -> tuple[Floats, Floats]:
        s, t = paired(raw.reshape(-1, 2))
        p = link(s0 + s, t0 + t)
        ds, dt = (part[:, None] * scale for part in gradients(p, targets))
        gradient = np.concatenate([np.hstack([ds, dt]), np.hstack([-ds, dt])])
        curvature = np.tile(2 * scale * np.stack(curvatures(p), axis=1), (2, 1))
        return gradient, np.maximum(curvature, 1e-6)

    return _gradients_of


def _pool_of_views(views: Floats) -> tuple[Floats, Floats]:
    first = views[: len(views) // 2].T
    judges = len(first) // 2
    return first[:judges].sum(axis=0) / judges, first[judges:].sum(axis=0) / judges


def _best_rounds(views: Floats, votes: tuple[Probabilities, Floats], groups: NDArray[np.int64], seed: int) -> int:
    """How many rounds lose least on prompts that were held out; none unless they do better than the pool."""
    weights = votes[1]
    if len(np.unique(groups)) < 2 or not _can_be_split(views):
        return 0
    folds, losses = group_folds(groups, seed=seed), np.zeros((ROUNDS + 1, len(weights)))
    for fold in np.unique(folds):
        held = folds == fold
        if weights[~held].any() and _can_be_split(views[np.tile(~held, 2)]):
            losses[:, held] = _followed(views, votes, held, seed)
    best = int(np.argmin(losses @ weights))
    return (0, best)[simplest(losses[[0, best]], weights, groups)]


def _followed(views: Floats, votes: tuple[Probabilities, Floats], held: NDArray[np.bool_], seed: int) -> Floats:
    """The loss of each held-out row before the first round, and after each, shape (rounds + 1, rows)."""
    targets, weights = votes
    test = views[np.tile(held, 2)]
    s0, t0 = _pool_of_views(test)
    raw, losses = np.zeros((len(test), 2)), [log_losses(targets[held], link(s0, t0))]
    means = [float(losses[0] @ weights[held])]

    def _stale(booster: Any) -> bool:
        last = booster.current_iteration() - 1
        raw[:] += booster.predict(test, raw_score=True, start_iteration=last, num_iteration=1).reshape(-1, 2)
        s, t = paired(raw)
        losses.append(log_losses(targets[held], link(s0 + s, t0 + t)))
        means.append(float(losses[-1] @ weights[held]))
        return len(means) - 1 - int(np.argmin(means)) >= PATIENCE

    _boosted(views[np.tile(~held, 2)], (targets[~held], weights[~held]), ROUNDS, seed, _stale)
    found = np.stack(losses)
    return np.concatenate([found, np.tile(found[-1], (ROUNDS + 1 - len(found), 1))])


def _can_be_split(views: Floats) -> bool:
    """Whether any column has enough rows beside its most common value; LightGBM refuses to start where none has."""
    return any(np.count_nonzero(column != np.median(column)) >= MIN_ROWS for column in views.T)
