"""From judges to a cascade: who answers which rows, fitted on votes none had seen, and what that costs and saves."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from votecast.artifacts import check_free
from votecast.calibration import make_calibrator
from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.data.reader import read_votes
from votecast.errors import ConfigError, DataError, LeakError
from votecast.judges.asking import unknown_prompts
from votecast.judges.cascade import CascadeModel
from votecast.judges.evaluate import evaluate, vote_clusters
from votecast.judges.frontier import Asked, Goal, Ints, Notches, choose, frontier
from votecast.judges.load import load_judges
from votecast.judges.out_of_fold import Fitted, OutOfFold
from votecast.judges.recipe import load_recipe
from votecast.judges.trained import TrainedJudge
from votecast.metrics import Figure, log_loss, paired_gain
from votecast.models.routing import Plan, fit_plan
from votecast.splits import PromptHashes, union_hashes
from votecast.types import CLASSES, Probabilities, Progress, no_progress, swap_columns

SEED: Final = 42
FEWEST: Final = 50
"""Votes below which thresholds are not fitted."""

_CHUNKS, _CHUNK_ROWS = 8, 128
_NAMED = 5

Floats = NDArray[np.float64]


def cascade(
    judges: Sequence[TrainedJudge | str | Path],
    votes: Any,
    *,
    max_loss: float | None = None,
    budget: float | None = None,
    out: str | Path | None = None,
    name: str | None = None,
    overwrite: bool = False,
    reader: Mapping[str, Any] | None = None,
    seed: int = SEED,
    draws: int = 1000,
    seconds: Sequence[float] | None = None,
    allow_leak: bool = False,
    progress: Progress = no_progress,
) -> TrainedJudge:
    """Make one judge of several: the cheap one is asked first, and passes on the rows of which it is not sure enough.

    Every judge is asked for all votes, and timed. Scores and thresholds of the cascade are fitted on all of them; what
    is said of its loss, and of each point of the frontier, comes from thresholds that were fitted on other prompts.

    Args:
        judges: Judges, their folders or names, from cheap to dear; at least two.
        votes: Votes that none of them was trained on: a path, battles, a frame or a list of dicts.
        max_loss: How much log loss the cascade may lose against its last judge; the fastest such cascade is made.
        budget: Or the seconds that 1,000 rows may take; the best such cascade is made.
        out: Folder to save the cascade in; None keeps it in memory.
        name: What it is called.
        overwrite: Whether an existing judge folder may be replaced.
        reader: Options of `read_votes`, where `votes` is a path.
        seed: Seed of the folds and of everything drawn.
        draws: Bootstrap draws for the intervals.
        seconds: Seconds for a row of each judge, where they are known; measured where None, so that they differ a
            little from run to run, and with them the record in the folder.
        allow_leak: Go on although votes share prompts with a judge's training; the figures flatter the cascade then.
        progress: Told of every step.

    Returns:
        The cascade. `judge.figures` are those of thresholds fitted on other prompts; `judge.notes["cascade"]` holds
        the judges with their times, the frontier, the point chosen, and the loss of the whole procedure.

    Raises:
        ArtifactError: If `out` is in the way, or there is no such judge.
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
    battles, uncounted = _counted(_read(votes, named, dict(reader or {})))
    leaks = _leaks(named, battles, allow_leak=allow_leak)
    asked = _ask(named, battles, seconds, seed, progress)
    progress("fitting thresholds", 0, 1)
    made = _Made(named, asked, goal, seed, draws)
    judge = made.judge(name or "cascade")
    judge.record(figures=made.figures(), **made.notes(uncounted + leaks))
    if battles.report is not None:
        judge.record(reading=battles.report.to_dict() | {"path": Path(battles.report.path).name})
    progress("fitting thresholds", 1, 1)
    if out is not None:
        judge.save_pretrained(out, overwrite=overwrite)
    return judge


