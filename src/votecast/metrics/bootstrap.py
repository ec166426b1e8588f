"""Bootstrap over clusters of rows: which clusters are drawn how often, and the intervals that follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import ConfigError
from votecast.metrics.checks import check_groups, check_rows
from votecast.metrics.rows import Floats, log_losses

LEVEL: Final = 0.95
MAX_BLOCKS: Final = 2048
"""More clusters than this are put together at random into so many blocks, which are drawn instead.

Blocks of independent clusters are independent too: the intervals stay what they are (their width to 2 %), and time and
memory stop growing with the number of clusters.
"""


class ClusterDraws:
    """A thousand files drawn from one: clusters with replacement, as many as there are (Field & Welsh 2007).

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

    def __init__(self, groups: NDArray[np.int64], draws: int, seed: int) -> None:
        if min(draws, seed) < 0:
            raise ConfigError(f"draws is {draws} and seed {seed}; allowed are whole numbers from 0 up")
        rng = np.random.default_rng(seed)
        clusters = int(groups.max()) + 1
        size = min(clusters, MAX_BLOCKS)
        self.blocks = groups if size == clusters else (rng.permutation(clusters) % size)[groups]
        self.counts = np.empty((draws, size))
        for draw in range(draws):
            self.counts[draw] = np.bincount(rng.integers(size, size=size), minlength=size)

    def __len__(self) -> int:
        return len(self.counts)

    def sums(self, statistics: Floats) -> Floats:
        """Sums of statistics over each drawn file.

        Args:
            statistics: Sums over the rows of each block, shape (blocks, k).

        Returns:
            Array of shape (draws, k).
        """
        return np.asarray(self.counts @ statistics)


def interval(values: Floats, *, around: Floats | None = None) -> tuple[Floats, Floats]:
    """Percentile interval that holds 95 % of the draws; NaN where no draw has a value.

    Args:
        values: Figure of each draw, shape (draws,) or (draws, k).
        around: Figures that the draws are shifted to centre on, for figures that resampling itself raises, such as the
            calibration error: the percentiles of the raw draws would lie above the figure.

    Returns:
        Lower and upper end, each of the shape of one draw.
    """
    bare = np.isnan(values).all(axis=0) if len(values) else np.ones(values.shape[1:], dtype=bool)
    filled = np.where(bare, 0.0, values) if len(values) else np.zeros((1, *values.shape[1:]))
    if around is not None:
        filled = filled + (around - np.nanmean(filled, axis=0))
    low, high = np.nanquantile(filled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return np.where(bare, np.nan, low), np.where(bare, np.nan, high)


def paired_gain(
    targets: ArrayLike,
    probabilities: ArrayLike,
    reference: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    loss: Callable[[Floats, Floats], Floats] = log_losses,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """How much less a judge loses than another one on the same rows, with a 95 % interval from clusters drawn in pairs.

    Args:
        targets: Votes, shape (n, 3).
        probabilities: Forecasts of the judge, shape (n, 3).
        reference: Forecasts of the other judge, shape (n, 3).
        weights: How much each row counts, shape (n,).
        groups: Cluster (prompt) of each row, shape (n,); every row for itself where None.
        loss: From targets and forecasts to one loss a row; log loss unless told otherwise.
        draws: How many files are drawn.
        seed: Seed of the draws.

    Returns:
        Mean loss of the reference minus that of the judge, and the ends of its interval (NaN below two clusters).

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> votes, judge, coin = np.eye(3), [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]], np.full((3, 3), 1 / 3)
        >>> round(paired_gain(votes, judge, coin)[0], 4)
        0.8755
    """
    t, p, w = check_rows(targets, probabilities, weights)
    q = check_rows(targets, reference, weights).probabilities
    cluster = check_groups(groups, len(w))
    drawn = ClusterDraws(cluster, draws, seed)
    size = drawn.counts.shape[1]
    columns = (w * (loss(t, q) - loss(t, p)), w)
    sums: Floats = np.stack([np.bincount(drawn.blocks, column, minlength=size) for column in columns], axis=1)
    gain, mass = drawn.sums(sums).T
    few = np.full(draws, np.nan)
    low, high = interval(np.divide(gain, mass, out=few, where=mass > 0) if size > 1 else few)
    return float(sums[:, 0].sum() / w.sum()), float(low), float(high)
