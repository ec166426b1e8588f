"""Valid requests, and checks of every refusal."""

from __future__ import annotations

from typing import Any

import httpx

SECRET = "Zugzwang"
"""A word in request texts that must not appear in errors or logs."""

BATTLE: dict[str, Any] = {
    "prompt": f"What does {SECRET} mean?",
    "response_a": f"In chess: whoever must move loses by it. {SECRET}!",
    "response_b": "No idea.",
}
RERANK: dict[str, Any] = {"prompt": BATTLE["prompt"], "candidates": [BATTLE["response_a"], BATTLE["response_b"], "Hm."]}
GAMES: list[dict[str, Any]] = [
    {"model_a": "ant", "model_b": "bee", "winner": "a"},
    {"model_a": "bee", "model_b": "cat", "winner": "b"},
    {"model_a": "cat", "model_b": "ant", "winner": "tie"},
    {"model_a": "bee", "model_b": "ant", "winner": "a"},
]
GOOD: dict[str, dict[str, Any]] = {
    "/v1/compare": BATTLE,
    "/v1/compare/batch": {"battles": [BATTLE, BATTLE]},
    "/v1/rerank": RERANK,
    "/v1/leaderboard": {"games": GAMES},
}
"""A request that each route answers."""


def refused(answer: httpx.Response, status: int, path: str | None = None) -> dict[str, Any]:
    """Assert a status and place, without user text in the response."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"type", "message", "errors"}
    assert error["type"] and len(error["message"]) > 10
    assert SECRET not in answer.text
    places = [place["path"] for place in error["errors"]]
    assert all(set(place) == {"path", "message"} and place["message"] for place in error["errors"])
    if path is not None:
        assert path in places, error
    if status in (429, 503):
        assert 0 < float(answer.headers["retry-after"]) <= 60
    return error
