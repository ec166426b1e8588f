"""Recalibrating a judge: from a judge and votes it has not seen to the same judge with truer probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from votecast.calibration import Calibrator, Chain, Grouped, Groups, crossfit_calibrate, make_calibrator
from votecast.calibration.description import describe
from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.frames import as_battles
from votecast.data.groups import GROUPINGS, group_values
from votecast.data.text_columns import characters
from votecast.errors import ConfigError, DataError, LeakError
from votecast.judges.asking import unknown_prompts
from votecast.judges.out_of_fold import Fitted, calibration_folds
from votecast.judges.recipe import Recipe, load_recipe
from votecast.judges.trained import TrainedJudge
from votecast.metrics import Evaluation, Figure, evaluate_probabilities, group_folds, paired_gain, without_ties
from votecast.metrics.scores import log_losses, ratio
from votecast.splits import PromptHashes
from votecast.types import CLASSES, Probabilities

LEAST_VOTES: Final = 20
"""A judge is not recalibrated on fewer votes."""

SHOWN: Final = ("log_loss", "accuracy", "brier", "ece", "ece_perfect", "ece_tie", "ece_perfect_tie")
"""What is measured before and after."""

_WITHOUT_TIES: Final = ("temperature", "none")
_NOTE: Final = "calibration"


def calibrate_judge(
    judge: TrainedJudge,
    votes: Any | None = None,
    *,
    method: str = "auto",
    by: str | None = None,
    seed: int = 0,
    draws: int = 1000,
    allow_leak: bool = False,
) -> TrainedJudge:
    """Make a judge's probabilities true for those who cast some votes.

    The judge keeps its members and its calibration; a calibrator fitted on these votes is put behind it. Figures before
    and after are in `judge.notes["calibration"][-1]`: those after are cross-fitted, so that every vote is forecast by a
    calibrator fitted on votes for other prompts. Without votes, the calibrator of the judge is fitted anew on its own
    out-of-fold rows, and takes the place of the present one.

    Args:
        judge: A fitted judge of any family.
        votes: Votes on prompts it was not trained on: battles, a frame or a list of dicts.
        method: A name in `votecast.calibration.CALIBRATORS`.
        by: Also fit what groups of rows ask for beyond that, shrunk towards what all have in common: language, source
            or turns.
        seed: Seed of folds and draws.
        draws: Bootstrap draws for the intervals.
        allow_leak: Go on although the votes share prompts with the judge's training data.

    Returns:
        A new judge. It recognises the prompts of these votes as seen.

    Raises:
        ConfigError: If there is no such method, or rows cannot be grouped by that.
        LeakError: If the votes share prompts with the judge's training data.
        DataError: If the votes do not suffice: too few, of one prompt, none for an answer, none for a tie.
        JudgeError: If they do not suffice for the method.

    Example:
        >>> from votecast.data.simulation import simulate
        >>> (train, _), (other, _) = simulate(rows=600, seed=0, batch=300)
        >>> judge = TrainedJudge("baseline", {"folds.n": 2}).fit(train)
        >>> made = calibrate_judge(judge, other, method="shift", draws=50, allow_leak=True)
        >>> made.notes["calibration"][-1]["method"], made.notes["calibration"][-1]["rows"]
        ('shift', 300)
    """
    make_calibrator(method)  # an unknown one is told before any work
    if by is not None and by not in GROUPINGS:
        raise ConfigError(f"rows cannot be grouped by {by!r}; allowed are {', '.join(GROUPINGS)}")
    how = _How(method, by, draws, seed)
    return _refitted(judge, how) if votes is None else _further(judge, as_battles(votes), how, allow_leak=allow_leak)


@dataclass(frozen=True)
class _How:
    """What was asked for."""

    method: str
    by: str | None
    draws: int
    seed: int

    def new(self) -> Calibrator:
        """A calibrator that has learnt nothing yet."""
        return make_calibrator(self.method) if self.by is None else Grouped(self.by, self.method)


@dataclass(frozen=True)
class _Rows:
    """n rows that the judge had not seen."""

    p: Probabilities
    targets: Probabilities
    weights: NDArray[np.float64]
    clusters: NDArray[np.int64]
    folds: NDArray[np.int64]
    groups: Groups | None = None

    @property
    def binary(self) -> bool:
        """Whether nobody called a tie."""
        return not (self.weights @ self.targets[:, 2])

    @property
    def learnt_from(self) -> Probabilities:
        """The forecasts to learn from; where nobody called a tie, those given that there is none."""
        return without_ties(self.p) if self.binary else self.p

    def check(self, method: str) -> None:
        """Refuse votes on which no judge can be calibrated.

        Raises:
            DataError: If they are too few, of one prompt, all ties, or none of them a tie.
        """
        several = int((self.weights > 0).sum())
        if several < LEAST_VOTES:
            raise DataError(
                f"{several} votes that count are given, and at least {LEAST_VOTES} are needed to calibrate on (100 do "
                "much already); give more votes"
            )
        if len(np.unique(self.folds)) < 2:
            raise DataError(f"all {several} votes are on one prompt; give votes on at least two different prompts")
        if not (self.weights @ self.targets[:, :2]).any():
            raise DataError(f"all {several} votes are ties; give votes for a and b too")
        if self.binary and method not in _WITHOUT_TIES:
            raise DataError(
                f"none of the {several} votes is a tie, so that a judge calibrated on them would hold that ties never "
                "occur; give votes with ties, or take the method temperature, which learns only how bold to be"
            )
        tied = self.targets[:, 2] * self.weights > 0
        if len(np.unique(self.folds[tied])) == 1 and method not in _WITHOUT_TIES:
            raise DataError(
                f"{int(tied.sum())} of the {several} votes are ties, all in one of the parts measured in turn, "
                "so that the others say nothing of ties; give votes with ties on more prompts, or take the method "
                "temperature"
            )

    def fit(self, how: _How) -> Calibrator:
        """The calibrator of all rows."""
        return how.new().fit(self.learnt_from, self.targets, self.weights, clusters=self.clusters, groups=self.groups)

    def crossfit(self, how: _How) -> Probabilities:
        """Each fold calibrated by the others."""
        known = (self.learnt_from, self.targets, self.weights, self.folds, self.p)
        return crossfit_calibrate(how.new, *known, clusters=self.clusters, groups=self.groups)

    def measure(self, p: Probabilities, how: _How) -> Evaluation:
        """The figures of forecasts of these rows."""
        return evaluate_probabilities(
            self.targets, p, groups=self.clusters, weights=self.weights, draws=how.draws, seed=how.seed
        )

    def entry(self, calibrator: Calibrator, before: Probabilities, after: Probabilities, how: _How) -> dict[str, Any]:
        """What is to be told of a calibration."""
        pair = (without_ties(after), without_ties(before)) if self.binary else (after, before)
        gain = paired_gain(self.targets, *pair, self.weights, groups=self.clusters, draws=how.draws, seed=how.seed)
        state = calibrator.state()[0]
        figures = {"before": self.measure(before, how).metrics, "after": self.measure(after, how).metrics}
        return {
            "method": how.method,
            "by": how.by,
            "fitted": state,
            "name": describe(state),
            "rows": len(self.weights),
            "clusters": len(np.unique(self.clusters)),
            "folds": len(np.unique(self.folds)),
            "labels": dict(zip(CLASSES, self.targets.mean(axis=0).round(6).tolist(), strict=True)),
            "groups": self._by_group(before, after, how, state),
            "binary": self.binary,
            **{when: {name: found[name].to_dict() for name in SHOWN} for when, found in figures.items()},
            "gain": Figure(*gain).to_dict(),
        }

    def _by_group(
        self, before: Probabilities, after: Probabilities, how: _How, state: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Log loss of each group, largest first, beside that under the common calibrator alone, cross-fitted."""
        if self.groups is None or how.by is None:
            return None
        common = self.crossfit(replace(how, by=None))
        forecasts = {"before": before, "common": common, "after": after}
        if self.binary:
            forecasts = {name: without_ties(p) for name, p in forecasts.items()}
        losses = {name: log_losses(self.targets, p) for name, p in forecasts.items()}
        pair = (forecasts["after"], forecasts["common"])
        gain = paired_gain(self.targets, *pair, self.weights, groups=self.clusters, draws=how.draws, seed=how.seed)
        names, group, counts = np.unique(np.array(self.groups[how.by], str), return_inverse=True, return_counts=True)
        mass = np.bincount(group, self.weights)
        means = {name: ratio(np.bincount(group, self.weights * loss), mass) for name, loss in losses.items()}
        values = {
            str(names[k]): {"votes": int(counts[k]), "own": str(names[k]) in state["groups"]}
            | {name: float(mean[k]) if mass[k] > 0 else None for name, mean in means.items()}
            for k in np.argsort(-counts, kind="stable")
        }
        return {"values": values, "gain": Figure(*gain).to_dict()}