@dataclass(frozen=True)
class _Made:
    """A cascade, and what can be said of it."""

    judges: Mapping[str, TrainedJudge]
    asked: Asked
    goal: Goal
    seed: int
    draws: int

    @cached_property
    def rows(self) -> Ints:
        """All rows."""
        return np.arange(len(self.asked.battles))

    @cached_property
    def path(self) -> list[tuple[Notches, Ints]]:
        """The frontier on all rows."""
        return frontier(self.asked, self.rows, self.seed)

    @cached_property
    def chosen(self) -> int:
        """The point that reaches the goal."""
        return choose(self.asked, self.rows, self.path, self.goal)

    @cached_property
    def plan(self) -> Plan:
        """Thresholds from all rows."""
        return fit_plan(self.asked.forecasts, self.path[self.chosen][0])

    @cached_property
    def folds(self) -> Ints:
        """Folds of all rows."""
        return self.asked.folds(self.rows, self.seed)

    @cached_property
    def plans(self) -> list[Plan]:
        """For every fold, the thresholds where the whole procedure, choice and all, was run on the others."""
        plans = []
        for fold in range(int(self.folds.max()) + 1):
            others = self.rows[self.folds != fold]
            path = frontier(self.asked, others, self.seed)
            notches = path[choose(self.asked, others, path, self.goal)][0]
            plans.append(fit_plan(self.asked.forecasts[:, others], notches))
        return plans

    @cached_property
    def stage(self) -> Ints:
        """Who answers each row under the thresholds of the other folds."""
        return self._answering(self.asked.forecasts)

    def judge(self, name: str) -> TrainedJudge:
        """The cascade, not yet measured."""
        about = {"family": "cascade", "name": name, "seed": self.seed, "calibration": {"method": "none"}}
        recipe = load_recipe(about | {"model": {"judges": len(self.judges), "thresholds": self.plan.thresholds}})
        model = CascadeModel(recipe.model, seed=self.seed, judges=list(self.judges.values()))
        hashes = union_hashes([judge.prompt_hashes for judge in self.judges.values()])
        seen = self.asked.battles
        joined = PromptHashes.of(seen, seed=self.seed) if hashes is None else hashes.joined(seen)
        return TrainedJudge.of(recipe, Fitted([model], make_calibrator("none"), self._held(), joined, self._facts()))

    def figures(self) -> dict[str, Any]:
        """Every figure, under thresholds that were chosen and fitted on other prompts."""
        p = self._routed(self.asked.forecasts)
        swapped = swap_columns(p) if self.asked.swapped is None else self._routed(self.asked.swapped)
        options: dict[str, Any] = {"groups": self.asked.clusters, "draws": self.draws, "seed": self.seed}
        return evaluate(p, self.asked.battles, swapped=swapped, **options).to_dict()

    def notes(self, leaks: list[str]) -> dict[str, Any]:
        """What is recorded beside the figures."""
        points = [self._point(stage) | {"notches": list(notches)} for notches, stage in self.path]
        found = {
            "goal": str(self.goal),
            "judges": self._judges(),
            "thresholds": list(self.plan.thresholds),
            "frontier": points,
            "chosen": self.chosen,
            "measured": self._point(self.stage),
            "rows": len(self.rows),
            "prompts": int(self.asked.clusters.max()) + 1,
            "remarks": leaks + self._remarks(points),
        }
        origins = [entry for judge in self.judges.values() for entry in judge.notes.get("data_sources", [])]
        unique = [entry for place, entry in enumerate(origins) if entry not in origins[:place]]
        unknown = [label for label, judge in self.judges.items() if unknown_prompts(judge)]
        others = {"data_sources": unique, "unknown_prompts": unknown}
        notes = {"cascade": found, "limits": found["remarks"]}
        return notes | {name: value for name, value in others.items() if value}

    def _answering(self, forecasts: Floats) -> Ints:
        stage = np.zeros(len(self.rows), dtype=np.int64)
        for fold, plan in enumerate(self.plans):
            here = self.folds == fold
            stage[here] = plan.answering(forecasts[:, here])
        return stage

    def _routed(self, forecasts: Floats) -> Probabilities:
        """What is forecast where each row goes as far as these forecasts of it send it."""
        return np.asarray(forecasts[self._answering(forecasts), self.rows])

    def _point(self, stage: Ints) -> dict[str, Any]:
        """Shares, loss and time of a cascade in which these judges answer."""
        asked = self.asked
        p = asked.forecasts[stage, self.rows]
        gain, low, high = paired_gain(
            asked.targets,
            p,
            asked.forecasts[-1],
            asked.weights,
            groups=asked.clusters,
            draws=self.draws,
            seed=self.seed,
        )
        took = asked.time(stage)
        return {
            "goes_on": [float((stage > place).mean()) for place in range(len(asked.forecasts) - 1)],
            "log_loss": log_loss(asked.targets, p, asked.weights),
            "cost": Figure(0.0 - gain, 0.0 - high, 0.0 - low).to_dict(),
            "seconds_per_1000": 1000 * took,
            "speed_up": asked.seconds[-1] / took,
        }

    def _judges(self) -> list[dict[str, Any]]:
        return [
            {
                "label": label,
                "name": judge.name,
                "hash": judge.hash,
                "seconds_per_1000": 1000 * seconds,
                "log_loss": log_loss(self.asked.targets, p, self.asked.weights),
            }
            for (label, judge), seconds, p in zip(
                self.judges.items(), self.asked.seconds, self.asked.forecasts, strict=True
            )
        ]

    def _remarks(self, points: list[dict[str, Any]]) -> list[str]:
        labels, seconds = list(self.judges), self.asked.seconds
        said = [
            f"{labels[place]} takes {1000 * seconds[place]:.3g} s for 1,000 rows and stands before "
            f"{labels[place + 1]}, which takes {1000 * seconds[place + 1]:.3g} s: a cascade saves time where the "
            "faster judge comes first"
            for place in range(len(labels) - 1)
            if seconds[place] >= seconds[place + 1]
        ]
        point, last = points[self.chosen], labels[-1]
        if not point["goes_on"][0]:
            said.append(f"no row goes on: {labels[0]} alone reaches the goal, and is the simpler judge to use")
        if min(point["goes_on"]) == 1:
            said.append(f"every row goes on: only {last} reaches the goal, and alone it is faster than this cascade")
        if point["speed_up"] <= 1 and max(point["goes_on"]) > 0 and min(point["goes_on"]) < 1:
            said.append(f"it is not faster than {last} alone, which is the better judge to use")
        best = min(range(len(labels)), key=lambda place: float(self.asked.losses[place] @ self.asked.weights))
        if best != len(labels) - 1:
            said.append(f"{last}, against which the loss is counted, is not the best on these votes: {labels[best]} is")
        return said

    def _held(self) -> OutOfFold:
        asked, p = self.asked, self._routed(self.asked.forecasts)
        swapped = None if asked.swapped is None else self._routed(asked.swapped)
        return OutOfFold(
            rows=self.rows,
            ids=asked.battles.ids,
            content=asked.battles.content_hashes(),
            fold=self.folds,
            raw=p,
            targets=asked.targets,
            weights=asked.weights,
            clusters=asked.clusters,
            swapped=swapped,
            swapped_content=asked.battles.swapped().content_hashes(),
        )

    def _facts(self) -> dict[str, Any]:
        sources = self.asked.battles.column("source").value_counts().to_pylist()
        named = {entry["values"]: entry["counts"] for entry in sources if entry["values"] is not None}
        return {
            "rows": len(self.rows),
            "labels": dict(zip(CLASSES, self.asked.targets.mean(axis=0).round(6).tolist(), strict=True)),
            "sources": dict(sorted(named.items())),
            "folds": {"method": "grouped", "n": int(self.folds.max()) + 1, "sizes": np.bincount(self.folds).tolist()},
            "prompt_clusters": int(self.asked.clusters.max()) + 1,
        }


