"""The Python client of `votecast serve`."""

from votecast.client.answers import Forecast as Forecast
from votecast.client.answers import Leaderboard as Leaderboard
from votecast.client.answers import Reranked as Reranked
from votecast.client.answers import ServedJudge as ServedJudge
from votecast.client.blocking import Client as Client
from votecast.client.concurrent import AsyncClient as AsyncClient

__all__ = ["AsyncClient", "Client", "Forecast", "Leaderboard", "Reranked", "ServedJudge"]
