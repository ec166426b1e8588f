"""Ensembles: one judge of several, fitted on rows that none of them had seen, measured on other prompts.

This is what `votecast ensemble` runs; the family `ensemble` holds whole judges under a combiner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from votecast.artifacts import check_free
from votecast.calibration import make_calibrator
from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import ConfigError, DataError, JudgeError
from votecast.judges.combiners import ROWS_PER_PARAMETER, Combiner, Method, Stacker, combiner
from votecast.judges.composite import CompositeModel, CompositeSettings, joint_hashes, joint_notes
from votecast.judges.evaluate import evaluate
from votecast.judges.load import load_judges, load_votes, reading_note
from votecast.judges.out_of_fold import Fitted, OutOfFold, describe_votes
from votecast.judges.predict_batch import unknown_prompts
from votecast.judges.recipe import Recipe, load_recipe
from votecast.judges.shared_rows import Shared, predict_rows, shared_rows
from votecast.judges.trained import TrainedJudge
from votecast.metrics import (
    Evaluation,
    Figure,
    accuracy,
    brier_score,
    calibration_error,
    evaluate_probabilities,
    group_folds,
    log_loss,
    paired_gain,
    without_ties,
)
from votecast.types import CLASSES, Ints, Probabilities, Progress, no_progress, swap_columns

SEED: Final = 42
_MEASURED: Final = {"log_loss": log_loss, "accuracy": accuracy, "brier": brier_score, "ece": calibration_error}


class EnsembleSettings(CompositeSettings):
    """Settings of an ensemble.

    Args:
        method: How the predictions are combined: mean, weights, stack or greedy.
        stacker: Which model is stacked on top under stack: logistic or lightgbm.
    """

    method: Method = "mean"
    stacker: Stacker = "logistic"


class EnsembleModel(CompositeModel):
    """Judges under a combiner.

    Args:
        settings: Number of judges, and how they are combined.
        seed: Seed of whatever the combiner draws.
        judges: The judges, fitted.
        combiner: Combines their predictions; fitted.
    """

    settings_type: ClassVar[type[Settings]] = EnsembleSettings
    packages: ClassVar[tuple[str, ...]] = ("lightgbm",)

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        seed: int = 0,
        judges: Sequence[TrainedJudge] = (),
        combiner: Combiner | None = None,
    ) -> None:
        super().__init__(settings, seed=seed, judges=judges)
        self.combiner = combiner

    def predict(self, prepared: Battles) -> Probabilities:
        """Return probabilities of shape (n, 3); JudgeError if it holds no judges."""
        if self.combiner is None:
            raise JudgeError("this ensemble holds no judges yet; make one with votecast ensemble")
        return self.combiner.predict(self.predict_each(prepared))

    def save(self, folder: Path) -> None:
        """Write every judge into a folder of its own, and the combiner beside."""
        super().save(folder)
        if self.combiner is not None:
            self.combiner.save(folder)

    def _restore(self, folder: Path) -> None:
        super()._restore(folder)
        self.combiner = combiner(self.settings.method, self.settings.stacker).load(folder)


def ensemble(
    judges: Sequence[TrainedJudge | str | Path],
    *,
    method: Method = "weights",
    stacker: Stacker = "logistic",
    votes: object = None,
    out: str | Path | None = None,
    name: str | None = None,
    overwrite: bool = False,
    reader: Mapping[str, object] | None = None,
    seed: int = SEED,
    draws: int = 1000,
    progress: Progress = no_progress,
) -> TrainedJudge:
    """Make one judge of several.

    It is fitted on the out-of-fold rows that the judges share, each judge calibrated without the row it predicts.
    Its own figures come from combiners that were fitted on other prompts than those they are measured on.

    Args:
        judges: Judges, their folders or names; at least two.
        method: mean, weights, stack or greedy; see `votecast.judges.combiners`.
        stacker: Which model is stacked on top under stack.
        votes: Votes that none of the judges has seen, in place of the rows they share: a path, battles, a frame or a
            list of dicts.
        out: Folder to save the ensemble in; None keeps it in memory.
        name: What it is called.
        overwrite: Whether an existing judge folder may be replaced.
        reader: Options of `read_votes`, where `votes` is a path.
        seed: Seed of the folds and of everything drawn.
        draws: Bootstrap draws for the intervals.
        progress: Progress callback.

    Returns:
        The ensemble. `judge.figures` are its out-of-fold figures, and `judge.notes["ensemble"]` holds the judges, what
        was fitted, the rows, and the paired gain over each judge.

    Raises:
        ArtifactError: If `out` already exists, or there is no such judge.
        ConfigError: If there are fewer than two judges, or one is given twice.
        DataError: If the judges have no row in common, or there are too few votes for the numbers to fit.
        LeakError: If `votes` share prompts with the training of a judge.

    Example:
        >>> from votecast.data.simulation import simulate
        >>> battles, truth = next(simulate(rows=300, seed=0, batch=300))
        >>> each = [TrainedJudge("baseline", {"folds.n": 2, "seed": seed}).fit(battles) for seed in (1, 2)]
        >>> both = ensemble(each, method="mean")
        >>> both.notes["ensemble"]["rows"]["common"], both.predict_proba(battles).shape
        (300, (300, 3))
    """
    if out is not None:
        check_free(out, overwrite=overwrite, is_folder=True)
    named = load_judges(judges, "an ensemble")
    values = {"family": "ensemble", "name": name or "ensemble", "seed": seed, "calibration": {"method": "none"}}
    recipe = load_recipe(values | {"model": {"judges": len(named), "method": method, "stacker": stacker}})
    progress("finding rows that no judge has seen", 0, 3)
    shared, note = _rows_to_fit(named, votes, reader, seed)
    progress("joining judges", 1, 3)
    judge, fitted, p, swapped = _join(named, shared, combiner(method, stacker), recipe)

    progress("measuring", 2, 3)
    measured = _measure(shared, p, swapped, draws, recipe)
    weights: Sequence[float | None] = fitted.shares() or [None] * len(named)
    members = [
        _describe_member(label, one, own, shared, p, measured) | {"weight": weight}
        for (label, one), own, weight in zip(named.items(), shared.predictions, weights, strict=True)
    ]
    best = min(members, key=lambda member: member["metrics"]["log_loss"])
    better = (best["gain"]["low"] or 0) > 0
    found = {
        "method": method,
        "learnt": fitted.described(),
        "members": members,
        "best": best["label"],
        "better": better,
        "rows": shared.about | {"fitted": len(shared), "prompts": int(shared.clusters.max()) + 1},
    } | ({"stacker": stacker} if method == "stack" else {})
    limits = _limits(best, shared, named, better=better)
    judge.record(figures=measured.to_dict(), ensemble=found, limits=limits, **joint_notes(named), **note)
    progress("measuring", 3, 3)
    if out is not None:
        judge.save_pretrained(out, overwrite=overwrite)
    return judge


def _rows_to_fit(
    judges: Mapping[str, TrainedJudge], votes: object, reader: Mapping[str, object] | None, seed: int
) -> tuple[Shared, dict[str, object]]:
    """Return rows that no judge has seen, those the judges share or votes, and the note on how votes were read."""
    if votes is not None:
        battles = load_votes(votes, reader, judges=judges.values())
        return predict_rows(judges, battles, seed=seed), reading_note(battles)
    if reader:
        raise ConfigError(f"{', '.join(reader)} is about a file of votes, and none is given; name one with --input")
    return shared_rows(judges), {}


def _join(
    judges: Mapping[str, TrainedJudge], shared: Shared, kind: type[Combiner], recipe: Recipe
) -> tuple[TrainedJudge, Combiner, Probabilities, Probabilities | None]:
    """Fit a combiner on all rows; return the ensemble, the combiner, and cross-fitted predictions in both orders."""
    seed, parameters = recipe.seed, kind.parameters(len(judges))
    folds = group_folds(shared.clusters, seed=seed)
    _check_enough_rows(shared, folds, parameters, kind.method)
    p, swapped = _crossfit_combiner(kind, shared, folds, seed)
    # indexed like the folds: another layout in memory would change the last digits of matrix products
    every_row = np.ones(len(shared), dtype=bool)
    fitted = kind().fit(shared.predictions[:, every_row], shared.targets, shared.weights, shared.clusters, seed)
    # a judge without weight need not be asked, and is left out of the folder
    shares = fitted.shares()
    kept = [place for place in range(len(judges)) if shares is None or shares[place] > 0]
    inside = [list(judges.values())[place] for place in kept]
    recipe = load_recipe(recipe, {"model.judges": len(kept)})
    model = EnsembleModel(recipe.model, seed=seed, judges=inside, combiner=fitted.only(kept))
    # a combiner without parameters has learned nothing from further votes, and keeps no rows of them
    held = shared.out_of_fold(p, swapped, folds) if parameters or shared.battles is None else OutOfFold.none()
    hashes = joint_hashes(inside, shared.battles if parameters else None, seed)
    sizes = np.bincount(folds).tolist()
    facts = describe_votes(shared.battles, shared.targets) | {
        "folds": {"method": "grouped", "n": len(sizes), "sizes": sizes, "notes": [], "seen_prompts": 0},
        "prompt_clusters": int(shared.clusters.max()) + 1,
    }
    return TrainedJudge.of(recipe, Fitted([model], make_calibrator("none"), held, hashes, facts)), fitted, p, swapped


def _measure(shared: Shared, p: Probabilities, swapped: Probabilities | None, draws: int, recipe: Recipe) -> Evaluation:
    """Measure cross-fitted predictions; with slices and baselines where the rows are at hand."""
    seed, back = recipe.seed, swap_columns(p) if swapped is None else swapped
    if shared.battles is not None:
        rows, name = shared.battles, recipe.name
        return evaluate(p, rows, groups=shared.clusters, swapped=back, draws=draws, seed=seed, name=name)
    return evaluate_probabilities(
        shared.targets, p, groups=shared.clusters, weights=shared.weights, swapped=back, draws=draws, seed=seed
    )


def _check_enough_rows(shared: Shared, folds: Ints, parameters: int, method: str) -> None:
    """Refuse rows to which the combiner cannot be fitted, fold by fold."""
    counted = shared.weights > 0
    if not counted.any():
        raise DataError("the weights of all rows are 0; at least one row must count")
    if not parameters:
        return
    if len(np.unique(folds)) < 2:
        raise DataError(
            f"the {len(shared)} rows share one prompt, and {method} is measured on other prompts than it is fitted on; "
            "give votes on at least two different prompts with --input, or use --method mean"
        )
    least, needed = min(int(counted[folds != fold].sum()) for fold in np.unique(folds)), parameters * ROWS_PER_PARAMETER
    if least < needed:
        raise DataError(
            f"{method} fits {parameters} numbers and needs {needed} rows in every part it is fitted on; the smallest "
            f"has {least} of {len(shared)}: give more votes with --input, or use --method weights, which needs fewer"
        )


def _crossfit_combiner(
    kind: type[Combiner], shared: Shared, folds: Ints, seed: int
) -> tuple[Probabilities, Probabilities | None]:
    """Predict each fold, in both orders, by a combiner fitted on the others."""
    p, swapped = np.empty_like(shared.targets), None if shared.swapped is None else np.empty_like(shared.targets)
    for fold in np.unique(folds):
        held = folds == fold
        # what has no parameters is fitted on the fold itself: there may be no other
        rows = ~held if kind.parameters(len(shared.predictions)) else held
        parts = shared.predictions[:, rows], shared.targets[rows], shared.weights[rows], shared.clusters[rows]
        part = kind().fit(*parts, seed)
        p[held] = part.predict(shared.predictions[:, held])
        if swapped is not None and shared.swapped is not None:
            swapped[held] = part.predict(shared.swapped[:, held])
    return p, swapped


def _describe_member(
    label: str, judge: TrainedJudge, own: Probabilities, shared: Shared, p: Probabilities, measured: Evaluation
) -> dict[str, Any]:
    """Describe one judge: its figures, and what the ensemble gains over it."""
    if measured.settings["binary"]:
        own, p = without_ties(own), without_ties(p)
    draws, seed = int(measured.settings["draws"]), int(measured.settings["seed"])
    gain = paired_gain(shared.targets, p, own, shared.weights, groups=shared.clusters, draws=draws, seed=seed)
    return {
        "label": label,
        "name": judge.name,
        "hash": judge.hash,
        "family": judge.recipe.family,
        "base": judge.fitted.members[0].base,
        "trained_on": judge.fitted.facts.get("rows"),
        "metrics": {name: float(measure(shared.targets, own, shared.weights)) for name, measure in _MEASURED.items()},
        "gain": Figure(*gain).to_dict(),
    }


def _limits(best: Mapping[str, Any], shared: Shared, judges: Mapping[str, TrainedJudge], *, better: bool) -> list[str]:
    """List the known limits of an ensemble and of its judges."""
    limits = []
    if not better:
        gain = best["gain"]
        low, high = ("unknown" if end is None else f"{end:+.4f}" for end in (gain["low"], gain["high"]))
        limits.append(
            f"no better than {best['label']}, its best judge alone, beyond chance: it gains {gain['value']:+.4f} in "
            f"log loss, 95 % interval {low} to {high}"
        )
    absent = [name for name, mass in zip(CLASSES, shared.weights @ shared.targets, strict=True) if mass <= 0]
    if absent:
        limits.append(f"no vote for {' or '.join(absent)} is among the rows it was fitted on")
    if unknown := [label for label, judge in judges.items() if unknown_prompts(judge)]:
        limits.append(f"the training prompts of {', '.join(unknown)} are unknown, so that their leaks are not found")
    limits += [
        f"{label} was calibrated on votes with prompts of its own training, which flatters its out-of-fold predictions "
        "and what is fitted on them"
        for label, judge in judges.items()
        if shared.battles is None and any(entry.get("leaked") for entry in judge.notes.get("calibration", []))
    ]
    return limits + [f"{label}: {limit}" for label, judge in judges.items() for limit in judge.notes.get("limits", [])]
