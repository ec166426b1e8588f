"""Which models are significantly better than others, the ranks that follow, and chances to win.

Called by `rank_models` after the fit.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from scipy.special import expit, logit, stdtrit

from votecast.calibration.tie_models import TieModel
from votecast.leaderboard.bootstrap import DrawnFits
from votecast.leaderboard.game_rows import Rows
from votecast.types import Bools, Floats, Ints

_TINY: Final = 1e-12
"""Differences of strengths up to this count as 0: rounding must not make equal models differ."""


class Ranks(NamedTuple):
    """Ranks of models.

    Args:
        better: Whether the row's model is significantly better than the column's, shape (m, m).
        rank: 1 + how many models are significantly better, shape (m,).
        low: Best rank that the votes leave open when all comparisons of a model are made at once, shape (m,).
        high: Worst such rank, shape (m,).
    """

    better: Bools
    rank: Ints
    low: Ints
    high: Ints


def compute_ranks(strengths: Floats, covariance: Floats, clusters: int, level: float, drawn: DrawnFits | None) -> Ranks:
    """Compare all pairs of models, and rank them.

    A model is significantly better where the interval of the difference is above 0. Intervals of ranks hold a model's
    true rank with at least the level asked: they compare it with all others at once, at a level divided
    among the comparisons (Mogstad, Romano, Shaikh & Wilhelm 2024, section 3, with Bonferroni's bound).

    Args:
        strengths: Shape (m,).
        covariance: Of these, shape (m, m).
        clusters: How many clusters they rest on.
        level: Of the intervals.
        drawn: Fits of drawn files, whose percentiles are then the intervals of differences.
    """
    m = len(strengths)
    gap = strengths[:, None] - strengths[None, :]
    variance = np.diag(covariance)[:, None] + np.diag(covariance)[None, :] - 2 * covariance
    error = np.sqrt(np.maximum(variance, 0.0))
    if drawn is None:
        better = gap > student_quantile(level, clusters) * error + _TINY
    else:
        share = (1 - level) / 2
        columns = drawn.strengths.T  # lower end of each difference, one model at a time for memory
        ends = [np.quantile(each[:, None] - drawn.strengths, share, axis=0, method="weibull") for each in columns]
        better = np.stack(ends) > _TINY
    np.fill_diagonal(better, val=False)
    # Bonferroni: each of the m - 1 comparisons of a model at its share of the error
    surely = gap > student_quantile(1 - (1 - level) / max(m - 1, 1), clusters) * error + _TINY
    surely &= better  # percentiles and standard errors may differ
    low, high = 1 + surely.sum(axis=0), m - surely.sum(axis=1)
    return Ranks(better, 1 + better.sum(axis=0), low, high)


def student_quantile(level: float, clusters: int) -> float:
    """Return Student's two-sided quantile with clusters - 1 degrees of freedom.

    Example:
        >>> round(student_quantile(0.95, 10**6), 3)
        1.96
    """
    return float(stdtrit(max(clusters - 1, 1), (1 + level) / 2))


def percentiles(values: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the ends of the percentile interval over draws (first axis).

    Of B draws the one in place (B + 1) p: the plain quantiles of few draws lie too near the middle (Davison & Hinkley
    1997, section 5.2).

    Example:
        >>> percentiles(np.arange(1.0, 40.0), 0.95)
        (array(1.), array(39.))
    """
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0, method="weibull")
    return np.asarray(low), np.asarray(high)


def expected_rates(strengths: Floats, t: float, model: TieModel) -> Floats:
    """Return the row's chance against the column's model, shape (m, m)."""
    gap = strengths[:, None] - strengths[None, :]
    out = model.rate(gap.ravel(), t).value.reshape(gap.shape)
    np.fill_diagonal(out, np.nan)
    return np.asarray(out)


def against_others(
    strengths: Floats, t: float, model: TieModel, covariance: Floats, width: float
) -> tuple[Floats, Floats, Floats]:
    """Return the chance against a random model, by the delta method.

    Args:
        strengths: Shape (m,).
        t: The number for ties.
        model: From leads to chances.
        covariance: Of strengths and, if the model has one, the number for ties.
        width: How many standard errors to either side.
    """
    m = len(strengths)
    gap = (strengths[:, None] - strengths[None, :]).ravel()
    value, by_d, by_t = (part.reshape(m, m) * (1 - np.eye(m)) / (m - 1) for part in model.rate(gap, t))
    # a model's own strength moves all its comparisons, another's only one
    mean = value.sum(axis=1)
    slopes = np.diag(by_d.sum(axis=1)) - by_d
    if model.tie:
        slopes = np.column_stack([slopes, by_t.sum(axis=1)])
    size = slopes.shape[1]
    error = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", slopes, covariance[:size, :size], slopes), 0.0))
    # the interval is taken in log odds, which keeps it within 0 and 1
    inside = np.clip(mean, _TINY, 1 - _TINY)
    spread = width * error / (inside * (1 - inside))
    return mean, expit(logit(inside) - spread), expit(logit(inside) + spread)


def drawn_against_others(drawn: DrawnFits, model: TieModel, level: float) -> tuple[Floats, Floats]:
    """Return the percentile interval of the chance against a random model."""
    draws = zip(drawn.strengths, drawn.tie, strict=True)
    rates = [np.nanmean(expected_rates(strengths, float(t), model), axis=1) for strengths, t in draws]
    return percentiles(np.array(rates), level)


def observed_rates(rows: Rows) -> tuple[Floats, Floats]:
    """Return the weight of votes that the row's model won against the column's, ties being halves, and of all votes."""
    m = rows.models
    up, down = rows.first * m + rows.second, rows.second * m + rows.first
    half = 0.5 * rows.votes[:, 2]
    won = np.bincount(up, rows.votes[:, 0] + half, m * m) + np.bincount(down, rows.votes[:, 1] + half, m * m)
    total = rows.votes.sum(axis=1)
    met = np.bincount(up, total, m * m) + np.bincount(down, total, m * m)
    return np.asarray(won.reshape(m, m), np.float64), np.asarray(met.reshape(m, m), np.float64)
