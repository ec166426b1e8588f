"""The Python client of `votecast serve`."""

from votecast.client.async_client import AsyncClient as AsyncClient
from votecast.client.service_responses import Prediction as Prediction
from votecast.client.service_responses import Reranked as Reranked
from votecast.client.service_responses import ServedJudge as ServedJudge
from votecast.client.service_responses import ServedLeaderboard as ServedLeaderboard
from votecast.client.sync_client import Client as Client

__all__ = ["AsyncClient", "Client", "Prediction", "Reranked", "ServedJudge", "ServedLeaderboard"]
