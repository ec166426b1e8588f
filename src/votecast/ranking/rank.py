"""From games to a ranking: strengths, intervals, ranks and rates in one call."""

from __future__ import annotations

from votecast.ranking.games import Games, Predicted
from votecast.ranking.result import Ranking


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
    """Rank the models.

    Args:
        games: Who met whom, and the votes.
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
    """
    raise NotImplementedError
