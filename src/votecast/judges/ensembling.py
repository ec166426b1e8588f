"""From judges to an ensemble: fitted on rows that none of them had seen, measured on other prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from votecast.artifacts import check_free
from votecast.calibration import make_calibrator
from votecast.data.frames import as_battles
from votecast.data.reader import read_votes
from votecast.errors import ConfigError, DataError
from votecast.judges.asking import unknown_prompts
from votecast.judges.combining import ROWS_FOR_A_NUMBER, Combiner, Method, Stacker, combiner
from votecast.judges.ensemble import EnsembleModel
from votecast.judges.evaluate import evaluate
from votecast.judges.load import load_judges
from votecast.judges.out_of_fold import Fitted, OutOfFold
from votecast.judges.recipe import Recipe, load_recipe
from votecast.judges.sharing import Shared, asked_rows, shared_rows
from votecast.judges.trained import TrainedJudge
from votecast.metrics import (
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
from votecast.splits import PromptHashes, union_hashes
from votecast.types import CLASSES, Probabilities, Progress, no_progress, swap_columns

SEED: Final = 42
_MEASURED: Final = {"log_loss": log_loss, "accuracy": accuracy, "brier": brier_score, "ece": calibration_error}

Floats = NDArray[np.float64]


def ensemble(
    judges: Sequence[TrainedJudge | str | Path],
    *,
    method: Method = "weights",
    stacker: Stacker = "logistic",
    votes: Any = None,
    out: str | Path | None = None,
    name: str | None = None,
    overwrite: bool = False,
    reader: Mapping[str, Any] | None = None,
    seed: int = SEED,
    draws: int = 1000,
    progress: Progress = no_progress,
) -> TrainedJudge:
    """Make one judge of several.

    It is fitted on the out-of-fold rows that the judges share, each judge calibrated without the row it forecasts.
    Its own figures come from combiners that were fitted on other prompts than those they are measured on.

    Args:
        judges: Judges, their folders or names; at least two.
        method: mean, weights, stack or greedy; see `votecast.judges.combining`.
        stacker: What is stacked on top under stack.
        votes: Votes that none of the judges has seen, in place of the rows they share: a path, battles, a frame or a
            list of dicts.
        out: Folder to save the ensemble in; None keeps it in memory.
        name: What it is called.
        overwrite: Whether an existing judge folder may be replaced.
        reader: Options of `read_votes`, where `votes` is a path.
        seed: Seed of the folds and of everything drawn.
        draws: Bootstrap draws for the intervals.
        progress: Told of every step.

    Returns:
        The ensemble. `judge.figures` are its out-of-fold figures, and `judge.notes["ensemble"]` holds the judges, what
        was learnt, the rows, and the paired gain over each judge.

    Raises:
        ArtifactError: If `out` is in the way, or there is no such judge.
        ConfigError: If there are fewer than two judges, or one is given twice.
        DataError: If the judges have no row in common, or there are fewer votes than numbers to fit.
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
    shared, report = _rows(named, votes, dict(reader or {}), seed)
    progress("joining judges", 1, 3)
    made = _combined(named, shared, recipe)
    progress("measuring", 2, 3)
    judge = made.judge()
    figures = made.figures(draws)
    judge.record(figures=figures, **made.notes(figures, draws), **report)
    progress("measuring", 3, 3)
    if out is not None:
        judge.save_pretrained(out, overwrite=overwrite)
    return judge


def _rows(
    judges: Mapping[str, TrainedJudge], votes: Any, reader: dict[str, Any], seed: int
) -> tuple[Shared, dict[str, Any]]:
    """The rows to fit and measure on, and how they were read."""
    if votes is None:
        if reader:
            raise ConfigError(f"{', '.join(reader)} is about a file of votes, and none is given; name one with --input")
        return shared_rows(judges), {}
    if not isinstance(votes, str | Path):
        return asked_rows(judges, as_battles(votes), seed=seed), {}
    numbers = tuple(dict.fromkeys(name for judge in judges.values() for name in judge.numbers))
    read = read_votes(votes, **({"labels": "required"} | ({"numbers": numbers} if numbers else {}) | reader))
    report = {} if read.report is None else {"reading": read.report.to_dict() | {"path": Path(read.report.path).name}}
    return asked_rows(judges, read, seed=seed), report


