"""Rank models: from games to scores, intervals, ranks and win rates in one call.

Called by `votecast rank`, by the service for `/leaderboard`, and from Python.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from votecast.calibration.tie_models import TieModel
from votecast.errors import ConfigError
from votecast.leaderboard.bootstrap import DrawnFits, draw_fits
from votecast.leaderboard.connectivity import join_names
from votecast.leaderboard.evalica_fits import ELO_UNIT, LOG_ODDS
from votecast.leaderboard.fit import Fit, SampleFit, fit_sample
from votecast.leaderboard.games import Games, Predicted
from votecast.leaderboard.ranking_likelihood import RANKING_MODELS
from votecast.leaderboard.ranks import (
    against_others,
    compute_ranks,
    drawn_against_others,
    expected_rates,
    observed_rates,
    percentiles,
    student_quantile,
)
from votecast.leaderboard.settings import EVALICA, FITTED, INTERVALS, check_choice
from votecast.types import Bools, Floats, Ints

_MEAN: Final = 1000.0


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Args:
        name: What it is: nu or theta for ties, or the name of a feature of style.
        value: The estimate.
        low: Lower end of its interval; NaN where there is none.
        high: Upper end of its interval.
        unit: How much of a feature of style one unit is (its root mean square); 1 for all else.
    """

    name: str
    value: float
    low: float
    high: float
    unit: float = 1.0