def _further(judge: TrainedJudge, votes: Battles, how: _How, *, allow_leak: bool) -> TrainedJudge:
    """The judge with a calibrator fitted on further votes behind the one it has."""
    if not len(votes):
        raise DataError("there are no votes to calibrate on; give at least 20 votes that the judge has not seen")
    targets, weights = votes.targets(), votes.weights()
    if not weights.sum() > 0:
        raise DataError("the weights of all votes are 0; at least some must count")
    hashes = judge.prompt_hashes
    leaked = _leaked(judge, votes, allow=allow_leak)
    clusters = _clusters(votes, how.seed)
    groups = None if how.by is None else {how.by: group_values(votes, how.by)}
    folds = group_folds(clusters, seed=how.seed)
    rows = _Rows(np.empty((0, 3)), targets, weights, clusters, folds, groups)
    rows.check(how.method)
    rows = replace(rows, p=judge.predict_proba(votes))
    calibrator = rows.fit(how)
    entry = rows.entry(calibrator, rows.p, rows.crossfit(how), how)
    fitted = replace(
        judge.fitted,
        calibrator=Chain([judge.fitted.calibrator, calibrator]),
        prompt_hashes=PromptHashes.of(votes, seed=how.seed) if hashes is None else hashes.joined(votes),
    )
    unknown = unknown_prompts(judge)
    told = {"on": "votes", "leaked": leaked, "training_prompts_known": hashes is not None, "unknown_prompts": unknown}
    made = _made(judge, judge.recipe, fitted, judge.figures, [*judge.notes.get(_NOTE, []), entry | told])
    if unknown:
        made.record(unknown_prompts=unknown)  # what it knows from now on is those of these votes
    return made


