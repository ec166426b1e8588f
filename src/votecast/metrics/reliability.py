"""Expected calibration error, and how much of it a perfectly calibrated judge would show on the same confidences."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import DataError
from votecast.metrics.checks import check_groups, check_rows
from votecast.metrics.rows import Floats, decisions
from votecast.types import CLASSES, Probabilities

BINS: Final = 15
EVENTS: Final = ("top", *CLASSES)
"""What is forecast: that the decision is right ("top"), and that the vote is a, b, or tie."""


class Events(NamedTuple):
    """Confidence, outcome and bin of the four events, each of shape (n, 4) in the order of `EVENTS`."""

    confidence: Floats
    outcome: Floats
    bin: NDArray[np.int64]


def events(targets: Probabilities, p: Probabilities) -> Events:
    """The four binary forecasts that a row makes, with their bins of equal width, closed on the right."""
    confidence = np.column_stack([p.max(axis=1), p])
    outcome = np.column_stack([(targets * decisions(p)).sum(axis=1), targets])
    edges = np.linspace(0, 1, BINS + 1)[1:-1]
    return Events(confidence, outcome, np.searchsorted(edges, confidence, side="left").astype(np.int64))


def calibration_error(
    targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None, *, event: str = "top"
) -> float:
    """Expected calibration error over 15 bins of equal width (Naeini et al. 2015; Guo et al. 2017, eq. 3).

    Args:
        targets: Votes, one-hot or soft, shape (n, 3), columns a, b, tie.
        probabilities: Forecasts, shape (n, 3).
        weights: How much each row counts, shape (n,).
        event: "top" for the class with the highest probability, or one class: "a", "b", "tie".

    Returns:
        Weighted mean over the bins of the distance between mean confidence and share of hits.

    Raises:
        DataError: If these are not probabilities of the same rows, or there is no such event.

    Example:
        >>> round(calibration_error([[1, 0, 0], [0, 1, 0]], [[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]]), 4)
        0.2
    """
    t, p, w = check_rows(targets, probabilities, weights)
    k = _event(event)
    e = events(t, p)
    gaps = np.bincount(e.bin[:, k], w * (e.confidence[:, k] - e.outcome[:, k]), minlength=BINS)
    return float(np.abs(gaps).sum() / w.sum())


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
    """The calibration error that chance alone gives: a judge whose confidences are exactly right, on as many votes.

    Outcomes are drawn from the forecasts themselves, so that the judge is perfectly calibrated by construction, and the
    mean error over the draws is returned. Votes on one prompt hang together, and so they do here: see `Coupling`.

    Args:
        targets: Votes, used only for how strongly outcomes of one group hang together, shape (n, 3).
        probabilities: Forecasts, shape (n, 3).
        weights: How much each row counts, shape (n,).
        groups: Prompt of each row, shape (n,); None draws every row for itself.
        event: "top", "a", "b" or "tie".
        draws: How many times the votes are drawn.
        seed: Seed of the draws.

    Raises:
        DataError: If these are not probabilities of the same rows, or there is no such event.

    Example:
        >>> p = np.tile([0.5, 0.3, 0.2], (1000, 1))
        >>> votes = np.eye(3)[np.arange(1000) % 3]
        >>> 0.010 < perfect_calibration_error(votes, p) < 0.015
        True
    """
    t, p, w = check_rows(targets, probabilities, weights)
    k = _event(event)
    whole = np.zeros((1, len(w)), dtype=np.int64)
    return float(perfect_errors(events(t, p), w, check_groups(groups, len(w)), whole, draws, seed)[0][:, 0, k].mean())


class Coupling(NamedTuple):
    """How outcomes are drawn so that they hang together within a group as the votes do.

    A row is hit where a uniform number falls below its confidence. With probability sqrt(`correlation`) the row takes
    the number of its group, else one of its own: each row alone is hit exactly as often as it was forecast, and two
    rows of one group share a number with probability `correlation`. The correlation is the one at which the expected
    products of residuals within groups equal those observed (a moment estimate, as for the intraclass correlation),
    for confidences shifted to the share of hits in their bin, so that miscalibration is not mistaken for dependence.

    Args:
        correlation: Share of pairs of rows in one group that take the same number, shape (4,).
        spread: Standard deviation of the residuals against that of single votes, shape (4,): 1 for hard votes, less for
            soft ones, which are means of several votes and scatter less; the drawn residuals are shrunk by it.
    """

    correlation: Floats
    spread: Floats


def coupling(e: Events, weights: Floats, groups: NDArray[np.int64]) -> Coupling:
    """Estimate from the votes how outcomes of one group hang together; see `Coupling`."""
    figures = [_couple(e.confidence[:, k], e.outcome[:, k], e.bin[:, k], weights, groups) for k in range(len(EVENTS))]
    correlation, spread = np.array(figures).T
    return Coupling(correlation, spread)


def perfect_errors(
    e: Events, weights: Floats, groups: NDArray[np.int64], parts: NDArray[np.int64], draws: int, seed: int
) -> list[Floats]:
    """Calibration errors of a perfectly calibrated judge, for several ways of cutting the rows into parts at once.

    Args:
        e: The forecasts.
        weights: How much each row counts, shape (n,).
        groups: Group of each row, numbered from 0, shape (n,).
        parts: For each way of cutting, the part of each row, numbered from 0, shape (ways, n).
        draws: How many times the votes are drawn.
        seed: Seed of the draws.

    Returns:
        For each way of cutting an array of shape (draws, parts, 4).
    """
    rng = np.random.default_rng(seed)
    hold = coupling(e, weights, groups)
    sizes = [int(part.max()) + 1 for part in parts]
    totals = [np.bincount(part, weights, minlength=size) for part, size in zip(parts, sizes, strict=True)]
    out = [np.empty((draws, size, len(EVENTS))) for size in sizes]
    for draw in range(draws):
        residuals = _draw(e.confidence, hold, groups, rng) * weights[:, None]
        for part, size, total, errors in zip(parts, sizes, totals, out, strict=True):
            for k in range(len(EVENTS)):
                gaps = np.bincount(part * BINS + e.bin[:, k], residuals[:, k], minlength=size * BINS)
                errors[draw, :, k] = np.abs(gaps).reshape(size, BINS).sum(axis=1) / np.where(total > 0, total, np.nan)
    return out


def _draw(confidence: Floats, hold: Coupling, groups: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Residuals (outcome - confidence) of one draw, shape (n, 4); the four events see the same uniform numbers."""
    own, choice = rng.random(len(groups)), rng.random(len(groups))
    shared = rng.random(int(groups.max()) + 1)[groups]
    uniform = np.where(choice[:, None] < np.sqrt(hold.correlation), shared[:, None], own[:, None])
    return np.asarray(hold.spread * ((uniform < confidence) - confidence))