@dataclass(frozen=True)
class Ranking:
    """Models from best to worst, all columns in that order.

    Args:
        method: The fit.
        intervals: sandwich or bootstrap.
        level: Of the intervals, such as 0.95.
        draws: Of the bootstrap; 0 for the sandwich.
        models: Names, best first.
        score: 400 / ln 10 for each unit of log strength, 1000 on average or at the anchor; for counting,
            average_win_rate, eigen and pagerank the score that evalica gives.
        low: Lower end of its interval, shape (m,).
        high: Upper end, shape (m,).
        rank: 1 + how many models are significantly better, shape (m,).
        rank_low: Best rank that the votes leave open, all others considered at once, shape (m,).
        rank_high: Worst such rank, shape (m,).
        battles: Weight of the votes that a model took part in, shape (m,).
        wins: Of these won, shape (m,).
        losses: Of these lost, shape (m,).
        ties: Of these tied, shape (m,).
        win_rate: Chance to win against one of the other models at random, a tie counting half, shape (m,); NaN where
            the fit has no chances.
        win_rate_low: Lower end of its interval, shape (m,).
        win_rate_high: Upper end, shape (m,).
        observed: Share that the row's model won against the column's, a tie counting half; NaN where they never met,
            shape (m, m).
        expected: The same by the fit, without regard to style, shape (m, m); NaN on the diagonal.
        met: Weight of the votes between two models, shape (m, m).
        better: Whether the row's model is significantly better than the column's, shape (m, m).
        separability: Share of the pairs of models whose interval of the difference excludes 0.
        votes: Rows that count.
        clusters: Clusters among them.
        tie: The parameter for ties, where the fit has one.
        style: Coefficients of style, log odds for each unit (its root mean square), where style is controlled for.
        tuning: How far the predictions were trusted, 0 to 1, in a prediction-powered ranking; else None.
        worth: How many times as many votes without predictions would give the same variance; None without predictions.
        notes: What a reader must know: models left out, fallbacks used.
    """

    method: str
    intervals: str
    level: float
    draws: int
    models: tuple[str, ...]
    score: Floats
    low: Floats
    high: Floats
    rank: Ints
    rank_low: Ints
    rank_high: Ints
    battles: Floats
    wins: Floats
    losses: Floats
    ties: Floats
    win_rate: Floats
    win_rate_low: Floats
    win_rate_high: Floats
    observed: Floats
    expected: Floats
    met: Floats
    better: Bools
    separability: float
    votes: int
    clusters: int
    tie: Estimate | None = None
    style: tuple[Estimate, ...] = ()
    tuning: float | None = None
    worth: float | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the ranking as JSON-able values; NaN becomes None."""
        plain: dict[str, Any] = _jsonable(asdict(self))
        return plain


def rank_models(
    games: Games,
    *,
    method: str = "bradley_terry",
    intervals: str = "sandwich",
    draws: int = 200,
    seed: int = 0,
    predicted: Predicted | None = None,
    disconnected: str = "refuse",
    anchor: str | None = None,
    level: float = 0.95,
    style_ridge: float = 0.0,
) -> Ranking:
    """Rank models.

    Args:
        games: Models and votes; with style, scores are those at equal style.
        method: A name in `METHODS`.
        intervals: sandwich (clustered by prompt) or bootstrap (over clusters); fits of evalica always use the
            bootstrap, and a note says so.
        draws: How many files the bootstrap draws.
        seed: Seed of the draws.
        predicted: A judge's probabilities on these games and on games without votes: prediction-powered ranking.
        disconnected: What to do where some models were never compared with the others, not even through third models:
            refuse, naming them, or rank the largest group of comparable models.
        anchor: The model whose score is 1000; the mean of all scores where None.
        level: Of the intervals.
        style_ridge: Penalty of the coefficients of style, for each vote half of this times their squares.

    Raises:
        ConfigError: If a setting is unknown, out of range, or does not go with the method.
        DataError: If the votes do not suffice; the message says why.
        MissingExtraError: If the fit is one of evalica, and evalica is not installed.

    Example:
        >>> votes = [[1, 0, 0]] * 30 + [[0, 1, 0]] * 10
        >>> ranking = rank_models(Games.of(["x", "y"], a=[1] * 40, b=[0] * 40, outcome=votes))
        >>> ranking.models, ranking.rank.tolist(), ranking.score.round().tolist()
        (('y', 'x'), [1, 2], [1095.0, 905.0])
    """
    check_choice(intervals, INTERVALS, "kind of intervals")
    if not 0.5 <= level < 1:
        raise ConfigError(f"the level of the intervals is {level}; allowed is at least 0.5 and below 1, such as 0.95")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; allowed are whole numbers from 0 up")
    found = fit_sample(games, method, predicted, disconnected, style_ridge)
    anchored = _anchor_number(anchor, found.fit)
    drawn, notes = None, list(found.fit.notes)
    if intervals == "bootstrap" or method in EVALICA:
        drawn = draw_fits(found, draws, seed, style_ridge)
        if intervals != "bootstrap":
            notes.append(f"{method} has no covariance: its intervals are those of the bootstrap")
        if drawn.held:
            notes.append(
                f"in {drawn.held} of {draws} drawn files the votes do not bound the strength of some model: there a "
                "normal prior held strengths"
            )
    fit, rows, m = found.fit, found.sample.rows, len(found.fit.models)
    covariance = fit.covariance if drawn is None else np.cov(drawn.strengths.T).reshape(m, m)
    assert covariance is not None  # fits without one are always drawn
    ranks = compute_ranks(fit.strengths, covariance[:m, :m], found.clusters, level, drawn)
    width = student_quantile(level, found.clusters)
    score, low, high = _scores(fit, covariance[:m, :m], width, drawn, anchored, level)
    expected, win_rate, win_rate_low, win_rate_high = _win_rates(found, covariance, width, drawn, level)
    won, met = observed_rates(rows)
    a, b, tie = rows.votes.T
    wins, losses, ties = (
        np.asarray(np.bincount(rows.first, one, m) + np.bincount(rows.second, other, m))
        for one, other in ((a, b), (b, a), (tie, tie))
    )
    order = np.lexsort((np.arange(m), -fit.strengths))
    grid = np.ix_(order, order)
    return Ranking(
        method=fit.method,
        intervals="sandwich" if drawn is None else "bootstrap",
        level=level,
        draws=0 if drawn is None else len(drawn.strengths),
        models=tuple(fit.models[each] for each in order),
        score=score[order],
        low=low[order],
        high=high[order],
        rank=ranks.rank[order],
        rank_low=ranks.low[order],
        rank_high=ranks.high[order],
        battles=met.sum(axis=1)[order],
        wins=wins[order],
        losses=losses[order],
        ties=ties[order],
        win_rate=win_rate[order],
        win_rate_low=win_rate_low[order],
        win_rate_high=win_rate_high[order],
        observed=np.divide(won, met, out=np.full((m, m), np.nan), where=met > 0)[grid],
        expected=expected[grid],
        met=met[grid],
        better=ranks.better[grid],
        separability=float(ranks.better.sum() / (m * (m - 1) / 2)),
        votes=len(rows),
        clusters=found.clusters,
        tie=_tie_estimate(found, width, drawn, level),
        style=_style_estimates(fit, width, drawn, level),
        tuning=fit.tuning,
        worth=fit.worth,
        notes=tuple(notes),
    )


def _has_log_odds(method: str) -> bool:
    return method in FITTED or method in LOG_ODDS


def _anchor_number(anchor: str | None, fit: Fit) -> int | None:
    if anchor is None:
        return None
    if not _has_log_odds(fit.method):
        raise ConfigError(f"scores of {fit.method} have no anchor; leave it out")
    if anchor not in fit.models:
        raise ConfigError(f"the anchor {anchor!r} is none of the ranked models: {join_names(fit.models)}")
    return fit.models.index(anchor)


def _scores(
    fit: Fit, covariance: Floats, width: float, drawn: DrawnFits | None, anchor: int | None, level: float
) -> tuple[Floats, Floats, Floats]:
    """Return scores and their intervals on the scale of Elo, shape (m,) each."""
    unit, mean = (ELO_UNIT, _MEAN) if _has_log_odds(fit.method) else (1.0, 0.0)
    base = 0.0 if anchor is None else fit.strengths[anchor]
    score = mean + unit * (fit.strengths - base)
    if drawn is not None:
        moved = drawn.strengths if anchor is None else drawn.strengths - drawn.strengths[:, [anchor]]
        return (score, *percentiles(mean + unit * moved, level))
    variance = np.diag(covariance)
    if anchor is not None:
        variance = variance + covariance[anchor, anchor] - 2 * covariance[anchor]
    half = unit * width * np.sqrt(np.maximum(variance, 0.0))
    return score, score - half, score + half


def _win_rates(
    found: SampleFit, covariance: Floats, width: float, drawn: DrawnFits | None, level: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return chances between models (m, m), and against another at random with their intervals, shape (m,) each."""
    fit, m = found.fit, len(found.fit.models)
    if not _has_log_odds(fit.method):
        none = np.full(m, np.nan)
        return np.full((m, m), np.nan), none, none, none
    model, t = _tie_model(found)
    expected = expected_rates(fit.strengths, t, model)
    if drawn is None:
        return expected, *against_others(fit.strengths, t, model, covariance, width)
    return expected, np.nanmean(expected, axis=1), *drawn_against_others(drawn, model, level)


