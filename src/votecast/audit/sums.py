"""Shares and differences of shares, with intervals over clusters of prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from votecast.audit.correction import DIFFERENCES, Tested
from votecast.metrics.bootstrap import LEVEL, ClusterDraws, interval
from votecast.metrics.result import Figure
from votecast.metrics.rows import Floats
from votecast.metrics.scores import ratio

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

    def tested(self, values: Floats, rows: NDArray[np.bool_] | None = None) -> Tested:
        """Weighted mean of a value over some rows, and whether it is 0."""
        part = np.ones(len(values), np.bool_) if rows is None else rows
        value, pull = self._pull(values, part)
        return self._test(value, pull, part)

    def below(self, values: Floats, rows: NDArray[np.bool_]) -> Tested:
        """Weighted mean of a value over some rows, and whether it is below 0: the test is one-sided."""
        found = self.tested(values, rows)
        return replace(found, p=found.p / 2 if found.value < 0 else 1 - found.p / 2)

    def against_rest(self, values: Floats, rows: NDArray[np.bool_]) -> Tested:
        """Weighted mean over some rows minus that over the others, and whether there is a difference."""
        (inside, pull), (outside, rest) = self._pull(values, rows), self._pull(values, ~rows)
        return replace(self._test(inside - outside, pull - rest, rows, ~rows), family=DIFFERENCES)

    def _pull(self, values: Floats, rows: NDArray[np.bool_]) -> tuple[float, Floats]:
        """The mean over the rows, and how far each row pulls it: its part of the linearised mean, shape (n,)."""
        w = self.weights * rows
        mass = w.sum()
        if mass <= 0:
            return float("nan"), np.full(len(w), np.nan)
        value = float(w @ values / mass)
        return value, w * (values - value) / mass

    def _test(self, value: float, pull: Floats, *sides: NDArray[np.bool_]) -> Tested:
        counted = [self.prompts(side & (self.weights > 0)) for side in sides]
        if np.isnan(value) or min(counted) < LEAST_PROMPTS:
            return Tested(value)
        sums, several = np.bincount(self.clusters, pull), min(counted)
        return student(value, float(np.sqrt(np.square(sums).sum() * several / (several - 1))), several - 1)


def student(value: float, error: float, degrees: int) -> Tested:
    """A figure with its standard error, against 0, by Student's t with so many degrees of freedom."""
    if not error > 1e-12 * max(1.0, abs(value)) or degrees < 1:
        return Tested(value)
    half = error * float(stdtrit(degrees, (1 + LEVEL) / 2))
    return Tested(value, value - half, value + half, float(2 * stdtr(degrees, -abs(value) / error)))