def _leaked(judge: TrainedJudge, votes: Battles, *, allow: bool) -> int:
    """How many votes share prompts with the judge's training data.

    Raises:
        LeakError: If any do and that is not allowed; where the judge has fair rows of its own, the message names them.
    """
    if judge.prompt_hashes is None:
        return 0
    try:
        return len(judge.prompt_hashes.check(votes, allow=allow))
    except LeakError as error:
        if not len(judge.fitted.out_of_fold):
            raise
        raise LeakError(
            f"{error}; if these are the votes it was trained on, leave --input out (votes=None): the judge is then "
            "calibrated on its own out-of-fold rows, which flatter nothing"
        ) from error


def _refitted(judge: TrainedJudge, how: _How) -> TrainedJudge:
    """The judge with a calibrator fitted on its own out-of-fold rows, in place of what it had."""
    held, recipe = judge.fitted.out_of_fold, judge.recipe
    if how.by is not None:
        raise ConfigError(f"the out-of-fold rows of a judge hold no {how.by}; give votes to calibrate by {how.by}")
    if not len(held):
        raise DataError(f"judge {judge.name!r} holds no out-of-fold rows to calibrate on; give votes")
    folds = calibration_folds(held, recipe.seed)
    rows = _Rows(held.raw, held.targets, held.weights, held.clusters, folds)
    rows.check(how.method)
    before, after = rows.crossfit(replace(how, method=recipe.calibration.method)), rows.crossfit(how)
    calibrator = rows.fit(how)
    entry = rows.entry(calibrator, before, after, how)
    told = {"on": "out_of_fold", "replaced": describe(judge.fitted.calibrator.state()[0])}
    fitted = replace(judge.fitted, calibrator=calibrator)
    figures = rows.measure(after, how).to_dict()
    return _made(judge, load_recipe(recipe, {"calibration.method": how.method}), fitted, figures, [entry | told])


def _made(
    judge: TrainedJudge, recipe: Recipe, fitted: Fitted, figures: dict[str, Any], entries: list[dict[str, Any]]
) -> TrainedJudge:
    made = TrainedJudge.of(recipe, fitted)
    made.record(figures=figures, **judge.notes | {_NOTE: entries})
    return made


def _clusters(votes: Battles, seed: int) -> NDArray[np.int64]:
    """Clusters of prompts; every row by itself where no row has a text, as in a file of scores."""
    if any(characters(votes, column).any() for column in TEXT_COLUMNS):
        return prompt_clusters(votes, seed=seed)
    return np.arange(len(votes))
