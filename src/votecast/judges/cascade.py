"""Cascades: cheap judges are asked first, and pass on the rows of which they are not sure enough.

This is what `votecast cascade` runs; the family `cascade` holds whole judges and their thresholds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from pydantic import model_validator

from votecast.artifacts import check_free
from votecast.calibration import make_calibrator
from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import ConfigError, DataError, JudgeError, UnscoredRowsError
from votecast.judges.cascade_thresholds import Goal, Routing, Trial, fit_cascade
from votecast.judges.composite import CompositeModel, CompositeSettings, joint_hashes, joint_notes
from votecast.judges.evaluate import evaluate, vote_clusters
from votecast.judges.load import load_judges, load_votes, reading_note
from votecast.judges.out_of_fold import Fitted, OutOfFold, describe_votes, refuse_seen_votes
from votecast.judges.recipe import load_recipe
from votecast.judges.trained import TrainedJudge
from votecast.metrics import Figure, log_loss, paired_gain
from votecast.text.truncation import TruncationReport
from votecast.types import Floats, Ints, Probabilities, Progress, no_progress, swap_columns

SEED: Final = 42
MIN_VOTES: Final = 50
"""Votes below which thresholds are not fitted."""

_PARTS, _PART_ROWS = 8, 128  # the time of a row is the median over parts of the votes


class CascadeSettings(CompositeSettings):
    """Settings of a cascade.

    Args:
        thresholds: For every judge but the last, the entropy of its prediction from which a row is passed on; None
            where none is.
    """

    thresholds: tuple[float | None, ...] = ()

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if len(self.thresholds) != self.judges - 1:
            raise ValueError(
                f"{self.judges} judges have {len(self.thresholds)} thresholds; every judge but the last has one"
            )
        return self

    @property
    def routing(self) -> Routing:
        """Which rows are passed on."""
        return Routing(self.thresholds)


class CascadeModel(CompositeModel):
    """Judges one after the other, from cheap to expensive; the first that is sure enough answers.

    Whether a row is passed on depends on the prediction for that row alone, not on the order of its responses. Later
    judges predict nothing but the rows that reach them.
    """

    settings_type: ClassVar[type[Settings]] = CascadeSettings

    def predict(self, prepared: Battles) -> Probabilities:
        """Return probabilities (n, 3); UnscoredRowsError if a judge cannot score a row that reached it."""
        if not self.judges:
            raise JudgeError("this cascade holds no judges yet; make one with votecast cascade")
        routing, n, rows = self.settings.routing, len(prepared), np.arange(len(prepared))
        out, truncation = np.empty((n, 3)), None  # of every row, that of the judge that answers it
        for stage, judge in enumerate(self.judges):
            try:
                out[rows], cut = judge.predict_with_truncation(prepared if stage == 0 else prepared.take(rows))
            except UnscoredRowsError as error:
                reasons = {int(rows[place]): reason for place, reason in error.reasons.items()}
                raise UnscoredRowsError(reasons, n) from error
            if truncation is None and cut is not None:
                truncation = TruncationReport(np.zeros((n, 3), np.int64), np.zeros((n, 3), np.int64))
            if truncation is not None:  # nothing is counted of rows that were read whole
                truncation.kept[rows], truncation.full[rows] = (0, 0) if cut is None else (cut.kept, cut.full)
            if stage + 1 < len(self.judges):
                rows = rows[routing.passes_on(stage, out[rows])]
            if not len(rows):
                break
        self._truncation = prepared, truncation
        return out

    def truncation(self, prepared: Battles) -> TruncationReport | None:
        """Return the truncation of the judge that answers each row."""
        if self._truncation is None or self._truncation[0] is not prepared:
            self.predict(prepared)
        return None if self._truncation is None else self._truncation[1]


def cascade(
    judges: Sequence[TrainedJudge | str | Path],
    votes: object,
    *,
    max_loss: float | None = None,
    budget: float | None = None,
    out: str | Path | None = None,
    name: str | None = None,
    overwrite: bool = False,
    reader: Mapping[str, object] | None = None,
    seed: int = SEED,
    draws: int = 1000,
    seconds: Sequence[float] | None = None,
    allow_leak: bool = False,
    progress: Progress = no_progress,
) -> TrainedJudge:
    """Make one judge of several: each passes on the rows of which it is not sure enough.

    Every judge predicts all votes, and is timed. The thresholds of the cascade are fitted on all of them; its loss, and
    each point of the frontier, are measured under thresholds that were fitted on other prompts.

    Args:
        judges: Judges, their folders or names, from cheap to expensive; at least two.
        votes: Votes that none of them was trained on: a path, battles, a frame or a list of dicts.
        max_loss: How much log loss the cascade may lose against its last judge; the fastest such cascade is made.
        budget: Or the seconds that 1,000 rows may take; the best such cascade is made.
        out: Folder to save the cascade in; None keeps it in memory.
        name: Name of the cascade.
        overwrite: Whether an existing judge folder may be replaced.
        reader: Options of `read_votes`, where `votes` is a path.
        seed: Seed of the folds and of everything drawn.
        draws: Bootstrap draws for the intervals.
        seconds: Seconds for a row of each judge, where they are known; None measures them, so that they differ a little
            from run to run, and with them the record in the folder.
        allow_leak: Make it although votes share prompts with a judge's training; the figures flatter the cascade then.
        progress: Progress callback.

    Returns:
        The cascade. `judge.figures` are those of thresholds fitted on other prompts; `judge.notes["cascade"]` holds the
        judges with their times, the frontier, the point chosen, and the loss of the whole procedure.

    Raises:
        ArtifactError: If `out` already exists, or there is no such judge.
        ConfigError: If there are fewer than two judges, one is given twice, or a number is out of range.
        DataError: If there are too few votes, or they are all on one prompt.
        LeakError: If votes share prompts with the training of a judge.

    Example:
        >>> judges = ["bundled:baseline", "judges/deberta"]
        >>> fast = cascade(judges, "calibration.csv", max_loss=0.002, out="judges/fast")  # doctest: +SKIP
        >>> fast.notes["cascade"]["measured"]["speed_up"]  # doctest: +SKIP
        1.62
    """
    goal = Goal(max_loss, budget)
    if out is not None:
        check_free(out, overwrite=overwrite, is_folder=True)
    named = load_judges(judges, "a cascade")
    if seconds is not None and (len(seconds) != len(named) or not all(0 < one < np.inf for one in seconds)):
        raise ConfigError(f"seconds are {list(seconds)}; give one number above 0 for each of the {len(named)} judges")
    progress("reading", 0, 1)
    read = load_votes(votes, reader, judges=named.values())
    battles, remarks = _votes_to_fit(read, named, allow_leak=allow_leak)
    trial = _try_judges(named, battles, seconds, seed, progress)

    progress("fitting thresholds", 0, 1)
    rows = np.arange(len(battles))
    path, chosen, routing = fit_cascade(trial, rows, goal, seed)
    judge, stage = _make_judge(named, trial, goal, routing, name or "cascade", seed)
    held = judge.fitted.out_of_fold
    back = swap_columns(held.raw) if held.swapped is None else held.swapped
    figures = evaluate(held.raw, battles, groups=trial.clusters, swapped=back, draws=draws, seed=seed).to_dict()
    points = [_describe_point(trial, stage, draws, seed) | {"notches": list(notches)} for notches, stage in path]
    remarks += _remarks(list(named), trial, points[chosen])
    found = {
        "goal": str(goal),
        "judges": [
            {
                "label": label,
                "name": one.name,
                "hash": one.hash,
                "seconds_per_1000": 1000 * took,
                "log_loss": log_loss(trial.targets, own, trial.weights),
            }
            for (label, one), took, own in zip(named.items(), trial.seconds, trial.predictions, strict=True)
        ],
        "thresholds": list(routing.thresholds),
        "frontier": points,
        "chosen": chosen,
        "measured": _describe_point(trial, stage, draws, seed),
        "rows": len(rows),
        "prompts": int(trial.clusters.max()) + 1,
        "remarks": remarks,
    }
    judge.record(figures=figures, cascade=found, limits=remarks, **joint_notes(named), **reading_note(read))
    progress("fitting thresholds", 1, 1)
    if out is not None:
        judge.save_pretrained(out, overwrite=overwrite)
    return judge


def _make_judge(
    judges: Mapping[str, TrainedJudge], trial: Trial, goal: Goal, routing: Routing, name: str, seed: int
) -> tuple[TrainedJudge, Ints]:
    """Make the cascade; return it with the judge that answers each row under thresholds of other prompts."""
    # the whole procedure, choice and all, runs again on the other folds of each fold, to measure how good it is
    rows = np.arange(len(trial.battles))
    folds = trial.folds(rows, seed)
    routings = [fit_cascade(trial, rows[folds != fold], goal, seed)[2] for fold in range(int(folds.max()) + 1)]
    stage = _answering(routings, folds, trial.predictions)
    p, swapped = trial.predictions[stage, rows], None
    if trial.swapped is not None:
        swapped = trial.swapped[_answering(routings, folds, trial.swapped), rows]
    held = OutOfFold.of_battles(trial.battles, p, fold=folds, clusters=trial.clusters, swapped=swapped)

    values = {"family": "cascade", "name": name, "seed": seed, "calibration": {"method": "none"}}
    recipe = load_recipe(values | {"model": {"judges": len(judges), "thresholds": routing.thresholds}})
    model = CascadeModel(recipe.model, seed=seed, judges=list(judges.values()))
    hashes = joint_hashes(judges.values(), trial.battles, seed)
    facts = describe_votes(trial.battles, trial.targets) | {
        "folds": {"method": "grouped", "n": len(routings), "sizes": np.bincount(folds).tolist()},
        "prompt_clusters": int(trial.clusters.max()) + 1,
    }
    return TrainedJudge.of(recipe, Fitted([model], make_calibrator("none"), held, hashes, facts)), stage


def _answering(routings: Sequence[Routing], folds: Ints, predictions: Floats) -> Ints:
    """Return which judge answers each row, under the routing of its fold."""
    stage = np.zeros(len(folds), dtype=np.int64)
    for fold, routing in enumerate(routings):
        here = folds == fold
        stage[here] = routing.answering(predictions[:, here])
    return stage


def _describe_point(trial: Trial, stage: Ints, draws: int, seed: int) -> dict[str, Any]:
    """Describe the shares, loss and time of a cascade in which these judges answer."""
    t, w, last = trial.targets, trial.weights, trial.predictions[-1]
    p = trial.predictions[stage, np.arange(len(stage))]
    gain, low, high = paired_gain(t, p, last, w, groups=trial.clusters, draws=draws, seed=seed)
    took = trial.time(stage)
    return {
        "goes_on": [float((stage > place).mean()) for place in range(len(trial.predictions) - 1)],
        "log_loss": log_loss(t, p, w),
        "cost": Figure(0.0 - gain, 0.0 - high, 0.0 - low).to_dict(),
        "seconds_per_1000": 1000 * took,
        "speed_up": trial.seconds[-1] / took,
    }


def _remarks(labels: Sequence[str], trial: Trial, point: Mapping[str, Any]) -> list[str]:
    """List what a user should know about the chosen point."""
    seconds, first, last = trial.seconds, labels[0], labels[-1]
    found = [
        f"{labels[place]} takes {1000 * seconds[place]:.3g} s for 1,000 rows and comes before "
        f"{labels[place + 1]}, which takes {1000 * seconds[place + 1]:.3g} s: a cascade saves time where the "
        "faster judge comes first"
        for place in range(len(labels) - 1)
        if seconds[place] >= seconds[place + 1]
    ]
    if not point["goes_on"][0]:
        found.append(f"no row is passed on: {first} alone reaches the goal, and is the simpler judge to use")
    if min(point["goes_on"]) == 1:
        found.append(f"every row is passed on: only {last} reaches the goal, and alone it is faster than this cascade")
    if point["speed_up"] <= 1 and max(point["goes_on"]) > 0 and min(point["goes_on"]) < 1:
        found.append(f"it is not faster than {last} alone, which is the better judge to use")
    best = min(range(len(labels)), key=lambda place: float(trial.losses[place] @ trial.weights))
    if best != len(labels) - 1:
        found.append(f"{last}, against which the loss is counted, is not the best on these votes: {labels[best]} is")
    return found


def _votes_to_fit(
    battles: Battles, judges: Mapping[str, TrainedJudge], *, allow_leak: bool
) -> tuple[Battles, list[str]]:
    """Return the votes that count, and remarks on the others and on leaks; refuse votes that a judge has seen."""
    battles.targets()  # raises for a row without a vote
    rows, remarks = np.flatnonzero(battles.weights() > 0), []
    if len(battles) and not len(rows):
        raise DataError("the weights of all calibration votes are 0; at least some must count")
    if len(rows) < MIN_VOTES:
        raise DataError(f"{len(rows)} calibration votes are too few to fit thresholds on; give at least {MIN_VOTES}")
    if len(rows) < len(battles):
        remarks.append(f"{len(battles) - len(rows):,} calibration votes of weight 0 are left out")
        battles = battles.take(rows)
    for label, judge in judges.items():
        if seen := refuse_seen_votes(judge.prompt_hashes, battles, label, allow=allow_leak):
            remarks.append(f"{seen}; the figures flatter the cascade")
        if judge.prompt_hashes is None:
            remarks.append(f"leaks are not checked in {label}: it keeps no hashes of its training prompts")
    return battles, remarks


def _try_judges(
    judges: Mapping[str, TrainedJudge],
    battles: Battles,
    seconds: Sequence[float] | None,
    seed: int,
    progress: Progress,
) -> Trial:
    """Let every judge predict the votes, and time it."""
    clusters = vote_clusters(battles, seed)
    if clusters.max() == 0:
        raise DataError("all calibration votes are on one prompt; give votes on many, so that thresholds can be tested")
    predictions, took = [], []
    for number, (label, judge) in enumerate(judges.items()):
        progress(f"asking {label}", number, len(judges))
        rows = max(1, min(_PART_ROWS, len(battles) // _PARTS))
        # the first call loads weights and compiles, which no later row waits for
        judge.predict_proba(battles[:rows])
        found, times = [], []
        for start in range(0, len(battles), rows):
            part = battles[start : start + rows]
            began = time.perf_counter()
            found.append(judge.predict_proba(part))
            times.append((time.perf_counter() - began) / len(part))
        predictions.append(np.concatenate(found))
        took.append(statistics.median(times))
    swapped = None
    if any(judge.order_matters for judge in judges.values()):
        swapped = np.stack([judge.predict_proba(battles.swapped()) for judge in judges.values()])
    times_of = tuple(took if seconds is None else map(float, seconds))
    return Trial(battles, np.stack(predictions), swapped, times_of, clusters)