def _read(votes: Any, judges: Mapping[str, TrainedJudge], reader: dict[str, Any]) -> Battles:
    numbers = tuple(dict.fromkeys(name for judge in judges.values() for name in judge.numbers))
    if isinstance(votes, str | Path):
        options = {"labels": "required"} | ({"numbers": numbers} if numbers else {}) | reader
        battles = read_votes(votes, **options)
    elif reader:
        raise DataError(f"reader options {sorted(reader)} are for files; the votes came as {type(votes).__name__}")
    else:
        battles = as_battles(votes)
    battles.targets()
    return battles


def _counted(battles: Battles) -> tuple[Battles, list[str]]:
    """The votes that count, and what must be said of the others."""
    rows = np.flatnonzero(battles.weights() > 0)
    if len(battles) and not len(rows):
        raise DataError("the weights of all calibration votes are 0; at least some must count")
    if len(rows) < FEWEST:
        raise DataError(f"{len(rows)} calibration votes are too few to fit thresholds on; give at least {FEWEST}")
    if len(rows) == len(battles):
        return battles, []
    said = f"{len(battles) - len(rows):,} calibration votes of weight 0 are left out"
    return Battles(battles.take(rows).table, battles.report), [said]


def _leaks(judges: Mapping[str, TrainedJudge], battles: Battles, *, allow_leak: bool) -> list[str]:
    """Refuse votes on which a judge was trained; what else must be said."""
    said = []
    for label, judge in judges.items():
        if judge.prompt_hashes is None:
            said.append(f"leaks are not looked for in {label}: it keeps no hashes of its training prompts")
            continue
        rows = judge.prompt_hashes.overlap(battles)
        share = f"{len(rows)} of {len(battles)} calibration votes are on prompts on which {label} was trained"
        if len(rows) and not allow_leak:
            first = ", ".join(map(repr, battles.take(rows[:_NAMED]).ids))
            raise LeakError(
                f"{share} (first ids: {first}), so that it would seem surer than it is; give votes on other prompts, "
                "or pass --allow-leak (allow_leak=True) to go on"
            )
        said += [f"{share}; the figures flatter the cascade"] if len(rows) else []
    return said


