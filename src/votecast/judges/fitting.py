"""The loop over folds: fresh members, out-of-fold forecasts, a calibrator fitted on nothing else."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from votecast.calibration import Calibrator, make_calibrator
from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.errors import DataError, JudgeError
from votecast.judges.model import Model
from votecast.judges.recipe import Recipe
from votecast.judges.table import family
from votecast.metrics import group_folds
from votecast.runs import Progress
from votecast.splits import Folds, PromptHashes, make_folds
from votecast.types import CLASSES, Probabilities

logger = logging.getLogger(__name__)

@dataclass(frozen=True)
class OutOfFold:
    """Forecasts of rows by members that had not seen them.

    Args:
        rows: Positions among the battles the judge was fitted on, shape (n,).
        ids: Names of the rows.
        content: Hash of each row's texts.
        fold: Fold of each row, shape (n,).
        raw: Uncalibrated probabilities, shape (n, 3).
        targets: Soft labels, shape (n, 3).
        weights: Shape (n,).
        clusters: Cluster of near-duplicate prompts of each row, shape (n,).
    """

    rows: NDArray[np.int64]
    ids: list[str]
    content: list[str]
    fold: NDArray[np.int64]
    raw: Probabilities
    targets: Probabilities
    weights: NDArray[np.float64]
    clusters: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Fitted:
    """What a judge has learnt.

    Args:
        members: One model, or one per fold; their forecasts are averaged.
        calibrator: Fitted on the out-of-fold rows.
        out_of_fold: The rows no member that forecast them had seen.
        prompt_hashes: Salted hashes of the training prompts.
        facts: Rows, shares of labels, sources and folds, for the model card.
    """

    members: list[Model]
    calibrator: Calibrator
    out_of_fold: OutOfFold
    prompt_hashes: PromptHashes
    facts: dict[str, Any] = field(default_factory=dict)


def fit_over_folds(recipe: Recipe, battles: Battles, folds: Folds | None, progress: Progress) -> Fitted:
    """Fit one member per fold on the other folds, forecast its fold, calibrate, then fit what will be kept.

    Args:
        recipe: The settings.
        battles: Rows with votes.
        folds: Folds to use; None makes them as the recipe says.
        progress: Told of every step.

    Raises:
        DataError: If a row has no vote, or there are too few rows for the folds.
        JudgeError: If a member forecasts something that is not a probability.
    """
    targets, weights = battles.targets(), _weights(battles)
    progress("finding near-duplicate prompts", 0, 1)
    clusters = prompt_clusters(battles, similarity=recipe.folds.similarity, seed=recipe.seed)
    folds = folds or make_folds(battles, recipe.folds, clusters=clusters)
    work = Work(recipe, battles, targets, weights, clusters, progress)
    parts = list(folds.parts())
    steps = len(parts) + (recipe.final == "refit")
    raw, seen = np.full((len(battles), 3), np.nan), np.full(len(battles), -1, dtype=np.int64)
    members = []
    for number, (train, valid) in enumerate(parts):
        progress("training", number, steps)
        member = work.fit(train)
        raw[valid], seen[valid] = work.predict(member, valid), number
        members.append(member)
    if recipe.final == "refit":
        progress("training on all rows", len(parts), steps)
        members = [work.fit(np.arange(len(battles)))]
    progress("training", steps, steps)
    held = work.out_of_fold(raw, seen)
    facts = _facts(battles, targets) | {"folds": folds.to_dict(), "prompt_clusters": int(clusters.max()) + 1}
    return Fitted(members, _calibrate(recipe, held), held, PromptHashes.of(battles, seed=recipe.seed), facts)


def fit_with_valid(recipe: Recipe, battles: Battles, valid: Battles, progress: Progress) -> Fitted:
    """Fit one member on `battles` and calibrate it on `valid`, which takes the place of folds.

    Raises:
        LeakError: If a prompt of `valid` is among the training prompts.
    """
    hashes = PromptHashes.of(battles, seed=recipe.seed)
    hashes.check(valid)
    both = Battles.concat([battles, valid])
    order = np.arange(len(both))
    clusters = prompt_clusters(both, similarity=recipe.folds.similarity, seed=recipe.seed)
    work = Work(recipe, both, both.targets(), _weights(both), clusters, progress)
    progress("training", 0, 1)
    member = work.fit(order[: len(battles)])
    progress("training", 1, 1)
    raw, seen = np.full((len(both), 3), np.nan), np.full(len(both), -1, dtype=np.int64)
    raw[len(battles) :], seen[len(battles) :] = work.predict(member, order[len(battles) :]), 0
    held = work.out_of_fold(raw, seen)
    facts = _facts(battles, battles.targets()) | {"folds": {"method": "given validation rows", "n": 1}}
    return Fitted([member], _calibrate(recipe, held), held, hashes, facts)


def calibration_folds(held: OutOfFold, seed: int) -> NDArray[np.int64]:
    """Folds over which a calibrator is cross-fitted: those of the judge, or fresh grouped ones after a single split."""
    if held.fold.max() > 0:
        return held.fold
    if len(np.unique(held.clusters)) < 2:
        raise DataError("the held-out rows share one prompt; calibrated figures need at least two different prompts")
    return group_folds(held.clusters, seed=seed)


class Work:
    """One training run: the battles prepared once, cut into folds many times."""

    def __init__(
        self,
        recipe: Recipe,
        battles: Battles,
        targets: Probabilities,
        weights: NDArray[np.float64],
        clusters: NDArray[np.int64],
        progress: Progress,
    ) -> None:
        self.recipe, self.battles, self.progress = recipe, battles, progress
        self.targets, self.weights, self.clusters = targets, weights, clusters
        progress("preparing", 0, 1)
        self.prepared = self.fresh().prepare(battles)

    def fresh(self) -> Model:
        """A member that has learnt nothing yet."""
        return family(self.recipe.family)(self.recipe.model, seed=self.recipe.seed)

    def fit(self, rows: NDArray[np.int64]) -> Model:
        """A fresh member fitted on these rows."""
        return self.fresh().fit(self.prepared.take(rows), self.targets[rows], self.weights[rows], self.clusters[rows])

    def predict(self, member: Model, rows: NDArray[np.int64]) -> Probabilities:
        """Uncalibrated forecasts of these rows, checked."""
        return checked_probabilities(member.predict(self.prepared.take(rows)), self.recipe.name)

    def out_of_fold(self, raw: Probabilities, fold: NDArray[np.int64]) -> OutOfFold:
        """The rows that were forecast, with everything that calibration and figures need."""
        rows = np.flatnonzero(fold >= 0)
        held = self.battles.take(rows)
        return OutOfFold(
            rows=rows,
            ids=held.ids,
            content=held.content_hashes(),
            fold=fold[rows],
            raw=raw[rows],
            targets=self.targets[rows],
            weights=self.weights[rows],
            clusters=self.clusters[rows],
        )


def checked_probabilities(p: Probabilities, name: str) -> Probabilities:
    """The same array, if every row is a distribution.

    Raises:
        JudgeError: If a value is not finite, is negative, or a row does not sum to 1.
    """
    wrong = ~np.isfinite(p).all(axis=1) | (p < 0).any(axis=1) | (np.abs(p.sum(axis=1) - 1) > 1e-9)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise JudgeError(
            f"judge {name!r} forecast {p[row].tolist()} for row {row + 1} of a batch ({int(wrong.sum())} rows in all); "
            "probabilities must be finite, at least 0 and sum to 1"
        )
    return p


def _weights(battles: Battles) -> NDArray[np.float64]:
    weights = battles.weights()
    if not weights.sum() > 0:
        raise DataError("the weights of all rows are 0; at least one row must count")
    return weights


def _calibrate(recipe: Recipe, held: OutOfFold) -> Calibrator:
    calibrator: Calibrator = make_calibrator(recipe.calibration.method)
    return calibrator.fit(held.raw, held.targets, held.weights)


def _facts(battles: Battles, targets: Probabilities) -> dict[str, Any]:
    sources = battles.column("source").value_counts().to_pylist()
    named = {entry["values"]: entry["counts"] for entry in sources if entry["values"] is not None}
    return {
        "rows": len(battles),
        "labels": dict(zip(CLASSES, targets.mean(axis=0).round(6).tolist(), strict=True)),
        "sources": dict(sorted(named.items())),
    }
