"""The rows a network is trained on: examples with labels, and which of them each step and each pass takes.

`models.neural` makes the data; `training.loop` and `training.step` read it. The Keras family checks its votes here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from votecast.errors import ConfigError, JudgeError
from votecast.text.batching import bucketed_batches, group_sizes, length_groups, token_batches
from votecast.types import Floats, Ints, Probabilities

if TYPE_CHECKING:
    import torch

Batch = dict[str, "torch.Tensor"]


class Examples(Protocol):
    """Rows in the form a network reads."""

    def __len__(self) -> int:
        """Return the number of rows."""

    @property
    def costs(self) -> Ints:
        """Tokens of each row, all its sequences together, shape (n,)."""

    def batch(self, rows: Ints) -> Batch:
        """Return CPU tensors: the keyword arguments of the network's forward for these rows."""


@dataclass(frozen=True)
class Data:
    """Rows with labels.

    Args:
        examples: What the network reads.
        targets: Soft labels, shape (n, 3); rows sum to 1.
        weights: How much each row counts, shape (n,).
        ids: Names of the rows for messages; without them a row is named by its position.

    Raises:
        JudgeError: If a label or weight is invalid; the message names the rows.
    """

    examples: Examples
    targets: Probabilities
    weights: Floats
    ids: tuple[str, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_votes(len(self.examples), self.targets, self.weights, self.ids)

    def __len__(self) -> int:
        return len(self.examples)

    def name(self, rows: Ints) -> str:
        """Name these rows for a message, the first ten by id or position."""
        return name_rows(rows, self.ids)


def check_votes(n: int, targets: Probabilities, weights: Floats, ids: Sequence[str] | None = None) -> None:
    """Check that there is at least one row to learn from, and that labels and weights are valid.

    Raises:
        JudgeError: Naming the rows, by id or position, that are not.
    """
    if targets.shape != (n, 3) or weights.shape != (n,) or n == 0:
        raise JudgeError(
            f"{n} examples came with targets of shape {targets.shape} and weights of shape {weights.shape}; needed "
            f"are at least one row, ({n}, 3) and ({n},)"
        )
    labels = np.isfinite(targets).all(1) & (targets >= 0).all(1) & (np.abs(targets.sum(1) - 1) < 1e-6)
    positive = np.isfinite(weights) & (weights >= 0)
    for valid, what, values, allowed in (
        (labels, "label", targets, "a soft label has three numbers of at least 0 that sum to 1"),
        (positive, "weight", weights, "a weight is a number of at least 0"),
    ):
        if len(rows := np.flatnonzero(~valid)):
            raise JudgeError(
                f"{name_rows(rows, ids)} cannot be trained on: the first {what} is {values[rows[0]].tolist()}; "
                f"{allowed}; correct or remove these rows"
            )
    if not weights.sum() > 0:
        raise JudgeError("the weights of all rows are 0; at least one row must count")


def name_rows(rows: Ints, ids: Sequence[str] | None = None) -> str:
    """Name rows for a message, the first ten by id or position, from 0.

    Example:
        >>> name_rows(np.array([3, 5]))
        'rows 3, 5'
    """
    shown = [repr(ids[row]) if ids else str(row) for row in rows[:10].tolist()]
    more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
    return f"row{'s' if len(rows) != 1 else ''} {', '.join(shown)}{more}"


@dataclass(frozen=True)
class StepPlan:
    """The rows of every step of a training; equal arguments give equal plans.

    Args:
        costs: Tokens of each row.
        rows: Ints of one step, over all processes.
        epochs: Passes over the rows.
        most: Steps after which training ends in any case.
        bucketing: Steps sorted by length together.
        seed: Seed of the order.
        group: Ints of one group of a length curriculum (`length_groups`), whose steps come group by group; None
            shuffles.

    Raises:
        ConfigError: If a curriculum would end before its long rows.

    Example:
        >>> plan = StepPlan(np.array([5, 1, 4, 2, 3]), rows=2, epochs=3)
        >>> plan.epoch_steps, plan.steps
        (3, 9)
    """

    costs: Ints
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
        """Return whether a step, counted from 1, is the last of its group; without groups, of its epoch."""
        return (step - 1) % self.epoch_steps + 1 in self._ends

    def epoch(self, number: int) -> list[Ints]:
        """Return the rows of each step of an epoch, counted from 0."""
        if self.group is not None:
            groups = length_groups(self.costs, rows=self.rows, group=self.group, seed=self.seed, epoch=number)
            return [step for steps in groups for step in steps]
        return bucketed_batches(self.costs, rows=self.rows, seed=self.seed, epoch=number, window=self.bucketing)

    @cached_property
    def _ends(self) -> list[int]:
        """Steps of an epoch after which a group is done."""
        groups = [len(self.costs)] if self.group is None else group_sizes(len(self.costs), self.group, self.rows)
        return list(itertools.accumulate(-(-rows // self.rows) for rows in groups))


def deal_rows(rows: Ints, costs: Ints, process: int, processes: int) -> Ints:
    """Return the rows of a step for one process: dealt to and fro by length, so that all have as much to do.

    Example:
        >>> costs = np.array([9, 7, 5, 3])
        >>> deal_rows(np.arange(4), costs, 0, 2).tolist(), deal_rows(np.arange(4), costs, 1, 2).tolist()
        ([0, 3], [1, 2])
    """
    # process 0 gets ranks 0, 3, 4, 7 ... of the lengths, process 1 ranks 1, 2, 5, 6 ...
    order = rows[np.argsort(-costs[rows], kind="stable")]
    place = np.arange(len(rows)) % (2 * processes)
    mine: Ints = order[np.minimum(place, 2 * processes - 1 - place) == process]
    return mine


def split_passes(rows: Ints, costs: Ints, budget: int) -> list[Ints]:
    """Split rows into passes of similar length that hold at most `budget` tokens each."""
    return [rows[part] for part in token_batches(costs[rows], budget=budget)] if len(rows) else []
