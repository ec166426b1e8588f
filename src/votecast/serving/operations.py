"""The routes as they are described: method, path, words, body, answer, and every status that happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from votecast.serving import shapes
from votecast.serving.bodies import BatchBody, CompareBody, LeaderboardBody, RerankBody

GUARDED: Final = (401, 403)
WORKING: Final = (400, 408, 413, 415, 422, 429, 500, 503, 504)

SAID: Final = {
    400: "The body is not JSON, not UTF-8 or nested too deeply",
    401: "The key is missing or wrong",
    403: "The service has no key and was called by a name other than localhost",
    408: "The body did not come in time",
    413: "The body is too long",
    415: "The body is not said to be JSON",
    422: "A field cannot be used; errors holds the places",
    429: "The service is busy",
    500: "The service has failed; its log says where",
    503: "The judges are being loaded, the service is stopping, or the workers died",
    504: "There was no answer in time",
}
"""What each status says."""

COMING_BACK: Final = (429, 503)
"""Statuses that name the seconds after which another try makes sense."""


@dataclass(frozen=True)
class Operation:
    """One route.

    Args:
        name: What its method in `Routes` is called.
        path: Its path.
        summary: What it does, in a line.
        body: What it takes; None for a GET.
        answer: What it gives; None where that is plain text.
        statuses: Statuses of errors that happen.
        example: A body that it takes.
    """

    name: str
    path: str
    summary: str
    body: type[BaseModel] | None
    answer: type[BaseModel] | None
    statuses: tuple[int, ...]
    example: dict[str, Any] | None = None

    @property
    def method(self) -> str:
        """GET, or POST where there is a body."""
        return "GET" if self.body is None else "POST"


_BATTLE: Final = {
    "prompt": "Why is the sky blue?",
    "response_a": "Air scatters blue light more than red light, so blue reaches us from everywhere.",
    "response_b": "Because it mirrors the sea.",
}
_GAMES: Final = [
    {"model_a": "old", "model_b": "new", "winner": "b"},
    {"model_a": "new", "model_b": "old", "probabilities": {"a": 0.5, "b": 0.25, "tie": 0.25}},
]

OPERATIONS: Final = (
    Operation(
        "compare",
        "/v1/compare",
        "Forecast the vote between two answers",
        CompareBody,
        shapes.Forecast,
        WORKING,
        _BATTLE,
    ),
    Operation(
        "batch",
        "/v1/compare/batch",
        "Forecast the votes of several battles",
        BatchBody,
        shapes.Forecasts,
        WORKING,
        {"battles": [_BATTLE]},
    ),
    Operation(
        "rerank",
        "/v1/rerank",
        "Rank several answers to one prompt, best first",
        RerankBody,
        shapes.Reranked,
        WORKING,
        {"prompt": _BATTLE["prompt"], "candidates": [_BATTLE["response_b"], _BATTLE["response_a"]]},
    ),
    Operation(
        "leaderboard",
        "/v1/leaderboard",
        "Rank models by votes, or by forecasts of votes",
        LeaderboardBody,
        shapes.Board,
        WORKING,
        {"games": _GAMES},
    ),
    Operation("judges", "/v1/judges", "List the judges; the first is the default", None, shapes.Judges, (500, 503)),
    Operation("health", "/health", "Tell whether the service is up; needs no key", None, shapes.Health, (500,)),
    Operation("ready", "/ready", "Tell whether the service takes requests", None, shapes.Ready, (500, 503)),
    Operation("metrics", "/metrics", "Counts in the format of Prometheus", None, None, (500,)),
)
"""All routes but the pages."""
