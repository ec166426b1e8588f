"""Leaderboards: from files of votes, of forecasts, or of both, to a ranking of models with intervals."""

from votecast.leaderboard.board import Leaderboard
from votecast.leaderboard.making import leaderboard

__all__ = ["Leaderboard", "leaderboard"]
