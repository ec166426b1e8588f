"""Leaderboards: rank models from votes, from predictions or from both, with intervals."""

from votecast.leaderboard.fit import Fit, fit_ranking
from votecast.leaderboard.games import Games, Predicted
from votecast.leaderboard.methods import METHODS
from votecast.leaderboard.rank import rank_models
from votecast.leaderboard.result import Estimate, Ranking

from votecast.leaderboard.board import Leaderboard  # isort: skip
from votecast.leaderboard.rank_votes import leaderboard  # isort: skip

__all__ = [
    "METHODS",
    "Estimate",
    "Fit",
    "Games",
    "Leaderboard",
    "Predicted",
    "Ranking",
    "fit_ranking",
    "leaderboard",
    "rank_models",
]
