"""Fits of evalica: Elo, Newman and the scores that this package does not fit itself.

Called by the fit and by its bootstrap; evalica is an optional dependency.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from votecast.config.extras import need
from votecast.errors import DataError
from votecast.leaderboard.game_rows import Cells
from votecast.leaderboard.sample import Sample
from votecast.types import Floats, Ints

LOG_ODDS: Final = ("elo", "newman")
"""Fits whose scores are log odds, after a change of unit."""

ELO_UNIT: Final = 400 / np.log(10)
"""Points of score for each unit of log odds."""

_ITERATED: Final = ("newman", "eigen", "pagerank")
_LOWEST: Final = 1e-9


def fit_pairs(method: str, pairs: Cells, votes: Floats) -> tuple[Floats, float | None]:
    """Return log odds with mean 0, or own scores, (m,) from votes (p, 3), and nu of Davidson's curve, if fitted.

    Raises:
        MissingExtraError: If evalica is not installed.

    Example:
        >>> pairs = Cells(2, np.array([0]), np.array([1]), np.zeros((1, 3)), np.zeros((1, 0)))
        >>> fit_pairs("counting", pairs, np.array([[3.0, 1.0, 2.0]]))[0]
        array([4., 2.])
    """
    # evalica takes one row for each pair and outcome, weighted
    pair, outcome = np.nonzero(votes)
    settings = {"tolerance": 1e-10, "limit": 10_000} if method in _ITERATED else {}
    first, second, weights = pairs.first[pair], pairs.second[pair], votes[pair, outcome]
    scores, found = _call_evalica(method, pairs.models, first, second, outcome, weights, **settings)
    if method in LOG_ODDS:
        scores = np.log(np.maximum(scores, _LOWEST))
        scores = scores - np.nanmean(scores)
    # Newman's v is half of Davidson's nu
    tie = 2 * float(found.v) if method == "newman" else None
    # a model without votes, as there are in a drawn file, gets 0
    return np.nan_to_num(scores), tie


def fit_elo(sample: Sample, order: Ints) -> Floats:
    """Fit log odds (m,) by Elo's updates in this order.

    Raises:
        DataError: If rows are not one vote each.
        MissingExtraError: If evalica is not installed.
    """
    rows = sample.rows
    if not np.isin(rows.votes, (0.0, 1.0)).all():
        raise DataError("elo takes one vote a row, each of weight 1; give such rows, or use another method")
    outcome = rows.votes.argmax(axis=1)[order]
    scores, _ = _call_evalica("elo", rows.models, rows.first[order], rows.second[order], outcome, np.ones(len(order)))
    return np.asarray(np.nan_to_num((scores - np.nanmean(scores)) / ELO_UNIT))


def _call_evalica(
    method: str, models: int, first: Ints, second: Ints, outcome: Ints, weights: Floats, **settings: float
) -> tuple[Floats, Any]:
    # scores in the order of the models, NaN for those without votes, and evalica's whole result
    evalica = need("evalica")
    winners = np.array([evalica.Winner.X, evalica.Winner.Y, evalica.Winner.Draw], dtype=object)
    found = getattr(evalica, method)(first, second, winners[outcome].tolist(), weights=weights, **settings)
    scores = np.full(models, np.nan)
    scores[np.asarray(found.scores.index, dtype=np.int64)] = np.asarray(found.scores, dtype=np.float64)
    return scores, found
