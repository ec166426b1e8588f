"""Stack boosted trees over a pool of judges; they commute with swapping the responses.

Ensembles made with `--method stack --stacker lightgbm` hold one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np

from votecast.calibration.tie_models import davidson_curvatures, davidson_gradients, davidson_probabilities
from votecast.errors import JudgeError
from votecast.judges.combiners import Combiner, Weights, logs
from votecast.judges.held_out_choice import held_out_rows, simplest
from votecast.metrics.scores import log_losses
from votecast.models.boosting import load_lightgbm, paired, read_booster, write_booster
from votecast.types import Bools, Floats, Ints, Probabilities

TREES_FILE: Final = "trees.txt"
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
            for held in held_out_rows(groups, weights, seed):
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
        (folder / TREES_FILE).write_text(write_booster(self.booster), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        pool = Weights.load(folder)
        booster = read_booster(folder / TREES_FILE, columns=2 * len(pool.shares()))  # strength and closeness of each
        return cls(pool, booster, 0 if booster is None else int(booster.current_iteration()))


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


def strengths(predictions: Floats) -> tuple[Floats, Floats]:
    """Return predictions as strength and closeness (see `votecast.calibration.tie_models`), each of shape (m, n)."""
    a, b, tie = np.moveaxis(logs(predictions), -1, 0)
    # swapping the responses changes the sign of the strength and nothing else, to the last bit
    return a - b, tie - 0.5 * (a + b)
