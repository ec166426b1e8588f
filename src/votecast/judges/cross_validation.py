"""The loop over folds: fresh members, out-of-fold forecasts, a calibrator fitted on nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from votecast import __version__
from votecast.calibration import Calibrator, make_calibrator
from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.work_folder import begin_work
from votecast.errors import ConfigError, DataError
from votecast.judges.drawing import draw_rows
from votecast.judges.fitted import Fitted, OutOfFold, checked_probabilities
from votecast.judges.folding import Work
from votecast.judges.recipe import Recipe
from votecast.metrics import group_folds
from votecast.models.base import averaged, check_averaged, versions_of
from votecast.models.registry import family
from votecast.splits import Folds, PromptHashes, make_folds
from votecast.splits.settings import only_beyond
from votecast.types import CLASSES, Probabilities, Run

__all__ = [
    "Fitted",
    "OutOfFold",
    "calibration_folds",
    "checked_probabilities",
    "fit_over_folds",
    "fit_with_valid",
    "inputs_of",
]


_OF_THE_WHOLE = {"name", "description", "calibration", "final"}
"""Settings on which no single fold depends: unfinished work goes on when they have changed."""


def fit_over_folds(recipe: Recipe, battles: Battles, folds: Folds | None, run: Run) -> Fitted:
    """Fit one member per fold on the other folds, forecast its fold, calibrate, then fit what will be kept.

    Args:
        recipe: The settings.
        battles: Rows with votes.
        folds: Folds to use; None makes them as the recipe says.
        run: Where unfinished work is kept, and who is told of every step. Folds that lie there whole are taken as they
            are; everything else is done anew.

    Raises:
        DataError: If a row has no vote, or there are too few rows for the folds.
        ConfigError: If the recipe wants a fold that there is not, or the work in `run.folder` is of another recipe.
        JudgeError: If a member forecasts something that is not a probability.
    """
    if recipe.final == "average_weights":
        check_averaged(family(recipe.family)(recipe.model, seed=recipe.seed))
    drawn = draw_rows(battles, recipe.rows, seed=recipe.seed)
    if len(drawn) < len(battles):
        battles, folds = battles.take(drawn), folds and replace(folds, assignment=folds.assignment[drawn])
    targets, weights = battles.targets(), _weights(battles)
    run.progress("finding near-duplicate prompts", 0, 1)
    clusters = prompt_clusters(battles, similarity=recipe.folds.similarity, seed=recipe.seed)
    inputs = inputs_of(battles, folds)
    folds = folds or make_folds(battles, recipe.folds, clusters=clusters)
    chosen = _chosen(recipe.folds.only, folds)
    _take_up(run, recipe, inputs)
    work = Work(recipe, battles, targets, weights, clusters, run)
    refit, steps = recipe.final == "refit", len(chosen) + (recipe.final == "refit")
    parts = []
    for done, (number, train, valid) in enumerate(chosen):
        run.progress("training", done, steps)
        parts.append((number, valid, work.part(f"fold_{number}", train, valid, keep=not refit)))
    kept = [part for _, _, part in parts]
    if refit:
        run.progress("training on all rows", len(parts), steps)
        nothing = np.arange(0)
        kept = [work.part("all", np.arange(len(battles)), nothing, keep=True)]
    run.progress("training", steps, steps)
    held = work.out_of_fold(parts)
    members = [part.member for part in kept if part.member is not None]
    stored = [part.stored for part in kept if part.stored is not None]
    if recipe.final == "average_weights":
        members, stored = [averaged(members)], []
    described = folds.to_dict() | ({} if recipe.folds.only is None else {"only": recipe.folds.only})
    described["seen_prompts"] = sum(int(np.isin(clusters[held], clusters[train]).sum()) for _, train, held in chosen)
    facts = _facts(battles, targets) | {"folds": described, "prompt_clusters": int(clusters.max()) + 1}
    facts |= {"inputs": inputs} | work.cut_facts()
    held_where_given = replace(held, rows=drawn[held.rows])
    hashes = PromptHashes.of(battles, seed=recipe.seed)
    return Fitted(members, _calibrate(recipe, held), held_where_given, hashes, facts, tuple(stored))


def fit_with_valid(recipe: Recipe, battles: Battles, valid: Battles, run: Run) -> Fitted:
    """Fit one member on `battles` and calibrate it on `valid`, which takes the place of folds.

    The judge recognises the prompts of both.

    Raises:
        LeakError: If a prompt of `valid` is among the training prompts.
        ConfigError: If the work in `run.folder` is of another recipe or other data.
    """
    drawn = draw_rows(battles, recipe.rows, seed=recipe.seed)
    if len(drawn) < len(battles):
        battles = battles.take(drawn)
    hashes = PromptHashes.of(battles, seed=recipe.seed)
    hashes.check(valid)
    both = Battles.concat([battles, valid])
    inputs = inputs_of(both, None)
    _take_up(run, recipe, inputs)
    order = np.arange(len(both))
    clusters = prompt_clusters(both, similarity=recipe.folds.similarity, seed=recipe.seed)
    work = Work(recipe, both, both.targets(), _weights(both), clusters, run)
    run.progress("training", 0, 1)
    part = work.part("fold_0", order[: len(battles)], order[len(battles) :], keep=True)
    run.progress("training", 1, 1)
    held = work.out_of_fold([(0, order[len(battles) :], part)])
    seen = np.isin(held.clusters, clusters[: len(battles)])  # near-duplicates; the same prompts were refused
    described = {"method": "given validation rows", "n": 1, "seen_prompts": int(seen.sum())}
    described["seen_clusters"] = np.unique(held.clusters[seen]).tolist()
    facts = _facts(battles, battles.targets()) | {"folds": described}
    facts |= {"inputs": inputs} | work.cut_facts()
    members, stored = [part.member] if part.member is not None else [], [part.stored] if part.stored else []
    return Fitted(members, _calibrate(recipe, held), held, hashes.joined(valid), facts, tuple(stored))


def calibration_folds(held: OutOfFold, seed: int) -> NDArray[np.int64]:
    """Folds over which a calibrator is cross-fitted: those of the judge, or fresh grouped ones after a single split."""
    if len(np.unique(held.fold)) > 1:
        return held.fold
    if len(np.unique(held.clusters)) < 2:
        raise DataError("the held-out rows share one prompt; calibrated figures need at least two different prompts")
    return group_folds(held.clusters, seed=seed)


def inputs_of(battles: Battles, folds: Folds | None) -> dict[str, str | None]:
    """SHA-256 of everything that a fit takes from the battles, and of the folds if these were given.

    Args:
        battles: Cleaned rows with votes.
        folds: Folds that were not made from the recipe.
    """
    digest = hashlib.sha256()
    for values in (battles.ids, battles.content_hashes(), battles.column("source").to_pylist()):
        digest.update(json.dumps(values).encode())
    for array in (battles.targets(), battles.weights()):
        digest.update(np.ascontiguousarray(array).tobytes())
    given = None if folds is None else hashlib.sha256(folds.assignment.astype(np.int64).tobytes()).hexdigest()
    return {"battles": digest.hexdigest(), "folds": given}


def _take_up(run: Run, recipe: Recipe, inputs: dict[str, str | None]) -> None:
    if run.folder is not None:
        made_with = {"votecast": __version__} | versions_of(family(recipe.family))
        parts = {key: value for key, value in recipe.dump().items() if key not in _OF_THE_WHOLE}
        parts["folds"] = {key: value for key, value in parts["folds"].items() if key != "only"}
        begin_work(run.folder, {"recipe": parts, "data": inputs, "versions": made_with})


def _chosen(only: int | None, folds: Folds) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Number, rows to fit on and held-out rows of every fold, or of the one that is wanted."""
    if only is not None and only >= folds.n:
        raise ConfigError(only_beyond(only, folds.n))
    parts = [(number, *rows) for number, rows in enumerate(folds.parts())]
    return parts if only is None else [parts[only]]


def _weights(battles: Battles) -> NDArray[np.float64]:
    weights = battles.weights()
    if not weights.sum() > 0:
        raise DataError("the weights of all rows are 0; at least one row must count")
    return weights


def _calibrate(recipe: Recipe, held: OutOfFold) -> Calibrator:
    calibrator: Calibrator = make_calibrator(recipe.calibration.method)
    return calibrator.fit(held.raw, held.targets, held.weights, clusters=held.clusters)


def _facts(battles: Battles, targets: Probabilities) -> dict[str, Any]:
    sources = battles.column("source").value_counts().to_pylist()
    named = {entry["values"]: entry["counts"] for entry in sources if entry["values"] is not None}
    return {
        "rows": len(battles),
        "labels": dict(zip(CLASSES, targets.mean(axis=0).round(6).tolist(), strict=True)),
        "sources": dict(sorted(named.items())),
    }
