"""Intervals: the bootstrap over clusters of rows, Wilson's interval of a share, and figures that carry them.

Called by the evaluation, the audit, the leaderboard and every report of a difference between two judges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from votecast.errors import ConfigError
from votecast.metrics.checks import check_groups, check_rows
from votecast.metrics.scores import log_losses
from votecast.types import Floats, Ints

LEVEL: Final = 0.95
NORMAL_95: Final = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""

MAX_BLOCKS: Final = 2048
"""More clusters than this are joined at random into so many blocks, which are drawn instead.

Blocks of independent clusters are independent too: intervals keep their width to 2 %, and time and memory stop growing
with the number of clusters.
"""


class Figure(NamedTuple):
    """One number with its 95 % interval, from `low` to `high`; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """Return the figure for JSON: null where it is not defined.

        Example:
            >>> Figure(0.5, float("nan"), 0.75).to_dict()
            {'value': 0.5, 'low': None, 'high': 0.75}
        """
        return {name: number if math.isfinite(number) else None for name, number in self._asdict().items()}


Figures = Mapping[str, Figure]


def as_json(value: object) -> object:
    """Turn figures, dataclasses, mappings and arrays into JSON values; NaN becomes None.

    Example:
        >>> as_json({"share": Figure(0.5, float("nan"), 0.75), "names": ("x", "y")})
        {'share': {'value': 0.5, 'low': None, 'high': 0.75}, 'names': ['x', 'y']}
    """
    if isinstance(value, Figure):
        return value.to_dict()
    if is_dataclass(value):
        return {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): as_json(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return as_json(value.tolist())
    if isinstance(value, list | tuple):
        return [as_json(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class ClusterDraws:
    """Bootstrap files: clusters drawn with replacement, as many as there are (Field & Welsh 2007).

    Args:
        groups: Cluster of each row, numbered from 0, shape (n,).
        draws: How many files are drawn.
        seed: Seed of the draws.

    Attributes:
        blocks: Block of each row, numbered from 0, shape (n,); a block is a cluster unless there are too many.
        counts: How often each block is drawn, shape (draws, blocks).

    Raises:
        ConfigError: If `draws` or `seed` is below 0.
    """

    def __init__(self, groups: Ints, draws: int, seed: int) -> None:
        if min(draws, seed) < 0:
            raise ConfigError(f"draws is {draws} and seed {seed}; allowed are whole numbers from 0 up")
        rng = np.random.default_rng(seed)
        clusters = int(groups.max()) + 1
        size = min(clusters, MAX_BLOCKS)
        self.blocks = groups if size == clusters else (rng.permutation(clusters) % size)[groups]
        self.counts = np.empty((draws, size))
        # one bincount a draw: a matrix of drawn numbers would need draws x clusters integers
        for draw in range(draws):
            self.counts[draw] = np.bincount(rng.integers(size, size=size), minlength=size)

    def __len__(self) -> int:
        return len(self.counts)

    def sums(self, statistics: Floats) -> Floats:
        """Sum statistics of blocks, shape (blocks, k), over each drawn file, shape (draws, k)."""
        return np.asarray(self.counts @ statistics)


def interval(values: Floats, *, around: Floats | None = None) -> tuple[Floats, Floats]:
    """Return the ends of the percentile interval of draws; NaN where none has a value.

    Args:
        values: Figure of each draw, shape (draws,) or (draws, k).
        around: Figures that the draws are shifted to centre on, for figures that resampling itself raises, such as the
            calibration error: the percentiles of the raw draws would lie above the figure.
    """
    bare = np.isnan(values).all(axis=0) if len(values) else np.ones(values.shape[1:], dtype=bool)
    filled = np.where(bare, 0.0, values) if len(values) else np.zeros((1, *values.shape[1:]))
    if around is not None:
        filled = filled + (around - np.nanmean(filled, axis=0))
    low, high = np.nanquantile(filled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return np.where(bare, np.nan, low), np.where(bare, np.nan, high)


def wilson_interval(share: ArrayLike, votes: ArrayLike) -> tuple[Floats, Floats]:
    """Return the ends of the 95 % interval of a share among so many independent votes (Wilson 1927).

    Args:
        share: Shares in [0, 1], any shape; NaN stays NaN.
        votes: How many votes each share is taken of, above 0, same shape.

    Example:
        >>> low, high = wilson_interval(0.5, 10)
        >>> round(float(low), 3), round(float(high), 3)
        (0.237, 0.763)
    """
    p, n = np.asarray(share, dtype=np.float64), np.asarray(votes, dtype=np.float64)
    more = NORMAL_95**2 / n
    centre = (p + more / 2) / (1 + more)
    half = NORMAL_95 * np.sqrt(p * (1 - p) / n + more / (4 * n)) / (1 + more)
    # rounding must not push an end past the share, nor past 0 and 1 where all votes agree
    return np.clip(np.minimum(centre - half, p), 0.0, 1.0), np.clip(np.maximum(centre + half, p), 0.0, 1.0)


def paired_gain(
    targets: ArrayLike,
    probabilities: ArrayLike,
    reference: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return how much log loss a judge saves, with the ends of its interval (NaN below two clusters).

    Both are measured on the same rows, and clusters of rows are drawn in pairs.

    Args:
        targets: Votes, shape (n, 3).
        probabilities: Predictions of the judge, shape (n, 3).
        reference: Predictions of the other judge, shape (n, 3).
        weights: How much each row counts, shape (n,).
        groups: Cluster (prompt) of each row, shape (n,); every row for itself where None.
        draws: How many files are drawn.
        seed: Seed of the draws.

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> votes, judge, coin = np.eye(3), [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]], np.full((3, 3), 1 / 3)
        >>> round(paired_gain(votes, judge, coin)[0], 4)
        0.8755
    """
    t, p, w = check_rows(targets, probabilities, weights)
    q = check_rows(targets, reference, weights).probabilities
    drawn = ClusterDraws(check_groups(groups, len(w)), draws, seed)
    return mean_gain(log_losses(t, q) - log_losses(t, p), w, drawn)


def mean_gain(gains: Floats, weights: Floats, drawn: ClusterDraws) -> tuple[float, float, float]:
    """Return the weighted mean of gains (n,), with its interval over drawn files (NaN below two clusters)."""
    size = drawn.counts.shape[1]
    # sums of gains and of weights over each block, (blocks, 2): a ratio of both is the mean gain of a drawn file
    columns = (weights * gains, weights)
    sums: Floats = np.stack([np.bincount(drawn.blocks, column, minlength=size) for column in columns], axis=1)
    gain, mass = drawn.sums(sums).T
    few = np.full(len(drawn), np.nan)
    low, high = interval(np.divide(gain, mass, out=few, where=mass > 0) if size > 1 else few)
    return float(sums[:, 0].sum() / weights.sum()), float(low), float(high)
