"""Intervals of everything that a ranking shows, by the sandwich or by the bootstrap, and the ranks that follow.

Called by `rank_models` after the fit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import expit, logit, stdtrit

from votecast.leaderboard.bootstrap import DrawnFits
from votecast.leaderboard.evalica_fits import ELO_UNIT, LOG_ODDS
from votecast.leaderboard.fit import SampleFit
from votecast.leaderboard.settings import FITTED
from votecast.types import Bools, Floats, Ints

_MEAN: Final = 1000.0
_TINY: Final = 1e-12
"""Differences of strengths up to this count as 0: rounding must not make equal models differ."""

Ends = tuple[Floats, Floats]
"""Lower and upper ends of intervals."""


def has_log_odds(method: str) -> bool:
    """Return whether the scores of a method are log odds, and so give chances to win."""
    return method in FITTED or method in LOG_ODDS


class RankingIntervals:
    """Intervals by Student's t from the covariance of a fit."""

    def __init__(self, found: SampleFit, level: float, covariance: Floats) -> None:
        self.found, self.level, self.covariance = found, level, covariance
        self.strengths, self.models = found.fit.strengths, len(found.fit.models)
        self.width = student_quantile(level, found.clusters)
        is_elo = has_log_odds(found.fit.method)
        self.unit, self.mean = float(ELO_UNIT if is_elo else 1.0), _MEAN if is_elo else 0.0

    def scores(self, anchor: int | None) -> tuple[Floats, Ends]:
        """Return scores on the scale of Elo, where they are log odds, with their intervals, shape (m,) each."""
        base = 0.0 if anchor is None else self.strengths[anchor]
        score = self.mean + self.unit * (self.strengths - base)
        return score, self.score_ends(score, anchor)

    def rates(self, strengths: Floats, t: float) -> Floats:
        """Return the row's chance against the column's model, shape (m, m)."""
        gap = strengths[:, None] - strengths[None, :]
        out = self.found.model.rate(gap.ravel(), t).value.reshape(gap.shape)
        np.fill_diagonal(out, np.nan)
        return np.asarray(out)

    def errors(self) -> tuple[Floats, Floats]:
        """Return differences of strengths, row minus column, with their standard errors, shape (m, m) each."""
        covariance = self.covariance[: self.models, : self.models]
        own = np.diag(covariance)
        variance = own[:, None] + own[None, :] - 2 * covariance
        return self.strengths[:, None] - self.strengths[None, :], np.sqrt(np.maximum(variance, 0.0))

    def ranks(self) -> tuple[Bools, Ints, Ints, Ints]:
        """Return who is better than whom, shape (m, m), ranks, and the best and worst rank left open, shape (m,)."""
        m, better = self.models, self.is_better()
        np.fill_diagonal(better, val=False)
        # intervals of ranks hold with at least the level asked: a model is compared with all others at once (Mogstad,
        # Romano, Shaikh & Wilhelm 2024, section 3), each of m - 1 comparisons at its share of the error (Bonferroni)
        gap, error = self.errors()
        width = student_quantile(1 - (1 - self.level) / max(m - 1, 1), self.found.clusters)
        # percentiles and standard errors may differ: what is surely better is better
        surely = (gap > width * error + _TINY) & better
        return better, 1 + better.sum(axis=0), 1 + surely.sum(axis=0), m - surely.sum(axis=1)

    def score_ends(self, score: Floats, anchor: int | None) -> Ends:
        """Return the intervals of scores."""
        covariance = self.covariance[: self.models, : self.models]
        variance = np.diag(covariance)
        if anchor is not None:
            variance = variance + covariance[anchor, anchor] - 2 * covariance[anchor]
        half = self.unit * self.width * np.sqrt(np.maximum(variance, 0.0))
        return score - half, score + half

    def is_better(self) -> Bools:
        """Return whose interval of the difference is above 0."""
        gap, error = self.errors()
        return np.asarray(gap > self.width * error + _TINY)

    def rate_ends(self) -> tuple[Floats, Ends]:
        """Return chances against a random model, with intervals."""
        m, model = self.models, self.found.model
        gap = (self.strengths[:, None] - self.strengths[None, :]).ravel()
        value, by_d, by_t = (part.reshape(m, m) * (1 - np.eye(m)) / (m - 1) for part in model.rate(gap, self.found.t))
        # delta method: a model's own strength moves all its comparisons, another's only one
        mean = value.sum(axis=1)
        slopes = np.diag(by_d.sum(axis=1)) - by_d
        if model.tie:
            slopes = np.column_stack([slopes, by_t.sum(axis=1)])
        size = slopes.shape[1]
        variance = np.einsum("ij,jk,ik->i", slopes, self.covariance[:size, :size], slopes)
        # the interval is taken in log odds, which keeps it within 0 and 1
        inside = np.clip(mean, _TINY, 1 - _TINY)
        spread = self.width * np.sqrt(np.maximum(variance, 0.0)) / (inside * (1 - inside))
        return mean, (expit(logit(inside) - spread), expit(logit(inside) + spread))

    def tie_ends(self) -> tuple[float, float]:
        """Return the interval of the number for ties."""
        t, m = self.found.t, self.models
        half = self.width * float(np.sqrt(max(self.covariance[m, m], 0.0)))
        lowest = np.exp(self.found.model.no_ties)
        return float(max(np.exp(t - half), lowest)), float(np.exp(t + half))

    def style_ends(self) -> Ends:
        """Return the intervals of the coefficients of style."""
        style = self.found.fit.style
        half = self.width * np.sqrt(np.maximum(np.diag(self.covariance)[-len(style) :], 0.0))
        return style - half, style + half


