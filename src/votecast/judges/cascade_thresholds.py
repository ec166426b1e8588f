"""The thresholds of a cascade: which rows are passed on, the frontier of cost against time, and the point chosen on it.

`votecast.judges.cascade` fits and applies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from sklearn.isotonic import isotonic_regression

from votecast.data.battles import Battles
from votecast.errors import ConfigError
from votecast.metrics import group_folds
from votecast.metrics.scores import EPSILON, log_losses, row_sum
from votecast.types import Bools, Floats, Ints, Probabilities

NOTCHES: Final = 20
"""Thresholds hold back 0/20, 1/20, ..., 20/20 of the rows they are fitted on."""

Notches = tuple[int, ...]
"""For every judge but the last, how many twentieths of the rows its threshold holds back."""


@dataclass(frozen=True)
class Routing:
    """The thresholds of a cascade: which rows each judge passes on.

    A row is passed on where the entropy of the prediction reaches the threshold of the judge that made it. Confidence
    alone is what a cascade of calibrated judges needs (Jitkrittum et al. 2023, "When does confidence-based cascade
    deferral suffice?"); a score fitted on the predictions and the lengths of the texts did not order the rows better.

    Args:
        thresholds: For every judge but the last, the entropy in nats from which a row is passed on; None where none is.

    Example:
        >>> cheap, dear = np.array([[0.9, 0.05, 0.05], [0.3, 0.3, 0.4]]), np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        >>> Routing((1.0,)).answering(np.stack([cheap, dear])).tolist()
        [0, 1]
    """

    thresholds: tuple[float | None, ...]

    def passes_on(self, stage: int, p: Probabilities) -> Bools:
        """Return which of the rows that a judge predicted are passed on to the next, shape (n,)."""
        least = self.thresholds[stage]
        return np.zeros(len(p), dtype=bool) if least is None else np.asarray(entropy(p) >= least)

    def answering(self, predictions: Floats) -> Ints:
        """Return the place of the judge that answers each row, from predictions of shape (judges, n, 3)."""
        stage = np.zeros(predictions.shape[1], dtype=np.int64)
        for number in range(len(self.thresholds)):
            stage += (stage == number) & self.passes_on(number, predictions[number])
        return stage


def entropy(p: Probabilities) -> Floats:
    """Return the entropy of predictions in nats, shape (n,), bit-equal when a and b swap.

    Example:
        >>> entropy(np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])).round(4).tolist()
        [0.0, 1.0986]
    """
    clipped = np.clip(p, EPSILON, 1.0)
    return np.maximum(-row_sum(clipped * np.log(clipped)), 0.0)


def fit_routing(predictions: Floats, notches: Sequence[int]) -> Routing:
    """Fit thresholds that hold back given twentieths of these rows, each halfway between the scores of two rows.

    Args:
        predictions: Of all judges, shape (judges, n, 3).
        notches: For every judge but the last, from 0, where every row is passed on, to 20, where none is.

    Example:
        >>> p = np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.4, 0.3, 0.3]])
        >>> fit_routing(np.stack([p, p]), [10]).passes_on(0, p).tolist()
        [False, False, True, True]
    """
    thresholds: list[float | None] = []
    for p, notch in zip(predictions[:-1], notches, strict=True):
        scores = np.sort(entropy(p))
        held = -(-len(scores) * notch // NOTCHES)  # rounded up
        if not held:
            thresholds.append(0.0)
            continue
        above = scores[scores > scores[held - 1]]
        is_between = len(above) and notch < NOTCHES
        thresholds.append(float((scores[held - 1] + above[0]) / 2) if is_between else None)
    return Routing(tuple(thresholds))


@dataclass(frozen=True)
class Goal:
    """What the thresholds are fitted to; ConfigError unless exactly one of the two is given, within its range.

    Args:
        max_loss: How much log loss the cascade may lose against its last judge.
        budget: Seconds that 1,000 rows may take.
    """

    max_loss: float | None = None
    budget: float | None = None

    def __post_init__(self) -> None:
        if (self.max_loss is None) == (self.budget is None):
            raise ConfigError("give either a largest loss (--max-loss 0.002) or a time budget (--budget SECONDS)")
        if self.max_loss is not None and not 0 <= self.max_loss < np.inf:
            raise ConfigError(f"max-loss is {self.max_loss:g}; allowed are numbers from 0 up, such as 0.002")
        if self.budget is not None and not 0 < self.budget < np.inf:
            raise ConfigError(f"budget is {self.budget:g}; allowed are seconds per 1,000 rows above 0")

    def __str__(self) -> str:
        if self.max_loss is not None:
            return f"lose at most {self.max_loss:g} log loss against the last judge"
        return f"take at most {self.budget:g} s for 1,000 rows"


@dataclass(frozen=True)
class Trial:
    """Votes, the predictions of every judge for them, and the time these take."""

    battles: Battles  # the votes, n of them
    predictions: Floats  # (judges, n, 3)
    swapped: Floats | None  # the same for the responses swapped; None where that only swaps columns a and b
    seconds: tuple[float, ...]  # for a row of each judge
    clusters: Ints  # cluster of near-duplicate prompts of each row, (n,)

    @cached_property
    def targets(self) -> Probabilities:
        """Votes, shape (n, 3)."""
        return self.battles.targets()

    @cached_property
    def weights(self) -> Floats:
        """How much each vote counts, shape (n,)."""
        return self.battles.weights()

    @cached_property
    def losses(self) -> Floats:
        """Log loss of every judge on every row, shape (judges, n)."""
        return np.stack([log_losses(self.targets, p) for p in self.predictions])

    def folds(self, rows: Ints, seed: int) -> Ints:
        """Return folds of some of the rows, prompts kept whole."""
        return group_folds(self.clusters[rows], seed=seed)

    def time(self, stage: Ints) -> float:
        """Return the mean seconds for a row, where `stage` is the place of the judge that answers each."""
        return float(np.cumsum(self.seconds)[stage].mean())  # earlier judges have been asked too

    def cost(self, stage: Ints, rows: Ints) -> float:
        """Return the mean log loss above that of the last judge."""
        w, loss = self.weights[rows], self.losses[:, rows]  # (n,), (judges, n)
        return float(w @ (loss[stage, np.arange(len(rows))] - loss[-1]) / w.sum())


def route(trial: Trial, rows: Ints, notches: Notches, seed: int) -> Ints:
    """Return which judge answers each of these rows, under thresholds that were fitted on the other folds."""
    folds, stage = trial.folds(rows, seed), np.zeros(len(rows), dtype=np.int64)
    for fold in np.unique(folds):
        here = folds == fold
        routing = fit_routing(trial.predictions[:, rows[~here]], notches)
        stage[here] = routing.answering(trial.predictions[:, rows[here]])
    return stage


def frontier(trial: Trial, rows: Ints, seed: int) -> list[tuple[Notches, Ints]]:
    """Return cascades from passing on every row to passing on none, and which judge answers each row under each.

    Each step holds back another twentieth of the rows at one judge: the one where least log loss is added for the time
    that is saved. Thresholds are those of other prompts.
    """
    notches: Notches = (0,) * (len(trial.predictions) - 1)
    path = [(notches, route(trial, rows, notches, seed))]
    while any(notch < NOTCHES for notch in notches):
        here = path[-1][1]
        time_here, cost_here = trial.time(here), trial.cost(here, rows)
        tried = []
        for place in (place for place, notch in enumerate(notches) if notch < NOTCHES):
            further = tuple(notch + (number == place) for number, notch in enumerate(notches))
            stage = route(trial, rows, further, seed)
            saved, added = time_here - trial.time(stage), trial.cost(stage, rows) - cost_here
            tried.append((added / saved if saved > 0 else np.inf, place, further, stage))
        _, _, notches, stage = min(tried, key=lambda one: one[:2])
        path.append((notches, stage))
    return path


def fit_cascade(trial: Trial, rows: Ints, goal: Goal, seed: int) -> tuple[list[tuple[Notches, Ints]], int, Routing]:
    """Return the frontier on these rows, the place on it that reaches the goal, and the routing of that point."""
    path = frontier(trial, rows, seed)
    chosen = choose(trial, rows, path, goal)
    return path, chosen, fit_routing(trial.predictions[:, rows], path[chosen][0])


def choose(trial: Trial, rows: Ints, path: Sequence[tuple[Notches, Ints]], goal: Goal) -> int:
    """Return the point of a frontier that reaches the goal; ConfigError if none is within the budget.

    The loss along the frontier is measured on votes and jumps up and down; what is compared is the nearest curve that
    never falls as fewer rows are passed on (isotonic regression). Under an allowance the fastest point within it is
    taken, under a budget the one with the least loss among those within it, and of these the fastest.
    """
    times = [trial.time(stage) for _, stage in path]
    costs = isotonic_regression(np.array([trial.cost(stage, rows) for _, stage in path])).tolist()
    if goal.max_loss is not None:
        kept = [place for place, cost in enumerate(costs) if cost <= goal.max_loss]
        return min(kept or [0], key=lambda place: (times[place], place))
    budget = float(goal.budget or 0) / 1000
    within = [place for place, took in enumerate(times) if took <= budget]
    if not within:
        raise ConfigError(
            f"budget is {goal.budget:g} s for 1,000 rows, and the first judge alone takes {1000 * times[-1]:.3g} s; "
            "allow more time, or begin with a faster judge"
        )
    return min(within, key=lambda place: (costs[place], times[place]))
