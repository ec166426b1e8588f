"""Strengths of models by maximum likelihood, with their covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from votecast.errors import ConfigError
from votecast.leaderboard.elsewhere import foreign_fit
from votecast.leaderboard.games import Games, Predicted
from votecast.leaderboard.methods import DISCONNECTED, ELSEWHERE, METHODS, check_choice
from votecast.leaderboard.predicted import cells_of
from votecast.leaderboard.sample import Sample, numbered, sample_of
from votecast.leaderboard.sandwich import Spread, best_tuning, bread_of, covariance_of, spread
from votecast.leaderboard.solving import Solution, notes_of, solve
from votecast.types import Floats

USELESS: Final = "the predictions say nothing of the votes, and are not used"
ONE_PROMPT: Final = "all votes are on one prompt: intervals take each row for itself"
_NO_TIES: Final = {"davidson": 0.0, "rao_kupper": 1.0}


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
        covariance: Of strengths, log nu or log theta if there is one, and style, in that order; None for fits of
            evalica.
        tuning: How far predictions were trusted, 0 to 1; None without predictions.
        worth: How many times as many votes without predictions would give the same variance; None without predictions.
        notes: Models left out, fallbacks taken.
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


class Fitted(NamedTuple):
    """A fit with what intervals and ranks need besides.

    Args:
        fit: The fit.
        sample: What it was fitted on.
        solution: Its parameters and likelihood; None for fits of evalica.
        clusters: Clusters of voted rows.
    """

    fit: Fit
    sample: Sample
    solution: Solution | None
    clusters: int


def fit_ranking(
    games: Games,
    *,
    method: str = "bradley_terry",
    predicted: Predicted | None = None,
    disconnected: str = "refuse",
    style_ridge: float = 0.0,
) -> Fit:
    """Fit the strengths of models.

    Args:
        games: Who met whom, and the votes; with style, its effect is fitted beside the strengths.
        method: A name in `METHODS`.
        predicted: A judge's probabilities on these games and on games without votes.
        disconnected: What to do where some models were never compared with the others, not even through third models:
            refuse, naming them, or rank the largest group that hangs together.
        style_ridge: Penalty of the coefficients of style, for each vote half of this times their squares.

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
    return fitted(games, method, predicted, disconnected, style_ridge).fit


def fitted(games: Games, method: str, predicted: Predicted | None, disconnected: str, style_ridge: float) -> Fitted:
    """`fit_ranking`, with what intervals and ranks need besides."""
    check_choice(method, METHODS, "ranking method")
    check_choice(disconnected, DISCONNECTED, "way with disconnected models")
    if not (np.isfinite(style_ridge) and style_ridge >= 0):
        raise ConfigError(f"style_ridge is {style_ridge}; allowed are finite numbers of at least 0")
    _check_elsewhere(method, games, predicted)
    sample = sample_of(games, predicted, disconnected)
    with threadpool_limits(1):  # several threads for matrices of a hundred models would only wait for each other
        if method in ELSEWHERE:
            found, notes = foreign_fit(method, sample)
            bare = np.zeros(0)
            fit = Fit(method, sample.names, *found, bare, (), bare, None, notes=(*sample.notes, *notes))
            return Fitted(fit, sample, None, numbered(sample.rows.clusters)[1])
        return _likeliest(method, sample, style_ridge)


def _check_elsewhere(method: str, games: Games, predicted: Predicted | None) -> None:
    if method in ELSEWHERE and games.style is not None:
        raise ConfigError(f"the {method} fit has no style control; take bradley_terry, davidson or rao_kupper")
    if method in ELSEWHERE and predicted is not None:
        raise ConfigError(f"the {method} fit takes no predictions; take bradley_terry, davidson or rao_kupper")


def _likeliest(method: str, sample: Sample, ridge: float) -> Fitted:
    found = solve(method, cells_of(sample, 0.0), ridge)
    told = _spread(sample, found)
    covariance, tuning, worth = covariance_of(found.problem, found.point, told, 0.0), None, None
    if sample.guessed is not None:
        m, before = len(sample.names), covariance
        tuning = best_tuning(bread_of(found.problem, found.point), told.meat, m)
        if tuning > 0:
            found = solve(method, cells_of(sample, tuning), ridge, found.point)
            told = _spread(sample, found)
            covariance = covariance_of(found.problem, found.point, told, tuning)
        worth = float(np.trace(before[:m, :m]) / max(np.trace(covariance[:m, :m]), 1e-300))
    strengths, _, style = found.problem.shape.split(found.point)
    fit = Fit(
        method=method,
        models=sample.names,
        strengths=strengths,
        tie=_tie(method, found),
        style=style,
        style_names=sample.style_names,
        style_units=sample.units,
        covariance=covariance,
        tuning=tuning,
        worth=worth,
        notes=(*sample.notes, *_notes(sample, tuning), *notes_of(method, found, sample.names)),
    )
    return Fitted(fit, sample, found, told.clusters)


def _tie(method: str, found: Solution) -> float | None:
    """The number for ties as users see it; without ties what makes the fit that of Bradley and Terry."""
    _, t, _ = found.problem.shape.split(found.point)
    return float(np.exp(t)) if found.problem.shape.tie else _NO_TIES.get(method)


def _notes(sample: Sample, tuning: float | None) -> list[str]:
    notes = [USELESS] if tuning == 0 else []
    return notes + ([ONE_PROMPT] if np.ptp(sample.rows.clusters) == 0 else [])


def _spread(sample: Sample, found: Solution) -> Spread:
    curve, shape, _, penalty = found.problem
    prior = np.where(np.arange(shape.size) < shape.models, penalty, 0.0)
    return spread(sample, curve, shape, found.point, level=found.level, prior=prior)
