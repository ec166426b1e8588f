"""Strengths of models by maximum likelihood, with their covariance."""

from __future__ import annotations

from dataclasses import dataclass

from votecast.metrics.rows import Floats
from votecast.ranking.games import Games, Predicted


@dataclass(frozen=True)
class Fit:
    """Strengths of models.

    Args:
        method: The fit.
        models: Names, in the order of the games (less those left out).
        strengths: Natural log units, mean 0, shape (m,); scores of their own for fits without chances.
        tie: nu (davidson), theta (rao_kupper); None for fits without a parameter for ties.
        style: Coefficients of style, log odds for each unit, shape (k,).
        style_names: Names of these.
        style_units: Root mean square of each feature, which is its unit, shape (k,).
        covariance: Of strengths, the tie parameter as estimated (its logarithm) and style, in that order; None for fits
            of evalica.
        tuning: How far predictions were trusted, 0 to 1; None without predictions.
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
    notes: tuple[str, ...] = ()


def fit_ranking(
    games: Games,
    *,
    method: str = "bradley_terry",
    predicted: Predicted | None = None,
    disconnected: str = "refuse",
    style_ridge: float = 0.0,
) -> Fit:
    """Fit the strengths of the models."""
    raise NotImplementedError
