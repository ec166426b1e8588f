"""The Python client of `votecast serve`."""

from votecast.client.async_client import AsyncClient as AsyncClient
from votecast.client.responses import Leaderboard as Leaderboard
from votecast.client.responses import Prediction as Prediction
from votecast.client.responses import Reranked as Reranked
from votecast.client.responses import ServedJudge as ServedJudge
from votecast.client.sync_client import Client as Client

__all__ = ["AsyncClient", "Client", "Leaderboard", "Prediction", "Reranked", "ServedJudge"]
