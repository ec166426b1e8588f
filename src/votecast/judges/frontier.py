"""The frontier of a cascade, from passing on every row to passing on none, and the point on it that reaches a goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

from votecast.data.battles import Battles
from votecast.errors import ConfigError
from votecast.metrics import group_folds
from votecast.metrics.scores import log_losses
from votecast.models.routing import NOTCHES, fit_plan
from votecast.types import Probabilities

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Notches = tuple[int, ...]
"""For every judge but the last, how many twentieths of the rows its threshold holds back."""


@dataclass(frozen=True)
class Goal:
    """What the thresholds are fitted to: exactly one of the two.

    Args:
        max_loss: How much log loss the cascade may lose against its last judge.
        budget: Seconds that 1,000 rows may take.

    Raises:
        ConfigError: If not exactly one is given, or it is out of range.
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
class Asked:
    """Votes, what every judge forecasts of them, and how long that takes.

    Args:
        battles: The votes, n of them.
        forecasts: Shape (judges, n, 3).
        swapped: The same for the answers exchanged; None where that exchanges columns a and b and nothing else.
        seconds: Seconds for a row of each judge.
        clusters: Cluster of near-duplicate prompts of each row, shape (n,).
    """

    battles: Battles
    forecasts: Floats
    swapped: Floats | None
    seconds: tuple[float, ...]
    clusters: Ints

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
        return np.stack([log_losses(self.targets, p) for p in self.forecasts])

    def folds(self, rows: Ints, seed: int) -> Ints:
        """Folds of some of the rows, prompts kept whole."""
        return group_folds(self.clusters[rows], seed=seed)

    def time(self, stage: Ints) -> float:
        """Mean seconds for a row, where `stage` is the place of the judge that answers each."""
        return float(np.cumsum(self.seconds)[stage].mean())

    def cost(self, stage: Ints, rows: Ints) -> float:
        """Mean log loss above that of the last judge."""
        w, loss = self.weights[rows], self.losses[:, rows]
        return float(w @ (loss[stage, np.arange(len(rows))] - loss[-1]) / w.sum())


def route(asked: Asked, rows: Ints, notches: Notches, seed: int) -> Ints:
    """Who answers each of these rows, under thresholds that were fitted on the other folds."""
    folds, stage = asked.folds(rows, seed), np.zeros(len(rows), dtype=np.int64)
    for fold in np.unique(folds):
        here = folds == fold
        plan = fit_plan(asked.forecasts[:, rows[~here]], notches)
        stage[here] = plan.answering(asked.forecasts[:, rows[here]])
    return stage


def frontier(asked: Asked, rows: Ints, seed: int) -> list[tuple[Notches, Ints]]:
    """From a cascade that passes on every row to one that passes on none, and who answers under each.

    Each step holds back another twentieth of the rows at one judge: the one where least log loss is added for the time
    that is saved. Thresholds are those of other prompts.
    """
    notches: Notches = (0,) * (len(asked.forecasts) - 1)
    path = [(notches, route(asked, rows, notches, seed))]
    while any(notch < NOTCHES for notch in notches):
        here = path[-1][1]
        time_here, cost_here = asked.time(here), asked.cost(here, rows)
        tried = []
        for place in (place for place, notch in enumerate(notches) if notch < NOTCHES):
            further = tuple(notch + (number == place) for number, notch in enumerate(notches))
            stage = route(asked, rows, further, seed)
            saved, added = time_here - asked.time(stage), asked.cost(stage, rows) - cost_here
            tried.append((added / saved if saved > 0 else np.inf, place, further, stage))
        _, _, notches, stage = min(tried, key=lambda one: one[:2])
        path.append((notches, stage))
    return path


def choose(asked: Asked, rows: Ints, path: Sequence[tuple[Notches, Ints]], goal: Goal) -> int:
    """The point of a frontier that reaches the goal.

    The loss along the frontier is measured on votes and jumps up and down; what is compared is the nearest curve that
    never falls as fewer rows go on (isotonic regression). Under an allowance the fastest point within it is taken,
    under a budget the one with the least loss among those within it, and of these the fastest.

    Raises:
        ConfigError: If no point is within the budget.
    """
    times = [asked.time(stage) for _, stage in path]
    costs = isotonic_regression(np.array([asked.cost(stage, rows) for _, stage in path])).tolist()
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
