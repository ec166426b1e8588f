"""Run the application without processes or sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import httpx

from votecast.client.service_responses import ServedJudge
from votecast.serving.app import build_app
from votecast.serving.settings import ServiceSettings

BATTLE = {"prompt": "Why?", "response_a": "Because of gravity.", "response_b": "So."}
SHARES = {"a": 0.5, "b": 0.25, "tie": 0.25}


class StillPool:
    """Stand-in for `Pool`; every battle gets the same prediction."""

    def __init__(self) -> None:
        self.state, self.workers_ready = "ready", 1
        self.judges = {
            name: ServedJudge(name=name, title="baseline", hash="0a1b", family="baseline")
            for name in ("first", "second")
        }
        self.asked: list[tuple[str, list[dict[str, Any]], str, bool]] = []
        self.error: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.cancelled = 0

    def queued(self, judge: str) -> int:
        return 0

    async def predict(
        self, judge: str, battles: Sequence[dict[str, Any]], *, order: str = "both", explain: bool = False
    ) -> list[dict[str, Any]]:
        self.asked.append((judge, list(battles), order, explain))
        try:
            if self.hold is not None:
                await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        cited = {"name": judge, "hash": "0a1b"}
        shape = {"probabilities": SHARES, "decision": "a", "judge": cited, "cut": None}
        return [{"id": battle["id"]} | shape for battle in battles]


def ask(
    pool: StillPool,
    talk: Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]],
    *,
    key: str | None = None,
    url: str = "http://localhost",
    **settings: Any,
) -> Any:
    """Return a client of an application over this pool."""
    app = build_app(pool, ServiceSettings(**settings), key=key)  # type: ignore[arg-type]

    async def run() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=url) as client:
            return await talk(client)

    return asyncio.run(run())


def get(pool: StillPool, path: str, headers: dict[str, str] | None = None, **options: Any) -> httpx.Response:
    """Return the response to one GET."""

    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get(path, headers=headers)

    answer: httpx.Response = ask(pool, talk, **options)
    return answer


def post(pool: StillPool, path: str, body: Any, **options: Any) -> httpx.Response:
    """Return the response to one POST."""

    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(path, json=body)

    answer: httpx.Response = ask(pool, talk, **options)
    return answer
