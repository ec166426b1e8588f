"""Calibration error, reliability curves, and how much error a perfectly calibrated judge would show by chance.

Called by the evaluation (errors) and by the audit (curves).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import DataError
from votecast.metrics.checks import check_groups, check_rows
from votecast.metrics.intervals import ClusterDraws, wilson_interval
from votecast.metrics.scores import decisions
from votecast.types import CLASSES, Floats, Ints, Probabilities

BINS: Final = 15
EVENTS: Final = ("top", *CLASSES)
"""What is predicted: that the top choice matches the vote ("top"), and that the vote is a, b, or tie."""


class Events(NamedTuple):
    """Confidence, outcome and bin of the four events, shape (n, 4)."""

    confidence: Floats
    outcome: Floats
    bin: Ints

    def number(self, event: str) -> int:
        """Return the column of an event; DataError if there is none of that name."""
        if event not in EVENTS:
            raise DataError(f"there is no event {event!r}; allowed are {', '.join(EVENTS)}")
        return EVENTS.index(event)


def events(targets: Probabilities, p: Probabilities) -> Events:
    """Return the four binary predictions of each row, and their bins."""
    confidence = np.column_stack([p.max(axis=1), p])  # (n, 4)
    outcome = np.column_stack([(targets * decisions(p)).sum(axis=1), targets])
    # side="left" closes bins on the right, as in the paper; a confidence of 0 falls into the first
    edges = np.linspace(0, 1, BINS + 1)[1:-1]
    return Events(confidence, outcome, np.searchsorted(edges, confidence, side="left").astype(np.int64))


def calibration_error(
    targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None, *, event: str = "top"
) -> float:
    """Return the expected calibration error over 15 bins (Naeini et al. 2015; Guo et al. 2017, eq. 3).

    It is the weighted mean, over bins of equal width, of the distance between mean confidence and share of hits.

    Args:
        targets: Votes, one-hot or soft, shape (n, 3), columns a, b, tie.
        probabilities: Predictions, shape (n, 3).
        weights: How much each row counts, shape (n,).
        event: "top" for the class with the highest probability, or one class: "a", "b", "tie".

    Raises:
        DataError: If these are not probabilities of the same rows, or there is no such event.

    Example:
        >>> round(calibration_error([[1, 0, 0], [0, 1, 0]], [[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]]), 4)
        0.2
    """
    t, p, w = check_rows(targets, probabilities, weights)
    e = events(t, p)
    k = e.number(event)
    gaps = np.bincount(e.bin[:, k], w * (e.confidence[:, k] - e.outcome[:, k]), minlength=BINS)
    return float(np.abs(gaps).sum() / w.sum())


@dataclass(frozen=True)
class ReliabilityCurve:
    """A reliability curve: a point for every bin that holds a row, in rising order; arrays of shape (k,)."""

    confidence: Floats  # mean prediction of the rows in the bin
    share: Floats  # how often the event occurred among them
    low: Floats  # lower end of the 95 % interval of the share
    high: Floats  # upper end
    weight: Floats  # sum of the weights of the rows
    rows: Ints  # how many rows

    def __len__(self) -> int:
        return len(self.share)

    def to_dict(self) -> dict[str, list[float]]:
        """Return the points as JSON-able lists."""
        return {name: array.tolist() for name, array in asdict(self).items()}


def reliability_curve(
    targets: ArrayLike,
    probabilities: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    event: str = "top",
    draws: int = 200,
    seed: int = 0,
) -> ReliabilityCurve:
    """Set predictions against what happened, bin by bin (Niculescu-Mizil & Caruana 2005).

    The calibration error is the mean distance of these points from the diagonal, by weight. The interval of a share is
    Wilson's, for the number of independent votes whose share would scatter as this one does over files drawn by prompt:
    never more than there are rows, and as many as there are prompts where all votes agree.

    Args:
        targets: Votes, shape (n, 3).
        probabilities: Predictions, shape (n, 3).
        weights: How much each row counts, shape (n,).
        groups: Prompt of each row, shape (n,); every row for itself where None.
        event: "top", "a", "b" or "tie".
        draws: How many files are drawn for the intervals; with fewer than 2 they count prompts alone.
        seed: Seed of the draws.

    Example:
        >>> votes = np.eye(3)[[0, 0, 1, 2] * 25]
        >>> curve = reliability_curve(votes, np.tile([0.6, 0.2, 0.2], (100, 1)))
        >>> curve.confidence.round(3), curve.share.round(3), curve.low.round(1), curve.high.round(1)
        (array([0.6]), array([0.5]), array([0.4]), array([0.6]))
    """
    t, p, w = check_rows(targets, probabilities, weights)
    group = check_groups(groups, len(w))
    e = events(t, p)
    k = e.number(event)
    confidence, outcome, place = e.confidence[:, k], e.outcome[:, k], e.bin[:, k]  # (n,)
    mass = np.bincount(place, w, minlength=BINS).astype(np.float64)
    used = np.flatnonzero(mass > 0)
    means = [np.bincount(place, w * each, minlength=BINS)[used] / mass[used] for each in (confidence, outcome)]
    share = np.clip(means[1], 0.0, 1.0)
    low, high = wilson_interval(
        share, _independent_votes(outcome, w, place, group, ClusterDraws(group, draws, seed))[used]
    )
    counts = np.bincount(place[w > 0], minlength=BINS)[used].astype(np.int64)
    return ReliabilityCurve(means[0], share, low, high, mass[used], counts)


def _independent_votes(outcome: Floats, w: Floats, place: Ints, group: Ints, drawn: ClusterDraws) -> Floats:
    """Estimate how many independent votes each bin is worth, shape (bins,)."""
    size = drawn.counts.shape[1]
    cell = drawn.blocks * BINS + place
    sums = [np.bincount(cell, column, minlength=size * BINS).reshape(size, BINS) for column in (w * outcome, w)]
    hits, mass = (drawn.sums(part.astype(np.float64)) for part in sums)  # (draws, bins)
    share = np.divide(hits, mass, out=np.full_like(mass, np.nan), where=mass > 0)
    known = ~np.isnan(share)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, share, 0.0).sum(axis=0) / count
    spread = np.where(known, np.square(share - mean), 0.0).sum(axis=0) / np.maximum(count - 1, 1)
    # Kish's effective number of rows (1965): (sum of weights)^2 / sum of squares
    squares, totals = (np.bincount(place, each, minlength=BINS).astype(np.float64) for each in (np.square(w), w))
    rows = np.divide(np.square(totals), squares, out=np.zeros(BINS), where=squares > 0)
    cells = np.unique(np.stack([place, group])[:, w > 0], axis=1)
    prompts = np.bincount(cells[0], minlength=BINS).astype(np.float64)
    # a share p among n votes scatters by p (1 - p) / n, so the scatter says how many votes it is worth
    spread = spread * prompts / np.maximum(prompts - 1, 1)
    alike = np.divide(mean * (1 - mean), spread, out=prompts.copy(), where=(spread > 1e-12) & (prompts > 1))
    return np.asarray(np.clip(alike, 1.0, np.maximum(rows, 1.0)))


def perfect_calibration_error(
    targets: ArrayLike,
    probabilities: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    event: str = "top",
    draws: int = 200,
    seed: int = 0,
) -> float:
    """Return the calibration error that chance alone gives a perfectly calibrated judge.

    Outcomes are drawn from the predictions themselves, so that the judge is calibrated by construction, and the mean
    error over the draws is returned. Votes on one prompt are dependent, and so are the drawn ones: see `coupling`,
    which alone reads the votes. The arguments are those of `reliability_curve`.

    Example:
        >>> p = np.tile([0.5, 0.3, 0.2], (1000, 1))
        >>> votes = np.eye(3)[np.arange(1000) % 3]
        >>> 0.010 < perfect_calibration_error(votes, p) < 0.015
        True
    """
    t, p, w = check_rows(targets, probabilities, weights)
    e = events(t, p)
    k = e.number(event)
    whole = np.zeros((1, len(w)), dtype=np.int64)
    return float(perfect_errors(e, w, check_groups(groups, len(w)), whole, draws, seed)[0][:, 0, k].mean())


def coupling(e: Events, weights: Floats, groups: Ints) -> tuple[Floats, Floats]:
    """Estimate from the votes how outcomes of one group depend on each other.

    A row is hit where a uniform number falls below its confidence. With probability sqrt(correlation) the row takes
    the number of its group, else one of its own: each row alone is hit exactly as often as it was predicted, and two
    rows of one group share a number with probability `correlation`. The correlation is the one at which the expected
    products of residuals within groups equal those observed (a moment estimate, as for the intraclass correlation).

    Returns:
        The correlation of each event: share of pairs of rows in one group that take the same number, shape (4,). And
        the standard deviation of the residuals against that of single votes, shape (4,): 1 for hard votes, less for
        soft ones, which are means of several votes and scatter less; the drawn residuals are shrunk by it.
    """
    correlation, spread = np.zeros(len(EVENTS)), np.ones(len(EVENTS))
    for k, (p, outcome, bins) in enumerate(zip(e.confidence.T, e.outcome.T, e.bin.T, strict=True)):
        mass = np.bincount(bins, weights, minlength=BINS)
        # confidences moved to the share of hits in their bin, so that miscalibration does not look like dependence
        shift = np.bincount(bins, weights * (outcome - p), minlength=BINS) / np.where(mass > 0, mass, 1)
        level = np.clip(p + shift[bins], 0, 1)
        residual = weights * (outcome - level)
        single = float(np.square(weights) @ (level * (1 - level)))
        if single and not np.all((outcome == 0) | (outcome == 1)):
            spread[k] = min(1.0, float(np.sqrt(np.square(residual).sum() / single)))
        # products of different rows of one group: square of the group's sum less the squares of its rows
        observed = float(np.square(np.bincount(groups, residual)).sum() - np.square(residual).sum())
        alike = spread[k] ** 2 * _shared_products(level, weights, groups)
        if alike > 1e-12 * single:
            correlation[k] = np.clip(observed / alike, 0, 1)
    return correlation, spread


def _shared_products(p: Floats, w: Floats, groups: Ints) -> float:
    """Sum w_i w_j (min(p_i, p_j) - p_i p_j), the covariance of a shared number, over the pairs of each group."""
    # within a group from the largest p on: min(p_i, p_j) is then that of the later row
    order = np.lexsort((-p, groups))
    p, w, g = p[order], w[order], groups[order]
    running = np.cumsum(w) - w
    first = np.concatenate([[True], g[1:] != g[:-1]])
    before = running - np.repeat(running[first], np.diff(np.append(np.flatnonzero(first), len(g))))
    minima = 2 * float(w * p @ before)
    products = float(np.square(np.bincount(g, w * p)).sum() - np.square(w * p).sum())
    return minima - products


def perfect_errors(e: Events, weights: Floats, groups: Ints, parts: Ints, draws: int, seed: int) -> list[Floats]:
    """Simulate calibration errors of a perfectly calibrated judge, for several partitions at once.

    `weights` and `groups` (numbered from 0) have the shape (n,); `parts` has for each partition the part of each row,
    shape (partitions, n). The same rows in another order have the same errors, to the last bit.

    Returns:
        For each partition an array of shape (draws, parts, 4).
    """
    rng = np.random.default_rng(seed)
    order, groups = _order_by_content(e, weights, groups, parts)
    e, weights, parts = Events(e.confidence[order], e.outcome[order], e.bin[order]), weights[order], parts[:, order]
    correlation, spread = coupling(e, weights, groups)
    sizes = [int(part.max()) + 1 for part in parts]
    totals = [np.bincount(part, weights, minlength=size) for part, size in zip(parts, sizes, strict=True)]
    out = [np.empty((draws, size, len(EVENTS))) for size in sizes]
    for draw in range(draws):
        # the four events see the same uniform numbers
        own, choice = rng.random(len(groups)), rng.random(len(groups))
        shared = rng.random(int(groups.max()) + 1)[groups]
        uniform = np.where(choice[:, None] < np.sqrt(correlation), shared[:, None], own[:, None])  # (n, 4)
        residuals = spread * ((uniform < e.confidence) - e.confidence) * weights[:, None]
        for part, size, total, errors in zip(parts, sizes, totals, out, strict=True):
            for k in range(len(EVENTS)):
                gaps = np.bincount(part * BINS + e.bin[:, k], residuals[:, k], minlength=size * BINS)
                errors[draw, :, k] = np.abs(gaps).reshape(size, BINS).sum(axis=1) / np.where(total > 0, total, np.nan)
    return out


def _order_by_content(e: Events, weights: Floats, groups: Ints, parts: Ints) -> tuple[Ints, Ints]:
    """Order rows by what they and their groups hold, whatever their order in the file and the numbers of the groups.

    Returns:
        The order, shape (n,), and the groups in this order, numbered anew, shape (n,).
    """
    a, b, tie = e.confidence[:, 1:].T
    # blind to which side is a, so that a file with all responses swapped draws the same numbers
    blind = _hash_columns([_hash_columns([a]) + _hash_columns([b]), tie, weights])
    exact = _hash_columns([blind, a, *e.outcome.T, *parts])
    sums = np.zeros((2, int(groups.max()) + 1), dtype=np.uint64)  # of groups: a sum knows no order
    for total, rows in zip(sums, (blind, exact), strict=True):
        np.add.at(total, groups, rows)
    # rows of several groups that are alike in all of this are interchangeable
    order = np.lexsort((exact, blind, groups, sums[1][groups], sums[0][groups])).astype(np.int64)
    new = np.diff(groups[order], prepend=groups[order[0]]) != 0
    return order, np.cumsum(new)


def _hash_columns(columns: Sequence[NDArray[Any]]) -> NDArray[np.uint64]:
    """Hash rows of numbers to 64 bits, shape (n,), with the finalizer of SplitMix64 (Steele et al. 2014)."""
    found = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        bits = column if column.dtype == np.uint64 else (column.astype(np.float64) + 0.0).view(np.uint64)  # -0.0 is 0.0
        found = found + bits + np.uint64(0x9E3779B97F4A7C15)
        found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        found = found ^ (found >> np.uint64(31))
    return found