def _tie_model(found: SampleFit) -> tuple[TieModel, float]:
    """Return the model whose chances the fit gives, and its number for ties."""
    if found.solution is not None:
        return found.solution.likelihood.model, found.solution.likelihood.split(found.solution.point)[1]
    if found.fit.tie is None:
        return RANKING_MODELS["bradley_terry"], 0.0
    return RANKING_MODELS["davidson"], float(np.log(max(found.fit.tie, 1e-12)))


def _tie_estimate(found: SampleFit, width: float, drawn: DrawnFits | None, level: float) -> Estimate | None:
    fit = found.fit
    if fit.tie is None:
        return None
    model, t = _tie_model(found)
    if not model.tie:  # no vote is a tie
        return Estimate(RANKING_MODELS[fit.method].tie, fit.tie, float("nan"), float("nan"))
    if drawn is not None:
        low, high = percentiles(np.exp(drawn.tie), level)
        return Estimate(model.tie, fit.tie, float(low), float(high))
    m = len(fit.models)
    assert fit.covariance is not None
    half = width * float(np.sqrt(max(fit.covariance[m, m], 0.0)))
    lowest = np.exp(model.no_ties)
    return Estimate(model.tie, fit.tie, float(max(np.exp(t - half), lowest)), float(np.exp(t + half)))


def _style_estimates(fit: Fit, width: float, drawn: DrawnFits | None, level: float) -> tuple[Estimate, ...]:
    if not len(fit.style):
        return ()
    if drawn is not None:
        low, high = percentiles(drawn.style, level)
    else:
        assert fit.covariance is not None
        half = width * np.sqrt(np.maximum(np.diag(fit.covariance)[-len(fit.style) :], 0.0))
        low, high = fit.style - half, fit.style + half
    columns = zip(fit.style_names, fit.style, low, high, fit.style_units, strict=True)
    return tuple(Estimate(name, *(float(each) for each in rest)) for name, *rest in columns)


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _jsonable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in value]
    if isinstance(value, np.ndarray):
        return _jsonable(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
