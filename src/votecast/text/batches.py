"""Which rows go through a network together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from votecast.errors import ConfigError


def token_batches(
    lengths: NDArray[np.int64], *, budget: int, most: int | None = None, multiple: int = 8
) -> list[NDArray[np.int64]]:
    """Cut rows into batches of similar length that stay within a number of tokens, padding counted.

    The make-up depends on the lengths only. A row longer than the budget is a batch of its own.

    Args:
        lengths: Tokens of each row.
        budget: The most tokens a batch may hold: rows times the padded length.
        most: The most rows of a batch.
        multiple: Padded lengths are multiples of this.

    Returns:
        Positions of the rows of each batch, longest rows first, ties in input order.

    Raises:
        ConfigError: If the budget or `most` is below 1.

    Example:
        >>> [b.tolist() for b in token_batches(np.array([3, 16, 8, 5]), budget=16, multiple=8)]
        [[1], [2, 3], [0]]
    """
    if budget < 1 or (most is not None and most < 1):
        raise ConfigError(f"a batch of {budget} tokens and {most} rows holds nothing; both must be at least 1")
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    wide = -(-np.maximum(np.asarray(lengths, np.int64)[order], 1) // multiple) * multiple
    batches, start = [], 0
    while start < len(order):
        rows = max(1, budget // int(wide[start]))
        stop = start + (rows if most is None else min(rows, most))
        batches.append(order[start:stop])
        start = stop
    return batches


def bucketed_batches(
    costs: NDArray[np.int64], *, rows: int, seed: int, epoch: int, window: int = 50
) -> list[NDArray[np.int64]]:
    """Cut rows into training steps: random make-up, yet rows of similar length together.

    The rows are shuffled; within each window of `window` steps they are sorted by length and cut into steps, and the
    steps are shuffled. Every row comes once an epoch, and every step but the last has exactly `rows` rows, as with
    ordinary batches. `token_batches` then cuts a step into what fits in memory.

    Args:
        costs: Tokens of each row.
        rows: Rows of one step.
        seed: Seed of the run.
        epoch: Number of the epoch; each has its own order.
        window: Steps that are sorted together: 1 is a plain shuffle, more means less padding and less mixing.

    Returns:
        Positions of the rows of each step; a step with fewer rows comes last.

    Raises:
        ConfigError: If rows or window is below 1.

    Example:
        >>> steps = bucketed_batches(np.array([1, 9, 2, 8, 1]), rows=2, seed=0, epoch=0)
        >>> [len(step) for step in steps], sorted(np.concatenate(steps).tolist())
        ([2, 2, 1], [0, 1, 2, 3, 4])
    """
    if rows < 1 or window < 1:
        raise ConfigError(f"steps of {rows} rows in windows of {window} steps; both must be at least 1")
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(costs))
    full = len(costs) // rows * rows
    steps: list[NDArray[np.int64]] = []
    for start in range(0, full, rows * window):
        part = shuffled[start : min(full, start + rows * window)]
        ordered = part[np.argsort(np.asarray(costs)[part], kind="stable")]
        steps.extend(ordered.reshape(-1, rows))
    steps = [steps[i] for i in rng.permutation(len(steps))]
    return steps + ([shuffled[full:]] if full < len(costs) else [])


def length_groups(
    costs: NDArray[np.int64], *, rows: int, group: int, seed: int, epoch: int
) -> list[list[NDArray[np.int64]]]:
    """Cut rows into training steps that go from short rows to long ones, in groups of similar length.

    The rows are sorted by length, rows of one length in random order, and cut into groups; each group is shuffled and
    divided evenly into steps, so that no step of a few rows moves the weights as far as a full one. Every row comes
    once an epoch.

    Args:
        costs: Tokens of each row.
        rows: The most rows of one step.
        group: Rows of one group.
        seed: Seed of the run.
        epoch: Number of the epoch; each has its own order within the groups.

    Returns:
        For each group, shortest first, the positions of the rows of each step.

    Raises:
        ConfigError: If rows or group is below 1.

    Example:
        >>> groups = length_groups(np.array([5, 1, 9, 2, 8, 1]), rows=2, group=3, seed=0, epoch=0)
        >>> [sorted(np.concatenate(steps).tolist()) for steps in groups], [len(steps) for steps in groups]
        ([[1, 3, 5], [0, 2, 4]], [2, 2])
    """
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(costs))
    ordered = shuffled[np.argsort(np.asarray(costs)[shuffled], kind="stable")]
    groups, start = [], 0
    for size in group_sizes(len(costs), group, rows):
        part = rng.permutation(ordered[start : start + size])
        groups.append(np.array_split(part, -(-size // rows)))
        start += size
    return groups


def group_sizes(count: int, group: int, rows: int) -> list[int]:
    """Rows of each group of a length curriculum; a remainder too small for one step joins the last group.

    Args:
        count: All rows.
        group: Rows of one group.
        rows: Rows of one step.

    Raises:
        ConfigError: If group or rows is below 1.

    Example:
        >>> group_sizes(450, 200, 16), group_sizes(403, 200, 16)
        ([200, 200, 50], [200, 203])
    """
    if group < 1 or rows < 1:
        raise ConfigError(f"groups of {group} rows in steps of {rows} rows; both must be at least 1")
    full, rest = divmod(count, group)
    sizes = [group] * full
    if rest >= rows or not sizes:
        return [*sizes, rest] if rest else sizes
    return [*sizes[:-1], sizes[-1] + rest]