def _combined(judges: dict[str, TrainedJudge], shared: Shared, recipe: Recipe) -> _Made:
    """A combiner fitted on all rows, and forecasts of each fold by one of the others."""
    model: Any = recipe.model
    kind, seed = combiner(model.method, model.stacker), recipe.seed
    folds = group_folds(shared.clusters, seed=seed)
    _check_enough(shared, folds, kind.parameters(len(judges)), model.method)

    def _fitted(rows: NDArray[np.bool_]) -> Combiner:
        parts = (shared.targets[rows], shared.weights[rows], shared.clusters[rows])
        return kind().fit(shared.forecasts[:, rows], *parts, seed)

    p, swapped = np.empty_like(shared.targets), None if shared.swapped is None else np.empty_like(shared.targets)
    for fold in np.unique(folds):
        held = folds == fold
        part = _fitted(~held if kind.parameters(len(judges)) else held)
        p[held] = part.predict(shared.forecasts[:, held])
        if swapped is not None and shared.swapped is not None:
            swapped[held] = part.predict(shared.swapped[:, held])
    return _Made(judges, shared, recipe, _fitted(np.ones(len(shared), dtype=bool)), folds, p, swapped)


def _check_enough(shared: Shared, folds: NDArray[np.int64], parameters: int, method: str) -> None:
    """Refuse rows from which the combiner cannot be learnt, fold by fold."""
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
    least, needed = min(int(counted[folds != fold].sum()) for fold in np.unique(folds)), parameters * ROWS_FOR_A_NUMBER
    if least < needed:
        raise DataError(
            f"{method} fits {parameters} numbers and needs {needed} rows in every part it is fitted on; the smallest "
            f"has {least} of {len(shared)}: give more votes with --input, or use --method weights, which asks less"
        )


