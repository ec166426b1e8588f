"""Recalibrate a judge on votes that it has not seen.

This is what `votecast calibrate` runs: the judge keeps its members, and a calibrator is put behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from votecast.calibration import Calibrator, Chain, Grouped, Groups, crossfit_calibrate, make_calibrator
from votecast.calibration.description import describe
from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.data.groups import GROUPINGS, group_values
from votecast.errors import ConfigError, DataError, LeakError
from votecast.judges.composite import joint_hashes
from votecast.judges.evaluate import vote_clusters
from votecast.judges.out_of_fold import calibration_folds, label_shares
from votecast.judges.predict_batch import unknown_prompts
from votecast.judges.recipe import load_recipe
from votecast.judges.trained import TrainedJudge
from votecast.metrics import Evaluation, Figure, evaluate_probabilities, group_folds, paired_gain, without_ties
from votecast.metrics.scores import log_losses, ratio
from votecast.types import Floats, Ints, Probabilities

MIN_VOTES: Final = 20
"""A judge is not recalibrated on fewer votes."""

SHOWN: Final = ("log_loss", "accuracy", "brier", "ece", "ece_perfect", "ece_tie", "ece_perfect_tie")
"""Metrics that are measured before and after."""

_WITHOUT_TIES: Final = ("temperature", "none")
"""Methods that can be fitted on votes without ties."""


def calibrate_judge(
    judge: TrainedJudge,
    votes: object | None = None,
    *,
    method: str = "auto",
    by: str | None = None,
    seed: int = 0,
    draws: int = 1000,
    allow_leak: bool = False,
) -> TrainedJudge:
    """Recalibrate a judge on new votes (100 or more recommended).

    The judge keeps its members and its calibration; a calibrator fitted on these votes is put behind it. Figures before
    and after are in `judge.notes["calibration"][-1]`: those after are cross-fitted, so that every vote is predicted
    under a calibrator fitted on votes for other prompts. Without votes, the calibrator of the judge is fitted anew on
    its own out-of-fold rows, and replaces the present one.

    Args:
        judge: A fitted judge of any family.
        votes: Votes on prompts it was not trained on: battles, a frame or a list of dicts.
        method: A name in `votecast.calibration.CALIBRATORS`.
        by: Also fit a calibrator for each group of rows, shrunk towards the common one: language, source or turns.
        seed: Seed of folds and draws.
        draws: Bootstrap draws for the intervals.
        allow_leak: Recalibrate although the votes share prompts with the judge's training data.

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
    make_calibrator(method)  # an unknown one is reported before any work
    if by is not None and by not in GROUPINGS:
        raise ConfigError(f"rows cannot be grouped by {by!r}; allowed are {', '.join(GROUPINGS)}")
    if votes is None:
        return _replace_calibrator(judge, method, by, draws, seed)

    battles = as_battles(votes)
    if not len(battles):
        raise DataError(f"there are no votes to calibrate on; give at least {MIN_VOTES} that the judge has not seen")
    targets, weights = battles.targets(), battles.weights()
    if not weights.sum() > 0:
        raise DataError("the weights of all votes are 0; at least some must count")
    leaked = _count_leaked(judge, battles, allow=allow_leak)
    clusters = vote_clusters(battles, seed)
    folds = group_folds(clusters, seed=seed)
    _check_enough_votes(targets, weights, folds, method)  # before the judge predicts, which may take long
    groups = None if by is None else {by: group_values(battles, by)}
    p = judge.predict_proba(battles)
    rows = _Rows(p, targets, weights, clusters, folds, method, by, draws, seed, groups)
    calibrator, unknown = rows.fit(), unknown_prompts(judge)
    entry = rows.describe(calibrator, p, rows.crossfit()) | {
        "on": "votes",
        "leaked": leaked,
        "training_prompts_known": judge.prompt_hashes is not None,
        "unknown_prompts": unknown,
    }
    chain, hashes = Chain([judge.fitted.calibrator, calibrator]), joint_hashes([judge], battles, seed)
    made = TrainedJudge.of(judge.recipe, replace(judge.fitted, calibrator=chain, prompt_hashes=hashes))
    made.record(figures=judge.figures, **judge.notes)
    made.record(calibration=[*judge.notes.get("calibration", []), entry])
    if unknown:
        made.record(unknown_prompts=unknown)  # the prompts it knows from now on are those of these votes
    return made


def _replace_calibrator(judge: TrainedJudge, method: str, by: str | None, draws: int, seed: int) -> TrainedJudge:
    """Fit the calibrator anew on the judge's own out-of-fold rows."""
    held, recipe = judge.fitted.out_of_fold, judge.recipe
    if by is not None:
        raise ConfigError(f"the out-of-fold rows of a judge have no {by}; give votes to calibrate by {by}")
    if not len(held):
        raise DataError(f"judge {judge.name!r} has no out-of-fold rows to calibrate on; give votes")
    folds = calibration_folds(held, recipe.seed)
    _check_enough_votes(held.targets, held.weights, folds, method)
    rows = _Rows(held.raw, held.targets, held.weights, held.clusters, folds, method, None, draws, seed)
    before, after = replace(rows, method=recipe.calibration.method).crossfit(), rows.crossfit()
    calibrator = rows.fit()
    replaced = describe(judge.fitted.calibrator.state()[0])
    entry = rows.describe(calibrator, before, after) | {"on": "out_of_fold", "replaced": replaced}
    recipe = load_recipe(recipe, {"calibration.method": method})
    made = TrainedJudge.of(recipe, replace(judge.fitted, calibrator=calibrator))
    made.record(figures=rows.measure(after).to_dict(), **judge.notes | {"calibration": [entry]})
    return made


