"""Means over clusters of prompts, their tests against 0, and the correction for many tests.

Used by every module of the audit: a `Finding` is a figure that is 0 for a judge without the fault in question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from votecast.metrics import Figure
from votecast.metrics.intervals import LEVEL, ClusterDraws, interval
from votecast.metrics.scores import ratio
from votecast.types import Bools, Floats, Ints

CORRECTION: Final = "Benjamini-Hochberg"
FALSE_DISCOVERY_RATE: Final = round(1 - LEVEL, 6)
"""Expected share of marked figures that are chance."""

FAULTS: Final = "faults"
DIFFERENCES: Final = "differences"

LEAST_PROMPTS: Final = 20
"""With fewer prompts on a side nothing is tested: a mean of so few skewed numbers is not normal enough."""

Part = TypeVar("Part")


@dataclass(frozen=True)
class Finding:
    """A figure that is 0 for a judge without the fault.

    Args:
        value: The figure.
        low: Lower end of its 95 % interval, by Student's t over clusters; NaN where there are too few.
        high: Upper end.
        p: Two-sided p-value of the figure being 0, before any correction; NaN where it was not tested.
        q: The same, corrected for all tests of its family.
        family: "faults", which a good judge has none of, or "differences", which it may have.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")
    p: float = float("nan")
    q: float = float("nan")
    family: str = FAULTS

    @property
    def figure(self) -> Figure:
        """The figure with its interval alone."""
        return Figure(self.value, self.low, self.high)

    @property
    def is_tested(self) -> bool:
        """Whether there were enough prompts to test it."""
        return not np.isnan(self.p)

    @property
    def marked(self) -> bool:
        """Whether the figure differs from 0 after the correction."""
        return self.q <= FALSE_DISCOVERY_RATE

    @property
    def above(self) -> bool:
        """Whether it is above 0 after the correction."""
        return self.marked and self.value > 0

    @property
    def below(self) -> bool:
        """Whether it is below 0 after the correction."""
        return self.marked and self.value < 0


def student_finding(value: float, error: float, degrees: int) -> Finding:
    """Test a figure with its standard error against 0 by Student's t."""
    if not error > 1e-12 * max(1.0, abs(value)) or degrees < 1:
        return Finding(value)
    half = error * float(stdtrit(degrees, (1 + LEVEL) / 2))
    return Finding(value, value - half, value + half, float(2 * stdtr(degrees, -abs(value) / error)))


@dataclass(frozen=True)
class ClusterSums:
    """Rows in clusters of prompts, and the bootstrap samples drawn from them."""

    # how much each row counts, and its cluster, numbered from 0, (n,)
    weights: Floats
    clusters: Ints
    drawn: ClusterDraws

    def count_prompts(self, rows: Bools) -> int:
        """Count the prompts of these rows."""
        return int(np.count_nonzero(np.bincount(self.clusters[rows])))

    def mean(self, values: Floats, rows: Bools | None = None) -> Figure:
        """Average a value over some rows, with its bootstrap interval."""
        return self.share(values, np.ones(len(values)), rows)

    def share(self, above: Floats, below: Floats, rows: Bools | None = None) -> Figure:
        """Divide the weighted sum of `above` by that of `below` over some rows, with its bootstrap interval."""
        chosen = slice(None) if rows is None else np.flatnonzero(rows)
        w, block = self.weights[chosen], self.drawn.blocks[chosen]
        columns = np.stack([w * above[chosen], w * below[chosen]])  # (2, rows)
        value = float(ratio(columns[0].sum(), columns[1].sum()))
        if np.isnan(value) or not len(self.drawn) or not len(block) or block.min() == block.max():
            return Figure(value, float("nan"), float("nan"))
        size = self.drawn.counts.shape[1]
        sums: Floats = np.stack([np.bincount(block, column, minlength=size) for column in columns], axis=1)
        low, high = interval(ratio(*self.drawn.sums(sums).T))
        return Figure(value, float(low), float(high))

    def test_mean(self, values: Floats, rows: Bools | None = None, *, noise: Floats | None = None) -> Finding:
        """Average a value over some rows and test whether it is 0; `noise` is its variance if predictions were true."""
        value, pulls, prompts = self._mean_by_cluster(values, rows)
        least = 0.0
        if noise is not None:
            # the standard error of a few skewed values is too small whenever their mean is: it is never taken for less
            # than true predictions imply
            w = self.weights if rows is None else self.weights * rows
            least = float(np.square(w / max(w.sum(), 1e-300)) @ noise)
        return _test_clusters(value, np.sqrt(max(_variance(pulls, prompts), least)), prompts)

    def test_below_zero(self, values: Floats, rows: Bools) -> Finding:
        """Average a value over some rows and test, one-sided, whether it is below 0."""
        found = self.test_mean(values, rows)
        return replace(found, p=found.p / 2 if found.value < 0 else 1 - found.p / 2)

    def test_against_rest(self, values: Floats, rows: Bools) -> Finding:
        """Subtract the mean over the other rows from that over some, and test it."""
        (inside, pulls, prompts), (outside, others, other_prompts) = (
            self._mean_by_cluster(values, part) for part in (rows, ~rows)
        )
        least = min(prompts, other_prompts)
        error = np.sqrt(_variance(pulls - others, least))
        return replace(_test_clusters(inside - outside, error, least), family=DIFFERENCES)

    def _mean_by_cluster(self, values: Floats, rows: Bools | None) -> tuple[float, Floats, int]:
        """Return a mean, the linearised share of each cluster in it, and the number of clusters."""
        chosen = np.flatnonzero(self.weights if rows is None else rows & (self.weights > 0))
        w, clusters, x = self.weights[chosen], self.clusters[chosen], values[chosen]
        size = int(self.clusters.max()) + 1
        if not len(chosen):
            return float("nan"), np.zeros(size), 0
        value = float(w @ x / w.sum())
        pulls = np.bincount(clusters, w * (x - value) / w.sum(), minlength=size).astype(np.float64)  # (clusters,)
        return value, pulls, int(np.count_nonzero(np.bincount(clusters)))


