"""Which rows each step takes, and how a step is dealt over processes and cut into passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from votecast.text.batches import bucketed_batches, token_batches

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

    @property
    def epoch_steps(self) -> int:
        """Steps of one epoch."""
        return -(-len(self.costs) // self.rows)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return min(self.epochs * self.epoch_steps, self.most or self.epochs * self.epoch_steps)

    def epoch(self, number: int) -> list[Rows]:
        """The rows of each step of an epoch, counted from 0."""
        return bucketed_batches(self.costs, rows=self.rows, seed=self.seed, epoch=number, window=self.bucketing)


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