def _ask(
    judges: Mapping[str, TrainedJudge],
    battles: Battles,
    seconds: Sequence[float] | None,
    seed: int,
    progress: Progress,
) -> Asked:
    clusters = vote_clusters(battles, seed)
    if clusters.max() == 0:
        raise DataError("all calibration votes are on one prompt; give votes on many, so that thresholds can be tested")
    forecasts, took = [], []
    for number, (label, judge) in enumerate(judges.items()):
        progress(f"asking {label}", number, len(judges))
        p, time_of_row = _timed(judge.predict_proba, battles)
        forecasts.append(p)
        took.append(time_of_row)
    is_ordered = any(judge.fitted.members[0].order_matters for judge in judges.values())
    swapped = [judge.predict_proba(battles.swapped()) for judge in judges.values()] if is_ordered else None
    return Asked(
        battles,
        np.stack(forecasts),
        None if swapped is None else np.stack(swapped),
        tuple(took if seconds is None else map(float, seconds)),
        clusters,
    )


def _timed(ask: Callable[[Battles], Probabilities], battles: Battles) -> tuple[Probabilities, float]:
    """Forecasts, and the median over parts of the seconds for a row; the first part warms up and is asked twice."""
    rows = max(1, min(_CHUNK_ROWS, len(battles) // _CHUNKS))
    ask(battles[:rows])
    found, took = [], []
    for start in range(0, len(battles), rows):
        part = battles[start : start + rows]
        began = time.perf_counter()
        found.append(ask(part))
        took.append((time.perf_counter() - began) / len(part))
    return np.concatenate(found), statistics.median(took)
