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