def _variance(pulls: Floats, prompts: int) -> float:
    """Variance of a mean by the sandwich estimator over clusters, times G / (G - 1)."""
    return float(np.square(pulls).sum() * prompts / max(prompts - 1, 1))


def _test_clusters(value: float, error: float, prompts: int) -> Finding:
    return Finding(value) if prompts < LEAST_PROMPTS else student_finding(value, float(error), prompts - 1)


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Correct p-values so that the false discovery rate holds; NaN does not count as a test.

    Example:
        >>> benjamini_hochberg([0.01, 0.02, 0.9, float("nan")]).tolist()
        [0.03, 0.03, 0.9, nan]
    """
    given = np.asarray(p, dtype=np.float64)
    out = np.full(given.shape, np.nan)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    # step-up procedure as adjusted p-values (Benjamini & Hochberg 1995)
    raised = given[order] * len(order) / np.arange(1, len(order) + 1)
    out[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return out


def correct_findings(part: Part) -> tuple[Part, dict[str, int]]:
    """Correct every test inside a result for all others of its family, and count the tests of each family."""
    found = list_findings(part)
    p, families = np.array([one.p for one in found]), np.array([one.family for one in found])
    q, counts = np.full(len(found), np.nan), {}
    for name in (FAULTS, DIFFERENCES):
        q[families == name] = benjamini_hochberg(p[families == name])
        counts[name] = int((~np.isnan(q[families == name])).sum())
    corrected = iter(q.tolist())
    return map_findings(part, lambda one: replace(one, q=next(corrected))), counts


def list_findings(value: object) -> list[Finding]:
    """List every finding inside a result, in order."""
    if isinstance(value, Finding):
        return [value]
    entries = vars(value) if is_dataclass(value) else value
    parts = entries.values() if isinstance(entries, Mapping) else entries if isinstance(entries, list | tuple) else ()
    return [finding for part in parts for finding in list_findings(part)]


def map_findings(value: Any, change: Callable[[Finding], Finding]) -> Any:
    """Rebuild a result with every finding inside it changed, in order."""
    if isinstance(value, Finding):
        return change(value)
    if isinstance(value, Figure):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{name: map_findings(entry, change) for name, entry in vars(value).items()})
    if isinstance(value, Mapping):
        return {name: map_findings(entry, change) for name, entry in value.items()}
    return type(value)(map_findings(entry, change) for entry in value) if isinstance(value, list | tuple) else value
