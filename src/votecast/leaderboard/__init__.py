"""Leaderboards: rank models from votes, from predictions or from both, with intervals.

Called by `votecast rank`, the service, and from Python.
"""

from votecast.leaderboard.board import Leaderboard
from votecast.leaderboard.fit import Fit, fit_ranking
from votecast.leaderboard.games import Games, Predicted
from votecast.leaderboard.rank_models import Estimate, Ranking, rank_models
from votecast.leaderboard.rank_votes import leaderboard
from votecast.leaderboard.settings import METHODS

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