class BootstrapIntervals(RankingIntervals):
    """Percentile intervals from fits of drawn files."""

    def __init__(self, found: SampleFit, level: float, drawn: DrawnFits) -> None:
        m = len(found.fit.models)
        super().__init__(found, level, np.cov(drawn.strengths.T).reshape(m, m))
        self.drawn = drawn

    def score_ends(self, score: Floats, anchor: int | None) -> Ends:  # noqa: ARG002
        """Return the intervals of scores."""
        moved = self.drawn.strengths if anchor is None else self.drawn.strengths - self.drawn.strengths[:, [anchor]]
        return percentiles(self.mean + self.unit * moved, self.level)

    def is_better(self) -> Bools:
        """Return whose interval of the difference is above 0."""
        strengths, share = self.drawn.strengths, (1 - self.level) / 2
        # lower end of each difference, one model at a time: (draws, m) instead of (draws, m, m) in memory
        ends = [np.quantile(each[:, None] - strengths, share, axis=0, method="weibull") for each in strengths.T]
        return np.asarray(np.stack(ends) > _TINY)

    def rate_ends(self) -> tuple[Floats, Ends]:
        """Return chances against a random model, with intervals."""
        draws = zip(self.drawn.strengths, self.drawn.tie, strict=True)
        drawn = [np.nanmean(self.rates(strengths, float(t)), axis=1) for strengths, t in draws]
        mean = np.nanmean(self.rates(self.strengths, self.found.t), axis=1)
        return mean, percentiles(np.array(drawn), self.level)

    def tie_ends(self) -> tuple[float, float]:
        """Return the interval of the number for ties."""
        low, high = percentiles(np.exp(self.drawn.tie), self.level)
        return float(low), float(high)

    def style_ends(self) -> Ends:
        """Return the intervals of the coefficients of style."""
        return percentiles(self.drawn.style, self.level)


def student_quantile(level: float, clusters: int) -> float:
    """Return Student's two-sided quantile with clusters - 1 degrees of freedom.

    Example:
        >>> round(student_quantile(0.95, 10**6), 3)
        1.96
    """
    return float(stdtrit(max(clusters - 1, 1), (1 + level) / 2))


def percentiles(values: Floats, level: float) -> Ends:
    """Return the ends of the percentile interval over draws (first axis).

    Example:
        >>> percentiles(np.arange(1.0, 40.0), 0.95)
        (array(1.), array(39.))
    """
    # of B draws the one in place (B + 1) p: the plain quantiles of few draws lie too near the middle (Davison & Hinkley
    # 1997, section 5.2)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0, method="weibull")
    return np.asarray(low), np.asarray(high)
