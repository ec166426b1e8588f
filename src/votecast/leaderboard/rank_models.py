"""Rank models: from games to scores, intervals, ranks and win rates in one call.

Called by `votecast rank`, by the service for `/leaderboard`, and from Python.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from votecast.errors import ConfigError
from votecast.leaderboard.bootstrap import draw_fits
from votecast.leaderboard.connectivity import join_names
from votecast.leaderboard.fit import Fit, fit_sample
from votecast.leaderboard.game_rows import Cells
from votecast.leaderboard.games import Games, Predicted
from votecast.leaderboard.ranking_intervals import BootstrapIntervals, RankingIntervals, has_log_odds
from votecast.leaderboard.ranking_likelihood import RANKING_MODELS
from votecast.leaderboard.settings import EVALICA, INTERVALS, check_choice
from votecast.metrics.intervals import as_json
from votecast.types import Bools, Floats, Ints


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
        win_rate: Chance to win against another model at random, a tie counting half, shape (m,); NaN without chances.
        win_rate_low: Lower end of its interval, shape (m,).
        win_rate_high: Upper end, shape (m,).
        observed: Share that the row's model won against the column's, a tie counting half, shape (m, m); NaN where they
            never met.
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

    def to_dict(self) -> dict[str, object]:
        """Return the ranking as JSON-able values; NaN becomes None."""
        return {name: as_json(value) for name, value in asdict(self).items()}


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
        disconnected: Where some models were never compared with the others, not even through third models: refuse,
            naming them, or rank the largest group of comparable models.
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
    fit, rows, m = found.fit, found.sample.rows, len(found.fit.models)
    anchored, notes = _anchor_number(anchor, fit), list(fit.notes)
    is_drawn = intervals == "bootstrap" or method in EVALICA
    if is_drawn and intervals != "bootstrap":
        notes.append(f"{method} has no covariance: its intervals are those of the bootstrap")
    if is_drawn or fit.covariance is None:
        drawn = draw_fits(found, draws, seed, style_ridge)
        ends: RankingIntervals = BootstrapIntervals(found, level, drawn)
        notes += drawn.notes()
    else:
        ends = RankingIntervals(found, level, fit.covariance)
    better, rank, rank_low, rank_high = ends.ranks()
    score, (low, high) = ends.scores(anchored)
    unknown = np.full(m, np.nan)
    expected, win_rate, (rate_low, rate_high) = np.full((m, m), np.nan), unknown, (unknown, unknown)
    if has_log_odds(method):
        expected = ends.rates(fit.strengths, found.t)
        win_rate, (rate_low, rate_high) = ends.rate_ends()
    won, met = _win_table(rows)
    # votes of each outcome from the view of the first model of a row and of the second
    wins, losses, ties = (
        np.asarray(np.bincount(rows.first, rows.votes[:, one], m) + np.bincount(rows.second, rows.votes[:, other], m))
        for one, other in ((0, 1), (1, 0), (2, 2))
    )
    style: tuple[Estimate, ...] = ()
    if len(fit.style):
        columns = zip(fit.style_names, fit.style, *ends.style_ends(), fit.style_units, strict=True)
        style = tuple(Estimate(name, *map(float, rest)) for name, *rest in columns)
    order = np.lexsort((np.arange(m), -fit.strengths))
    grid = np.ix_(order, order)
    return Ranking(
        method=method,
        intervals="bootstrap" if is_drawn else "sandwich",
        level=level,
        draws=draws if is_drawn else 0,
        models=tuple(fit.models[each] for each in order),
        score=score[order],
        low=low[order],
        high=high[order],
        rank=rank[order],
        rank_low=rank_low[order],
        rank_high=rank_high[order],
        battles=met.sum(axis=1)[order],
        wins=wins[order],
        losses=losses[order],
        ties=ties[order],
        win_rate=win_rate[order],
        win_rate_low=rate_low[order],
        win_rate_high=rate_high[order],
        observed=np.divide(won, met, out=np.full((m, m), np.nan), where=met > 0)[grid],
        expected=expected[grid],
        met=met[grid],
        better=better[grid],
        separability=float(better.sum() / (m * (m - 1) / 2)),
        votes=len(rows),
        clusters=found.clusters,
        tie=_estimate_tie(fit, ends),
        style=style,
        tuning=fit.tuning,
        worth=fit.worth,
        notes=tuple(notes),
    )


def _anchor_number(anchor: str | None, fit: Fit) -> int | None:
    if anchor is None:
        return None
    if not has_log_odds(fit.method):
        raise ConfigError(f"scores of {fit.method} have no anchor; leave it out")
    if anchor not in fit.models:
        raise ConfigError(f"the anchor {anchor!r} is none of the ranked models: {join_names(fit.models)}")
    return fit.models.index(anchor)


def _win_table(rows: Cells) -> tuple[Floats, Floats]:
    """Return the weight that the row's model won against the column's, ties being halves, and of all votes, (m, m)."""
    m = rows.models
    up, down = rows.first * m + rows.second, rows.second * m + rows.first
    half, total = 0.5 * rows.votes[:, 2], rows.votes.sum(axis=1)
    won = np.bincount(up, rows.votes[:, 0] + half, m * m) + np.bincount(down, rows.votes[:, 1] + half, m * m)
    met = np.bincount(up, total, m * m) + np.bincount(down, total, m * m)
    return np.asarray(won.reshape(m, m), np.float64), np.asarray(met.reshape(m, m), np.float64)


def _estimate_tie(fit: Fit, ends: RankingIntervals) -> Estimate | None:
    if fit.tie is None:
        return None
    name = ends.found.model.tie
    if not name:  # no vote is a tie: the number is at its limit and has no interval
        return Estimate(RANKING_MODELS[fit.method].tie, fit.tie, float("nan"), float("nan"))
    return Estimate(name, fit.tie, *ends.tie_ends())
