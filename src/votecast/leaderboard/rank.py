"""From games to a ranking: strengths, intervals, ranks and rates in one call."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from votecast.errors import ConfigError
from votecast.leaderboard.bootstrap import Drawn, draw_fits
from votecast.leaderboard.connectivity import names_of
from votecast.leaderboard.curves import CURVES, Curve
from votecast.leaderboard.elsewhere import ELO_UNIT, LOG_ODDS
from votecast.leaderboard.fit import Fit, Fitted, fitted
from votecast.leaderboard.games import Games, Ints, Predicted
from votecast.leaderboard.methods import ELSEWHERE, INTERVALS, check_choice
from votecast.leaderboard.places import (
    against_others,
    drawn_against_others,
    expected_rates,
    observed_rates,
    percentiles,
    places,
    quantile,
)
from votecast.leaderboard.result import Estimate, Ranking
from votecast.types import Floats

_MEAN: Final = 1000.0


class _Rates(NamedTuple):
    """Chances by the fit, shape (m, m), and those against one of the others at random, each of shape (m,)."""

    expected: Floats
    mean: Floats
    low: Floats
    high: Floats


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
        games: Who met whom, and the votes; with style, scores are those at equal style.
        method: A name in `METHODS`.
        intervals: sandwich (clustered by prompt) or bootstrap (over clusters); fits of evalica always take the
            bootstrap, and a note says so.
        draws: How many files the bootstrap draws.
        seed: Seed of the draws.
        predicted: A judge's probabilities on these games and on games without votes: prediction-powered ranking.
        disconnected: What to do where some models were never compared with the others, not even through third models:
            refuse, naming them, or rank the largest group that hangs together.
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
    _check(intervals, level, seed)
    found = fitted(games, method, predicted, disconnected, style_ridge)
    chosen = _anchor(anchor, found.fit)
    drawn = None
    notes = list(found.fit.notes)
    if intervals == "bootstrap" or method in ELSEWHERE:
        drawn = draw_fits(found, draws, seed, style_ridge)
        notes += _bootstrap_notes(method, intervals, drawn, draws)
    return _ranking(found, drawn, chosen, level, tuple(notes))


def _check(intervals: str, level: float, seed: int) -> None:
    check_choice(intervals, INTERVALS, "kind of intervals")
    if not 0.5 <= level < 1:
        raise ConfigError(f"the level of the intervals is {level}; allowed is at least 0.5 and below 1, such as 0.95")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; allowed are whole numbers from 0 up")


def _anchor(anchor: str | None, fit: Fit) -> int | None:
    if anchor is None:
        return None
    if not _log_odds(fit.method):
        raise ConfigError(f"scores of {fit.method} have no anchor; leave it out")
    if anchor not in fit.models:
        raise ConfigError(f"the anchor {anchor!r} is none of the ranked models: {names_of(fit.models)}")
    return fit.models.index(anchor)


def _bootstrap_notes(method: str, intervals: str, drawn: Drawn, draws: int) -> list[str]:
    notes = []
    if intervals != "bootstrap":
        notes.append(f"{method} has no covariance: its intervals are those of the bootstrap")
    if drawn.held:
        notes.append(
            f"in {drawn.held} of {draws} drawn files the votes do not bound the strength of some model: there a normal "
            "prior held strengths"
        )
    return notes


def _ranking(found: Fitted, drawn: Drawn | None, anchor: int | None, level: float, notes: tuple[str, ...]) -> Ranking:
    fit, rows = found.fit, found.sample.rows
    m = len(fit.models)
    covariance = np.cov(drawn.strengths.T).reshape(m, m) if drawn is not None else _known(fit)
    order = np.lexsort((np.arange(m), -fit.strengths))
    place = places(fit.strengths, covariance[:m, :m], found.clusters, level, drawn)
    score, low, high = _scores(fit, covariance[:m, :m], quantile(level, found.clusters), drawn, anchor, level)
    rates = _rates(found, covariance, level, drawn)
    won, met = observed_rates(rows)
    wins, losses, ties = _counts(found)
    grid = np.ix_(order, order)
    observed = np.divide(won, met, out=np.full((m, m), np.nan), where=met > 0)
    return Ranking(
        method=fit.method,
        intervals="sandwich" if drawn is None else "bootstrap",
        level=level,
        draws=0 if drawn is None else len(drawn.strengths),
        models=tuple(fit.models[each] for each in order),
        score=score[order],
        low=low[order],
        high=high[order],
        rank=place.rank[order],
        rank_low=place.low[order],
        rank_high=place.high[order],
        battles=met.sum(axis=1)[order],
        wins=wins[order],
        losses=losses[order],
        ties=ties[order],
        win_rate=rates.mean[order],
        win_rate_low=rates.low[order],
        win_rate_high=rates.high[order],
        observed=observed[grid],
        expected=rates.expected[grid],
        met=met[grid],
        better=place.better[grid],
        separability=float(place.better.sum() / (m * (m - 1) / 2)),
        votes=len(rows),
        clusters=found.clusters,
        tie=_tie(found, drawn, level),
        style=_style(found, drawn, level),
        tuning=fit.tuning,
        worth=fit.worth,
        notes=notes,
    )


def _log_odds(method: str) -> bool:
    return method in CURVES or method in LOG_ODDS


def _known(fit: Fit) -> Floats:
    assert fit.covariance is not None
    return fit.covariance


def _scores(
    fit: Fit, covariance: Floats, width: float, drawn: Drawn | None, anchor: int | None, level: float
) -> tuple[Floats, Floats, Floats]:
    """Scores and their intervals on the scale that people read."""
    unit, mean = (ELO_UNIT, _MEAN) if _log_odds(fit.method) else (1.0, 0.0)
    base = 0.0 if anchor is None else fit.strengths[anchor]
    score = mean + unit * (fit.strengths - base)
    if drawn is not None:
        moved = drawn.strengths if anchor is None else drawn.strengths - drawn.strengths[:, [anchor]]
        low, high = percentiles(mean + unit * moved, level)
        return score, low, high
    variance = np.diag(covariance)
    if anchor is not None:
        variance = variance + covariance[anchor, anchor] - 2 * covariance[anchor]
    half = unit * width * np.sqrt(np.maximum(variance, 0.0))
    return score, score - half, score + half


def _rates(found: Fitted, covariance: Floats, level: float, drawn: Drawn | None) -> _Rates:
    fit, m = found.fit, len(found.fit.models)
    if not _log_odds(fit.method):
        none = np.full(m, np.nan)
        return _Rates(np.full((m, m), np.nan), none, none, none)
    curve, t = _curve(found)
    expected = expected_rates(fit.strengths, t, curve)
    if drawn is None:
        return _Rates(expected, *against_others(fit.strengths, t, curve, covariance, quantile(level, found.clusters)))
    return _Rates(expected, np.nanmean(expected, axis=1), *drawn_against_others(drawn, curve, level))


def _curve(found: Fitted) -> tuple[Curve, float]:
    if found.solution is None:
        tie = found.fit.tie
        return (
            (CURVES["davidson"], float(np.log(max(tie, 1e-12)))) if tie is not None else (CURVES["bradley_terry"], 0.0)
        )
    problem, point = found.solution.problem, found.solution.point
    return problem.curve, problem.shape.split(point)[1]


def _counts(found: Fitted) -> tuple[Floats, Floats, Floats]:
    rows, m = found.sample.rows, len(found.fit.models)

    def total(sides: tuple[tuple[Ints, Floats], ...]) -> Floats:
        """Weight of votes by model."""
        return np.asarray(sum(np.bincount(side, votes, m) for side, votes in sides))

    a, b, tie = rows.votes.T
    wins, losses = total(((rows.first, a), (rows.second, b))), total(((rows.first, b), (rows.second, a)))
    return wins, losses, total(((rows.first, tie), (rows.second, tie)))


def _tie(found: Fitted, drawn: Drawn | None, level: float) -> Estimate | None:
    if found.fit.tie is None:
        return None
    curve, t = _curve(found)
    name = curve.tie or CURVES[found.fit.method].tie
    if not curve.tie:
        return Estimate(name, found.fit.tie, float("nan"), float("nan"))
    if drawn is not None:
        low, high = percentiles(np.exp(drawn.tie), level)
        return Estimate(name, found.fit.tie, float(low), float(high))
    m = len(found.fit.models)
    half = quantile(level, found.clusters) * float(np.sqrt(max(_known(found.fit)[m, m], 0.0)))
    lowest = np.exp(curve.lowest)
    return Estimate(name, found.fit.tie, float(max(np.exp(t - half), lowest)), float(np.exp(t + half)))


def _style(found: Fitted, drawn: Drawn | None, level: float) -> tuple[Estimate, ...]:
    fit = found.fit
    if not len(fit.style):
        return ()
    if drawn is not None:
        low, high = percentiles(drawn.style, level)
    else:
        half = quantile(level, found.clusters) * np.sqrt(np.maximum(np.diag(_known(fit))[-len(fit.style) :], 0.0))
        low, high = fit.style - half, fit.style + half
    columns = zip(fit.style_names, fit.style, low, high, fit.style_units, strict=True)
    return tuple(Estimate(name, *(float(each) for each in rest)) for name, *rest in columns)