def _couple(
    p: Floats, outcome: Floats, bins: NDArray[np.int64], w: Floats, groups: NDArray[np.int64]
) -> tuple[float, float]:
    mass = np.bincount(bins, w, minlength=BINS)
    shift = np.bincount(bins, w * (outcome - p), minlength=BINS) / np.where(mass > 0, mass, 1)
    level = np.clip(p + shift[bins], 0, 1)
    residual = w * (outcome - level)
    single = float(np.square(w) @ (level * (1 - level)))
    hard = bool(np.all((outcome == 0) | (outcome == 1)))
    spread = 1.0 if hard or single == 0 else min(1.0, float(np.sqrt(np.square(residual).sum() / single)))
    observed = float(np.square(np.bincount(groups, residual)).sum() - np.square(residual).sum())
    alike = spread**2 * _products_if_alike(level, w, groups)
    return (float(np.clip(observed / alike, 0, 1)) if alike > 1e-12 * single else 0.0), spread


def _products_if_alike(p: Floats, w: Floats, groups: NDArray[np.int64]) -> float:
    """Sum over pairs of rows of one group of w_i w_j (min(p_i, p_j) - p_i p_j): the covariance of a shared number."""
    order = np.lexsort((-p, groups))
    p, w, g = p[order], w[order], groups[order]
    running = np.cumsum(w) - w
    first = np.concatenate([[True], g[1:] != g[:-1]])
    before = running - np.repeat(running[first], np.diff(np.append(np.flatnonzero(first), len(g))))
    minima = 2 * float(w * p @ before)
    products = float(np.square(np.bincount(g, w * p)).sum() - np.square(w * p).sum())
    return minima - products


def _event(event: str) -> int:
    if event not in EVENTS:
        raise DataError(f"there is no event {event!r} to be calibrated for; allowed are {', '.join(EVENTS)}")
    return EVENTS.index(event)