def _count_leaked(judge: TrainedJudge, votes: Battles, *, allow: bool) -> int:
    """Count the votes that share prompts with the judge's training data; refuse them unless allowed."""
    if judge.prompt_hashes is None:
        return 0
    try:
        return len(judge.prompt_hashes.check(votes, allow=allow))
    except LeakError as error:
        if not len(judge.fitted.out_of_fold):
            raise
        raise LeakError(
            f"{error}; if these are the votes it was trained on, leave --input out (votes=None): the judge is then "
            "calibrated on its own out-of-fold rows"
        ) from error


def _check_enough_votes(targets: Probabilities, weights: Floats, folds: Ints, method: str) -> None:
    """Refuse votes on which no judge can be calibrated."""
    count = int((weights > 0).sum())
    if count < MIN_VOTES:
        raise DataError(
            f"{count} votes that count are given, and at least {MIN_VOTES} are needed to calibrate on (100 or "
            "more recommended); give more votes"
        )
    if len(np.unique(folds)) < 2:
        raise DataError(f"all {count} votes are on one prompt; give votes on at least two different prompts")
    if not (weights @ targets[:, :2]).any():
        raise DataError(f"all {count} votes are ties; give votes for a and b too")
    if method in _WITHOUT_TIES:
        return
    tied = targets[:, 2] * weights > 0
    if not tied.any():
        raise DataError(
            f"none of the {count} votes is a tie, so that a judge calibrated on them would predict that ties "
            "never occur; give votes with ties, or use the method temperature, which scales confidence alone"
        )
    if len(np.unique(folds[tied])) == 1:
        raise DataError(
            f"{int(tied.sum())} of the {count} votes are ties, all in one fold, so that the other folds cannot "
            "calibrate ties; give votes with ties on more prompts, or use the method temperature"
        )


@dataclass(frozen=True)
class _Rows:
    """n rows that the judge had not seen, and how it is to be recalibrated on them."""

    p: Probabilities  # (n, 3)
    targets: Probabilities  # (n, 3)
    weights: Floats  # (n,)
    clusters: Ints  # (n,)
    folds: Ints  # (n,)
    method: str
    by: str | None
    draws: int
    seed: int
    groups: Groups | None = None

    @property
    def binary(self) -> bool:
        """Whether no vote is a tie."""
        return not (self.weights @ self.targets[:, 2])

    def fit(self) -> Calibrator:
        """Fit the calibrator on all rows."""
        p = without_ties(self.p) if self.binary else self.p
        return self._new().fit(p, self.targets, self.weights, clusters=self.clusters, groups=self.groups)

    def crossfit(self) -> Probabilities:
        """Calibrate each fold by the others."""
        p = without_ties(self.p) if self.binary else self.p
        known = (p, self.targets, self.weights, self.folds, self.p)
        return crossfit_calibrate(self._new, *known, clusters=self.clusters, groups=self.groups)

    def measure(self, p: Probabilities) -> Evaluation:
        """Measure predictions for these rows."""
        return evaluate_probabilities(
            self.targets, p, groups=self.clusters, weights=self.weights, draws=self.draws, seed=self.seed
        )

    def describe(self, calibrator: Calibrator, before: Probabilities, after: Probabilities) -> dict[str, object]:
        """Describe a calibration, for the notes of the judge."""
        state = calibrator.state()[0]
        figures = {"before": self.measure(before).metrics, "after": self.measure(after).metrics}
        return {
            "method": self.method,
            "by": self.by,
            "fitted": state,
            "name": describe(state),
            "rows": len(self.weights),
            "clusters": len(np.unique(self.clusters)),
            "folds": len(np.unique(self.folds)),
            "labels": label_shares(self.targets),
            "groups": self._describe_groups(before, after, state),
            "binary": self.binary,
            **{when: {name: found[name].to_dict() for name in SHOWN} for when, found in figures.items()},
            "gain": self._gain(after, before),
        }

    def _new(self) -> Calibrator:
        return make_calibrator(self.method) if self.by is None else Grouped(self.by, self.method)

    def _gain(self, after: Probabilities, before: Probabilities) -> dict[str, float | None]:
        if self.binary:
            after, before = without_ties(after), without_ties(before)
        known = self.targets, after, before, self.weights
        return Figure(*paired_gain(*known, groups=self.clusters, draws=self.draws, seed=self.seed)).to_dict()

    def _describe_groups(
        self, before: Probabilities, after: Probabilities, state: Mapping[str, Any]
    ) -> dict[str, object] | None:
        """Return log loss by group, largest first, beside that under the common calibrator alone, cross-fitted."""
        if self.groups is None or self.by is None:
            return None
        common = replace(self, by=None).crossfit()
        predictions = {"before": before, "common": common, "after": after}
        if self.binary:
            predictions = {name: without_ties(p) for name, p in predictions.items()}
        losses = {name: log_losses(self.targets, p) for name, p in predictions.items()}
        names, group, counts = np.unique(np.array(self.groups[self.by], str), return_inverse=True, return_counts=True)
        mass = np.bincount(group, self.weights)  # (groups,)
        means = {name: ratio(np.bincount(group, self.weights * loss), mass) for name, loss in losses.items()}
        values = {
            str(names[k]): {"votes": int(counts[k]), "own": str(names[k]) in state["groups"]}
            | {name: float(mean[k]) if mass[k] > 0 else None for name, mean in means.items()}
            for k in np.argsort(-counts, kind="stable")
        }
        return {"values": values, "gain": self._gain(after, common)}
