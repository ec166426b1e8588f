"""Shares and differences of shares, with intervals over clusters of prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from votecast.metrics import Figure
from votecast.metrics.intervals import LEVEL, ClusterDraws, interval
from votecast.metrics.scores import ratio
from votecast.reports.audit.correction import DIFFERENCES, Finding
from votecast.types import Floats

LEAST_PROMPTS: Final = 20
"""With fewer prompts on a side nothing is tested: a mean of so few skewed numbers is not normal enough."""


@dataclass(frozen=True)
class Sums:
    """Rows in clusters, and the files drawn from them.

    Args:
        weights: How much each row counts, shape (n,).
        clusters: Cluster of each row, numbered from 0, shape (n,).
        drawn: The bootstrap files.
    """

    weights: Floats
    clusters: NDArray[np.int64]
    drawn: ClusterDraws

    def prompts(self, rows: NDArray[np.bool_]) -> int:
        """From how many prompts these rows are."""
        return int(np.count_nonzero(np.bincount(self.clusters[rows])))

    def mean(self, values: Floats, rows: NDArray[np.bool_] | None = None) -> Figure:
        """Weighted mean of a value over some rows, with its bootstrap interval."""
        return self.share(values, np.ones(len(values)), rows)

    def share(self, above: Floats, below: Floats, rows: NDArray[np.bool_] | None = None) -> Figure:
        """Sum of `above` over the sum of `below`, both weighted, with its bootstrap interval.

        Args:
            above: Shape (n,).
            below: At least 0, shape (n,).
            rows: Which rows count, shape (n,); all where None.
        """
        chosen = slice(None) if rows is None else np.flatnonzero(rows)
        w, block = self.weights[chosen], self.drawn.blocks[chosen]
        columns = np.stack([w * above[chosen], w * below[chosen]])
        value = float(ratio(columns[0].sum(), columns[1].sum()))
        if np.isnan(value) or not len(self.drawn) or not len(block) or block.min() == block.max():
            return Figure(value, float("nan"), float("nan"))
        size = self.drawn.counts.shape[1]
        sums: Floats = np.stack([np.bincount(block, column, minlength=size) for column in columns], axis=1)
        low, high = interval(ratio(*self.drawn.sums(sums).T))
        return Figure(value, float(low), float(high))

    def tested(self, values: Floats, rows: NDArray[np.bool_] | None = None, *, noise: Floats | None = None) -> Finding:
        """Weighted mean of a value over some rows, and whether it is 0.

        Args:
            values: Shape (n,).
            rows: Which rows count, shape (n,); all where None.
            noise: Variance of each value if the forecasts were true, shape (n,): the standard error is never taken for
                less than it implies, because that of a few skewed values is too small whenever their mean is.
        """
        mean = self._mean(values, rows)
        least = 0.0 if noise is None else float(np.square(self._shares(rows)) @ noise)
        return _judged(mean.value, float(np.sqrt(max(_variance(mean.pulls, mean.prompts), least))), mean.prompts)

    def below(self, values: Floats, rows: NDArray[np.bool_]) -> Finding:
        """Weighted mean of a value over some rows, and whether it is below 0: the test is one-sided."""
        found = self.tested(values, rows)
        return replace(found, p=found.p / 2 if found.value < 0 else 1 - found.p / 2)

    def against_rest(self, values: Floats, rows: NDArray[np.bool_]) -> Finding:
        """Weighted mean over some rows minus that over the others, and whether there is a difference."""
        inside, outside = self._mean(values, rows), self._mean(values, ~rows)
        prompts = min(inside.prompts, outside.prompts)
        error = float(np.sqrt(_variance(inside.pulls - outside.pulls, prompts)))
        return replace(_judged(inside.value - outside.value, error, prompts), family=DIFFERENCES)

    def _shares(self, rows: NDArray[np.bool_] | None) -> Floats:
        w = self.weights if rows is None else self.weights * rows
        return np.asarray(w / max(w.sum(), 1e-300))

    def _mean(self, values: Floats, rows: NDArray[np.bool_] | None) -> _Mean:
        chosen = np.flatnonzero(self.weights if rows is None else rows & (self.weights > 0))
        w, clusters, x = self.weights[chosen], self.clusters[chosen], values[chosen]
        size = int(self.clusters.max()) + 1
        if not len(chosen):
            return _Mean(float("nan"), np.zeros(size), 0)
        value = float(w @ x / w.sum())
        pulls = np.bincount(clusters, w * (x - value) / w.sum(), minlength=size).astype(np.float64)
        return _Mean(value, pulls, int(np.count_nonzero(np.bincount(clusters))))


class _Mean(NamedTuple):
    """A mean, how far each cluster pulls it (the linearised mean, cluster by cluster), and how many clusters do."""

    value: float
    pulls: Floats
    prompts: int


def _variance(pulls: Floats, prompts: int) -> float:
    """Variance of a mean by the sandwich estimator over clusters, times G / (G - 1)."""
    return float(np.square(pulls).sum() * prompts / max(prompts - 1, 1))


def _judged(value: float, error: float, prompts: int) -> Finding:
    return Finding(value) if prompts < LEAST_PROMPTS else student(value, error, prompts - 1)


def student(value: float, error: float, degrees: int) -> Finding:
    """A figure with its standard error, against 0, by Student's t with so many degrees of freedom."""
    if not error > 1e-12 * max(1.0, abs(value)) or degrees < 1:
        return Finding(value)
    half = error * float(stdtrit(degrees, (1 + LEVEL) / 2))
    return Finding(value, value - half, value + half, float(2 * stdtr(degrees, -abs(value) / error)))