@dataclass(frozen=True)
class _Made:
    """An ensemble and the rows it was fitted on, each forecast by a combiner that had not seen its prompt."""

    judges: dict[str, TrainedJudge]
    shared: Shared
    recipe: Recipe
    combiner: Combiner
    folds: NDArray[np.int64]
    p: Probabilities
    swapped: Probabilities | None

    def judge(self) -> TrainedJudge:
        """The judge, not yet measured; judges without a share in it are left out."""
        shares, every = self.combiner.shares(), list(self.judges.values())
        kept = [place for place in range(len(every)) if shares is None or shares[place] > 0]
        recipe = load_recipe(self.recipe, {"model.judges": len(kept)})
        inside = [every[place] for place in kept]
        model = EnsembleModel(recipe.model, seed=recipe.seed, judges=inside, combiner=self.combiner.only(kept))
        hashes = self._with_votes(union_hashes([judge.prompt_hashes for judge in inside]))
        return TrainedJudge.of(recipe, Fitted([model], make_calibrator("none"), self._held(), hashes, self._facts()))

    def figures(self, draws: int) -> dict[str, Any]:
        """Every figure, on rows that neither the judges nor the combiner had seen."""
        shared, seed = self.shared, self.recipe.seed
        swapped = swap_columns(self.p) if self.swapped is None else self.swapped
        options: dict[str, Any] = {"groups": shared.clusters, "swapped": swapped, "draws": draws, "seed": seed}
        if shared.battles is not None:
            return evaluate(self.p, shared.battles, name=self.recipe.name, **options).to_dict()
        return evaluate_probabilities(shared.targets, self.p, weights=shared.weights, **options).to_dict()

    def notes(self, figures: Mapping[str, Any], draws: int) -> dict[str, Any]:
        """What is recorded beside the figures: judges, what was learnt, rows, gains, limits, origins."""
        binary = bool(figures["settings"]["binary"])
        members = [self._member(place, draws, binary=binary) for place in range(len(self.judges))]
        best = min(members, key=lambda member: member["metrics"]["log_loss"])
        found = {
            "method": self.recipe.model.method,  # type: ignore[attr-defined]
            "learnt": self.combiner.described(),
            "members": members,
            "best": best["label"],
            "better": (best["gain"]["low"] or 0) > 0,
            "rows": self.shared.about | {"fitted": len(self.shared), "prompts": int(self.shared.clusters.max()) + 1},
        }
        if found["method"] == "stack":
            found["stacker"] = self.recipe.model.stacker  # type: ignore[attr-defined]
        origins = [entry for judge in self.judges.values() for entry in judge.notes.get("data_sources", [])]
        unique = [entry for place, entry in enumerate(origins) if entry not in origins[:place]]
        unknown = [label for label, judge in self.judges.items() if unknown_prompts(judge)]
        notes = {"ensemble": found, "limits": _limits(found, self.shared, self.judges, unknown)}
        others = {"data_sources": unique, "unknown_prompts": unknown}
        return notes | {name: value for name, value in others.items() if value}

    def _member(self, place: int, draws: int, *, binary: bool) -> dict[str, Any]:
        """What is said of one judge: who it is, its share, its figures, and what the ensemble gains over it."""
        shared, (label, judge) = self.shared, list(self.judges.items())[place]
        shares, own, p = self.combiner.shares(), shared.forecasts[place], self.p
        if binary:
            own, p = without_ties(own), without_ties(p)
        gain = paired_gain(
            shared.targets, p, own, shared.weights, groups=shared.clusters, draws=draws, seed=self.recipe.seed
        )
        figures = {name: float(measure(shared.targets, own, shared.weights)) for name, measure in _MEASURED.items()}
        return {
            "label": label,
            "name": judge.name,
            "hash": judge.hash,
            "family": judge.recipe.family,
            "base": judge.fitted.members[0].base,
            "weight": None if shares is None else shares[place],
            "trained_on": judge.fitted.facts.get("rows"),
            "metrics": figures,
            "gain": Figure(*gain).to_dict(),
        }

    @property
    def has_learnt(self) -> bool:
        """Whether anything was fitted on the rows."""
        return bool(self.combiner.parameters(len(self.judges)))

    def _with_votes(self, hashes: PromptHashes | None) -> PromptHashes | None:
        votes = self.shared.battles
        if votes is None or not self.has_learnt:
            return hashes
        return PromptHashes.of(votes, seed=self.recipe.seed) if hashes is None else hashes.joined(votes)

    def _held(self) -> OutOfFold:
        """The rows; none of further votes on which nothing was fitted, so that nothing is fitted on them unnoticed."""
        shared = self.shared
        if shared.battles is not None and not self.has_learnt:
            return OutOfFold.none()
        return OutOfFold(
            rows=np.arange(len(shared)),
            ids=shared.ids,
            content=shared.content,
            fold=self.folds,
            raw=self.p,
            targets=shared.targets,
            weights=shared.weights,
            clusters=shared.clusters,
            swapped=self.swapped,
            swapped_content=shared.turned,
        )

    def _facts(self) -> dict[str, Any]:
        shared, sizes = self.shared, np.bincount(self.folds).tolist()
        sources: dict[str, int] = {}
        if shared.battles is not None:
            counted = shared.battles.column("source").value_counts().to_pylist()
            sources = {entry["values"]: entry["counts"] for entry in counted if entry["values"] is not None}
        return {
            "rows": len(shared),
            "labels": dict(zip(CLASSES, shared.targets.mean(axis=0).round(6).tolist(), strict=True)),
            "sources": dict(sorted(sources.items())),
            "folds": {"method": "grouped", "n": len(sizes), "sizes": sizes, "notes": [], "seen_prompts": 0},
            "prompt_clusters": int(shared.clusters.max()) + 1,
        }


def _limits(
    found: Mapping[str, Any], shared: Shared, judges: Mapping[str, TrainedJudge], unknown: Sequence[str]
) -> list[str]:
    """What is known to be wrong with an ensemble, and with each of its judges."""
    best = next(member for member in found["members"] if member["label"] == found["best"])
    limits = []
    if not found["better"]:
        gain = best["gain"]
        limits.append(
            f"not better than {best['label']}, its best judge alone, beyond what chance could do: it gains "
            f"{gain['value']:+.4f} in log loss, 95 % interval {_end(gain['low'])} to {_end(gain['high'])}"
        )
    absent = [name for name, mass in zip(CLASSES, shared.weights @ shared.targets, strict=True) if mass <= 0]
    if absent:
        limits.append(f"no vote for {' or '.join(absent)} is among the rows it was fitted on")
    if unknown:
        limits.append(f"on which prompts {', '.join(unknown)} was trained is not known: leaks of these are not seen")
    limits += [
        f"{label} was calibrated on votes with prompts of its own training, so that its out-of-fold forecasts, and "
        "what is fitted on them, flatter it"
        for label, judge in judges.items()
        if shared.battles is None and any(entry.get("leaked") for entry in judge.notes.get("calibration", []))
    ]
    return limits + [f"{label}: {limit}" for label, judge in judges.items() for limit in judge.notes.get("limits", [])]


def _end(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.4f}"
