"""Reliability curves: how often what was forecast came true, at each confidence, with intervals; numpy only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import ConfigError, DataError
from votecast.metrics.bootstrap import ClusterDraws
from votecast.metrics.checks import Checked, check_groups, check_rows
from votecast.metrics.reliability import BINS, EVENTS
from votecast.metrics.rows import Floats, decisions
from votecast.types import CLASSES

_NORMAL: Final = 1.959963984540054


@dataclass(frozen=True)
class Curve:
    """One reliability curve: a point for every bin that holds a row, in rising order.

    Args:
        confidence: Mean forecast of the rows in the bin, shape (k,).
        share: How often the event occurred among them, shape (k,).
        low: Lower end of the 95 % interval of the share, shape (k,).
        high: Upper end, shape (k,).
        weight: Sum of the weights of the rows, shape (k,).
        rows: How many rows, shape (k,).
    """

    confidence: Floats
    share: Floats
    low: Floats
    high: Floats
    weight: Floats
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.share)

    def to_dict(self) -> dict[str, list[Any]]:
        """The points as JSON-able lists."""
        return {name: array.tolist() for name, array in asdict(self).items()}


def reliability_curve(
    targets: ArrayLike,
    p: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    event: str = "top",
    bins: int = BINS,
    draws: int = 200,
    seed: int = 0,
) -> Curve:
    """Forecasts against what happened, in bins of equal width, closed on the right (Niculescu-Mizil & Caruana 2005).

    The calibration error of `calibration_error` is the mean distance of these points from the diagonal, by weight. The
    interval of a share is Wilson's (1927), for the number of independent votes whose share would scatter as this one
    does over files drawn by prompt: never more than there are rows, and as many as there are prompts where every vote
    in the bin says the same.

    Args:
        targets: Votes, one-hot or soft, shape (n, 3), columns a, b, tie.
        p: Forecasts, shape (n, 3).
        weights: How much each row counts, shape (n,).
        groups: Prompt of each row, shape (n,); every row for itself where None.
        event: "top" for the decision being right, or one class: "a", "b", "tie".
        bins: How many bins of equal width.
        draws: How many files are drawn for the intervals; with fewer than 2 they count prompts alone.
        seed: Seed of the draws.

    Raises:
        DataError: If these are not probabilities of the same rows, or there is no such event.
        ConfigError: If `bins` is below 1, or `draws` or `seed` below 0.

    Example:
        >>> votes = np.eye(3)[[0, 0, 1, 2] * 25]
        >>> curve = reliability_curve(votes, np.tile([0.6, 0.2, 0.2], (100, 1)))
        >>> curve.confidence.round(3), curve.share.round(3), curve.low.round(1), curve.high.round(1)
        (array([0.6]), array([0.5]), array([0.4]), array([0.6]))
    """
    rows = check_rows(targets, p, weights)
    group = check_groups(groups, len(rows.weights))
    if bins < 1:
        raise ConfigError(f"bins is {bins}; allowed are whole numbers from 1 up")
    confidence, outcome = _event(rows, event)
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")
    mass = np.bincount(place, rows.weights, minlength=bins).astype(np.float64)
    used = np.flatnonzero(mass > 0)

    def _means(values: Floats) -> Floats:
        return np.asarray(np.bincount(place, rows.weights * values, minlength=bins)[used] / mass[used])

    share = np.clip(_means(outcome), 0.0, 1.0)
    votes = _votes(outcome, rows.weights, place, group, bins, draws, seed)[used]
    low, high = _wilson(share, votes)
    counts = np.bincount(place[rows.weights > 0], minlength=bins)[used].astype(np.int64)
    return Curve(_means(confidence), share, low, high, mass[used], counts)


def _event(rows: Checked, event: str) -> tuple[Floats, Floats]:
    """Confidence and outcome of each row, both of shape (n,)."""
    t, p, _ = rows
    if event == "top":
        return p.max(axis=1), (t * decisions(p)).sum(axis=1)
    if event not in EVENTS:
        raise DataError(f"there is no event {event!r} to draw a curve of; allowed are {', '.join(EVENTS)}")
    return p[:, CLASSES.index(event)], t[:, CLASSES.index(event)]


def _votes(
    outcome: Floats, w: Floats, place: NDArray[np.int64], group: NDArray[np.int64], bins: int, draws: int, seed: int
) -> Floats:
    """How many independent votes each bin is worth, shape (bins,)."""
    drawn = ClusterDraws(group, draws, seed)
    size = drawn.counts.shape[1]
    cell = drawn.blocks * bins + place
    sums = [np.bincount(cell, column, minlength=size * bins).reshape(size, bins) for column in (w * outcome, w)]
    hits, mass = (drawn.sums(part.astype(np.float64)) for part in sums)
    share = np.divide(hits, mass, out=np.full_like(mass, np.nan), where=mass > 0)
    known = ~np.isnan(share)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, share, 0.0).sum(axis=0) / count
    spread = np.where(known, np.square(share - mean), 0.0).sum(axis=0) / np.maximum(count - 1, 1)
    rows, prompts = _kish(w, place, bins), _prompts(w, place, group, bins)
    spread = spread * prompts / np.maximum(prompts - 1, 1)
    alike = np.divide(mean * (1 - mean), spread, out=prompts.copy(), where=(spread > 1e-12) & (prompts > 1))
    return np.asarray(np.clip(alike, 1.0, np.maximum(rows, 1.0)))


def _kish(w: Floats, place: NDArray[np.int64], bins: int) -> Floats:
    """Kish's effective number of rows in each bin (1965): (sum of weights)² / sum of squares."""
    squares = np.bincount(place, np.square(w), minlength=bins).astype(np.float64)
    sums = np.bincount(place, w, minlength=bins)
    return np.asarray(np.divide(np.square(sums), squares, out=np.zeros(bins), where=squares > 0))


def _prompts(w: Floats, place: NDArray[np.int64], group: NDArray[np.int64], bins: int) -> Floats:
    """How many prompts have a row that counts in each bin."""
    cells = np.unique(np.stack([place, group])[:, w > 0], axis=1)
    counts: Floats = np.bincount(cells[0], minlength=bins).astype(np.float64)
    return counts


def _wilson(share: Floats, votes: Floats) -> tuple[Floats, Floats]:
    """Wilson's interval (1927) of a share among so many votes; it holds the share."""
    z2 = _NORMAL**2
    centre = (share + z2 / (2 * votes)) / (1 + z2 / votes)
    half = _NORMAL * np.sqrt(share * (1 - share) / votes + z2 / (4 * votes**2)) / (1 + z2 / votes)
    return np.clip(np.minimum(centre - half, share), 0, 1), np.clip(np.maximum(centre + half, share), 0, 1)
