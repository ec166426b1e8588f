"""Fit the strengths of models: from games to strengths, ties and style, with their covariance.

Called by `rank_models`, and by the bootstrap with what it needs besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from votecast.calibration.tie_models import TieModel
from votecast.errors import ConfigError
from votecast.leaderboard.evalica_fits import fit_elo, fit_pairs
from votecast.leaderboard.game_rows import number_clusters
from votecast.leaderboard.games import Games, Predicted
from votecast.leaderboard.ranking_likelihood import RANKING_MODELS, Solution, solve
from votecast.leaderboard.sample import Sample, sample_of
from votecast.leaderboard.sandwich import score_variance
from votecast.leaderboard.settings import DISCONNECTED, EVALICA, METHODS, check_choice
from votecast.types import Floats

USELESS: Final = "the predictions say nothing about the votes, and are not used"
ORDERED: Final = "elo depends on the order of the rows, which is taken for that of time"
ONE_PROMPT: Final = "all votes are on one prompt: intervals treat each row as independent"


@dataclass(frozen=True)
class Fit:
    """Strengths of models.

    Args:
        method: The fit.
        models: Names, in the order of the games (less those left out).
        strengths: Natural log units, mean 0, shape (m,); scores of their own for fits without chances.
        tie: nu (davidson, newman), theta (rao_kupper); None for fits without a number for ties.
        style: Coefficients of style, log odds for each unit, shape (k,).
        style_names: Names of these.
        style_units: Root mean square of each feature, which is its unit, shape (k,).
        covariance: Of strengths, log nu or log theta if there is one, and style, in this order; None by evalica.
        tuning: How far predictions were trusted, 0 to 1; None without predictions.
        worth: How many times as many votes without predictions would give the same variance; None without predictions.
        notes: Models left out, fallbacks used.
    """

    method: str
    models: tuple[str, ...]
    strengths: Floats
    tie: float | None
    style: Floats
    style_names: tuple[str, ...]
    style_units: Floats
    covariance: Floats | None
    tuning: float | None = None
    worth: float | None = None
    notes: tuple[str, ...] = ()


class SampleFit(NamedTuple):
    """A fit with what intervals and ranks need besides."""

    fit: Fit
    sample: Sample
    # None for fits of evalica
    solution: Solution | None
    # from leads to chances, and its number for ties; 0 without one
    model: TieModel
    t: float
    # of voted rows
    clusters: int


def fit_ranking(
    games: Games,
    *,
    method: str = "bradley_terry",
    predicted: Predicted | None = None,
    disconnected: str = "refuse",
    style_ridge: float = 0.0,
) -> Fit:
    """Fit the strengths of models; the arguments are those of `rank_models`.

    Raises:
        ConfigError: If a setting is unknown, or does not go with the method.
        DataError: If the votes do not suffice; the message says why.
        MissingExtraError: If the fit is one of evalica, and evalica is not installed.

    Example:
        >>> votes = [[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]]
        >>> fit = fit_ranking(Games.of(["x", "y"], a=[0] * 4, b=[1] * 4, outcome=votes))
        >>> (fit.strengths[0] - fit.strengths[1]).round(4) == np.log(3).round(4)  # three wins to one
        np.True_
    """
    return fit_sample(games, method, predicted, disconnected, style_ridge).fit


def fit_sample(
    games: Games, method: str, predicted: Predicted | None, disconnected: str, style_ridge: float
) -> SampleFit:
    """Fit strengths, keeping what intervals and ranks need (see `fit_ranking`)."""
    check_choice(method, METHODS, "ranking method")
    check_choice(disconnected, DISCONNECTED, "way with disconnected models")
    if not (np.isfinite(style_ridge) and style_ridge >= 0):
        raise ConfigError(f"style_ridge is {style_ridge}; allowed are finite numbers of at least 0")
    if method in EVALICA and games.style is not None:
        raise ConfigError(f"the {method} fit has no style control; use bradley_terry, davidson or rao_kupper")
    if method in EVALICA and predicted is not None:
        raise ConfigError(f"the {method} fit takes no predictions; use bradley_terry, davidson or rao_kupper")
    sample = sample_of(games, predicted, disconnected)
    with threadpool_limits(1):  # several threads for matrices of a hundred models would only wait for each other
        if method not in EVALICA:
            return _fit_by_likelihood(method, sample, style_ridge, has_judge=predicted is not None)
        notes, tie, bare = sample.notes, None, np.zeros(0)
        if method == "elo":
            strengths, notes = fit_elo(sample, np.arange(len(sample.rows))), (*notes, ORDERED)
        else:
            strengths, tie = fit_pairs(method, sample.pairs, sample.pair_votes().voted)
    fit = Fit(method, sample.names, strengths, tie, bare, (), bare, None, notes=notes)
    model, t = RANKING_MODELS["bradley_terry"], 0.0
    if tie is not None:
        model, t = RANKING_MODELS["davidson"], float(np.log(max(tie, 1e-12)))
    return SampleFit(fit, sample, None, model, t, number_clusters(sample.rows.clusters)[1])


def _fit_by_likelihood(method: str, sample: Sample, ridge: float, *, has_judge: bool) -> SampleFit:
    found = solve(method, sample.cells(0.0), ridge)
    meat = score_variance(sample, found)
    covariance, tuning, worth = meat.covariance(found, 0.0), None, None
    if has_judge:
        m, before = len(sample.names), covariance
        tuning = meat.best_tuning(found)
        if tuning > 0:
            found = solve(method, sample.cells(tuning), ridge, found.point)
            meat = score_variance(sample, found)
            covariance = meat.covariance(found, tuning)
        worth = float(np.trace(before[:m, :m]) / max(np.trace(covariance[:m, :m]), 1e-300))
    likelihood, model = found.likelihood, RANKING_MODELS[method]
    strengths, t, style = likelihood.split(found.point)
    notes = [*sample.notes, *([USELESS] if tuning == 0 else [])]
    notes += [ONE_PROMPT] if np.ptp(sample.rows.clusters) == 0 else []
    fit = Fit(
        method=method,
        models=sample.names,
        strengths=strengths,
        tie=float(np.exp(t if likelihood.tie else model.no_ties)) if model.tie else None,
        style=style,
        style_names=sample.style_names,
        style_units=sample.units,
        covariance=covariance,
        tuning=tuning,
        worth=worth,
        notes=(*notes, *found.notes(method, sample.names)),
    )
    return SampleFit(fit, sample, found, likelihood.model, t, meat.clusters)
