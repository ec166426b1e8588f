"""Which rows each step takes, and how a step is dealt over processes and cut into passes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from votecast.errors import ConfigError
from votecast.text.batching import bucketed_batches, group_sizes, length_groups, token_batches

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Steps of a whole training, the same for the same arguments.

    Args:
        costs: Tokens of each row.
        rows: Rows of one step, over all processes.
        epochs: Passes over the rows.
        most: Steps after which training ends in any case.
        bucketing: Steps sorted by length together.
        seed: Seed of the order.
        group: Rows of one group of a length curriculum (`length_groups`), whose steps come group by group; None
            shuffles.

    Raises:
        ConfigError: If a curriculum would be broken off where only its short rows have been seen.

    Example:
        >>> plan = Plan(np.array([5, 1, 4, 2, 3]), rows=2, epochs=3)
        >>> plan.epoch_steps, plan.steps
        (3, 9)
    """

    costs: Rows
    rows: int
    epochs: int
    most: int | None = None
    bucketing: int = 50
    seed: int = 0
    group: int | None = None

    def __post_init__(self) -> None:
        if self.group is not None and self.steps % self.epoch_steps:
            raise ConfigError(
                f"max_steps is {self.most} and an epoch has {self.epoch_steps} steps, from short rows to long ones: "
                "the longest would be left out; leave max_steps away, and for a shorter training draw fewer rows at "
                "random (the recipe's 'rows')"
            )

    @property
    def epoch_steps(self) -> int:
        """Steps of one epoch."""
        return self._ends[-1]

    @property
    def steps(self) -> int:
        """Steps in all."""
        return min(self.epochs * self.epoch_steps, self.most or self.epochs * self.epoch_steps)

    def ends_group(self, step: int) -> bool:
        """Whether a step, counted from 1, is the last of its group; without groups, of its epoch."""
        return (step - 1) % self.epoch_steps + 1 in self._ends

    def epoch(self, number: int) -> list[Rows]:
        """The rows of each step of an epoch, counted from 0."""
        if self.group is not None:
            groups = length_groups(self.costs, rows=self.rows, group=self.group, seed=self.seed, epoch=number)
            return [step for steps in groups for step in steps]
        return bucketed_batches(self.costs, rows=self.rows, seed=self.seed, epoch=number, window=self.bucketing)

    @cached_property
    def _ends(self) -> list[int]:
        """Steps of an epoch after which a group is done."""
        groups = [len(self.costs)] if self.group is None else group_sizes(len(self.costs), self.group, self.rows)
        return list(itertools.accumulate(-(-rows // self.rows) for rows in groups))


def deal(rows: Rows, costs: Rows, process: int, processes: int) -> Rows:
    """The rows of a step that one of several processes takes: to and fro by length, so that all have as much to do.

    Example:
        >>> costs = np.array([9, 7, 5, 3])
        >>> deal(np.arange(4), costs, 0, 2).tolist(), deal(np.arange(4), costs, 1, 2).tolist()
        ([0, 3], [1, 2])
    """
    order = rows[np.argsort(-costs[rows], kind="stable")]
    place = np.arange(len(rows)) % (2 * processes)
    mine: Rows = order[np.minimum(place, 2 * processes - 1 - place) == process]
    return mine


def passes(rows: Rows, costs: Rows, budget: int) -> list[Rows]:
    """Cut rows into passes of similar length that hold at most `budget` tokens each."""
    return [rows[part] for part in token_batches(costs[rows], budget=budget)] if len(rows) else []
