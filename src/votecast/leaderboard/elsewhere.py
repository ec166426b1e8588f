"""Fits of evalica: those that this package has not itself."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from votecast.config.extras import need
from votecast.errors import DataError
from votecast.leaderboard.games import Ints
from votecast.leaderboard.predicted import pair_sums
from votecast.leaderboard.rows import Pairs
from votecast.leaderboard.sample import Sample
from votecast.types import Floats

LOG_ODDS: Final = ("elo", "newman")
"""Fits whose scores are log odds, after a change of unit."""

ELO_UNIT: Final = 400 / np.log(10)
_ITERATED: Final = ("newman", "eigen", "pagerank")
_SETTINGS: Final = {"tolerance": 1e-10, "limit": 10_000}
_LOWEST: Final = 1e-9
_ELO_NOTE: Final = "elo depends on the order of the rows, which is taken for that of time"


class Foreign(NamedTuple):
    """What a fit of evalica says.

    Args:
        strengths: Log odds with mean 0, or scores of the method's own, shape (m,).
        tie: nu of Davidson's curve, where the fit has it.
    """

    strengths: Floats
    tie: float | None = None


def foreign_fit(method: str, sample: Sample) -> tuple[Foreign, tuple[str, ...]]:
    """A fit of evalica, and what a reader must know.

    Raises:
        DataError: If it is elo, and rows are not one vote each.
        MissingExtraError: If evalica is not installed.
    """
    if method == "elo":
        return fit_elo(sample, np.arange(len(sample.rows))), (_ELO_NOTE,)
    return fit_pairs(method, sample.pairs, pair_sums(sample).voted), ()


def fit_pairs(method: str, pairs: Pairs, votes: Floats) -> Foreign:
    """A fit of votes of shape (p, 3) on each pair.

    Example:
        >>> pairs = Pairs(2, np.array([0]), np.array([1]))
        >>> fit_pairs("counting", pairs, np.array([[3.0, 1.0, 2.0]])).strengths
        array([4., 2.])
    """
    evalica = need("evalica")
    pair, outcome = np.nonzero(votes)
    settings = _SETTINGS if method in _ITERATED else {}
    found = _called(evalica, method, pairs.first[pair], pairs.second[pair], outcome, votes[pair, outcome], **settings)
    scores = _scores(found, pairs.models)
    if method in LOG_ODDS:
        scores = np.log(np.maximum(scores, _LOWEST))
        scores = scores - np.nanmean(scores)
    tie = 2 * float(found.v) if method == "newman" else None  # Newman's v is half of Davidson's nu
    return Foreign(np.nan_to_num(scores), tie)  # a model without votes, as there are in a drawn file, gets 0


def fit_elo(sample: Sample, order: Ints) -> Foreign:
    """Strengths in log odds by Elo's updates over rows in this order.

    Raises:
        DataError: If rows are not one vote each.
    """
    rows = sample.rows
    if not np.isin(rows.votes, (0.0, 1.0)).all():
        raise DataError("elo takes one vote a row, each of weight 1; give such rows, or take another method")
    outcome = rows.votes.argmax(axis=1)[order]
    ones = np.ones(len(order))
    found = _called(need("evalica"), "elo", rows.first[order], rows.second[order], outcome, ones)
    scores = _scores(found, rows.models)
    return Foreign(np.nan_to_num((scores - np.nanmean(scores)) / ELO_UNIT))


def _called(
    evalica: Any, method: str, first: Ints, second: Ints, outcome: Ints, weights: Floats, **settings: Any
) -> Any:
    winners = np.array([evalica.Winner.X, evalica.Winner.Y, evalica.Winner.Draw], dtype=object)
    return getattr(evalica, method)(first, second, winners[outcome].tolist(), weights=weights, **settings)


def _scores(found: Any, models: int) -> Floats:
    """In the order of the models; NaN for those without votes."""
    scores = np.full(models, np.nan)
    scores[np.asarray(found.scores.index, dtype=np.int64)] = np.asarray(found.scores, dtype=np.float64)
    return scores
