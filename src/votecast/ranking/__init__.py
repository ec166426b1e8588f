"""Leaderboards as numbers: strengths of models from games, their intervals and ranks; numpy and scipy only."""

from votecast.ranking.fit import Fit, fit_ranking
from votecast.ranking.games import Games, Predicted
from votecast.ranking.methods import METHODS
from votecast.ranking.rank import rank_models
from votecast.ranking.result import Estimate, Ranking

__all__ = ["METHODS", "Estimate", "Fit", "Games", "Predicted", "Ranking", "fit_ranking", "rank_models"]
