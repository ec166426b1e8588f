"""How often people call both answers bad where a model takes part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_Z95: Final = 1.959963984540054

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BothBad:
    """Votes against both answers, model by model.

    Args:
        votes: Weight of the votes against both answers that a model took part in, shape (m,).
        share: Their share of all its votes, shape (m,).
        low: Lower end of the 95 % interval, shape (m,).
        high: Upper end, shape (m,).
    """

    votes: Floats
    share: Floats
    low: Floats
    high: Floats


def both_bad_shares(models: int, a: Ints, b: Ints, bad: NDArray[np.bool_], weights: Floats, clusters: Ints) -> BothBad:
    """Shares with the interval of Wilson (1927), on as many votes as the clusters leave (Kish 1965, effective size).

    Args:
        models: How many models there are.
        a: The model that wrote the first answer, shape (n,).
        b: The model that wrote the second answer, shape (n,).
        bad: Which votes are against both answers, shape (n,).
        weights: How much each row counts, shape (n,).
        clusters: Cluster of each row, shape (n,).

    Example:
        >>> two = np.array([0, 0]), np.array([1, 2])
        >>> shares = both_bad_shares(3, *two, np.array([True, False]), np.ones(2), np.arange(2))
        >>> shares.share.tolist(), shares.votes.tolist()
        ([0.5, 1.0, 0.0], [1.0, 1.0, 0.0])
    """
    side = np.concatenate([a, b])
    weight, flag, cluster = (np.tile(values, 2) for values in (weights, bad.astype(np.float64), clusters))
    total = np.bincount(side, weight, models)
    votes: Floats = np.bincount(side, weight * flag, models).astype(np.float64)
    share: Floats = np.divide(votes, total, out=np.full(models, np.nan), where=total > 0)
    keys, unit = np.unique(side * (int(clusters.max(initial=0)) + 1) + cluster, return_inverse=True)
    owner = keys // (int(clusters.max(initial=0)) + 1)
    units = np.bincount(owner, minlength=models).astype(np.float64)
    off = np.bincount(unit.reshape(-1), weight * (flag - share[side]))
    scaled = np.divide(units, units - 1, out=np.ones(models), where=units > 1)
    spread = scaled * np.bincount(owner, off**2, models) / np.maximum(total, 1e-300) ** 2
    sure = np.divide(share * (1 - share), spread, out=units.copy(), where=spread > 0)
    low, high = _wilson(share, np.minimum(sure, np.maximum(total, 1e-300)))
    return BothBad(votes, share, low, high)


def _wilson(share: Floats, size: Floats) -> tuple[Floats, Floats]:
    more = _Z95**2 / size
    centre = (share + more / 2) / (1 + more)
    half = _Z95 * np.sqrt(share * (1 - share) / size + more / (4 * size)) / (1 + more)
    low, high = np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
    return np.where(share == 0, 0.0, low), np.where(share == 1, 1.0, high)
