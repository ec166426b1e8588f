"""The asyncio client of `votecast serve`, exported as `votecast.AsyncClient`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

from votecast.client.calls import Calls, Send, Steps, T, Text
from votecast.client.service_responses import Prediction, Reranked, ServedJudge, ServedLeaderboard
from votecast.types import Battle


class AsyncClient:
    """`Client` for asyncio: the same methods, awaited; close it with `aclose`, or use it in an `async with` statement.

    Args:
        url: Address of the service, such as "http://127.0.0.1:8000".
        key: Its API key, if it has one.
        timeout: Seconds to wait for a response.
        retries: How many times a request is retried.
        transport: An asynchronous httpx transport to send through; None for the network.

    Raises:
        MissingExtraError: If httpx is not installed.
        ConfigError: If the address or the key is invalid.

    Example:
        >>> import httpx
        >>> response = {"id": "", "ranking": [{"index": 1, "score": 0.8}, {"index": 0, "score": 0.2}]}
        >>> response["judge"] = {"name": "baseline", "hash": "0"}
        >>> fake = httpx.MockTransport(lambda request: httpx.Response(200, json=response))
        >>> async def best() -> int:
        ...     async with AsyncClient("http://127.0.0.1:8000", transport=fake) as client:
        ...         return (await client.rerank("Name a prime.", ["4", "7"])).best
        >>> asyncio.run(best())
        1
    """

    def __init__(
        self, url: str, key: str | None = None, *, timeout: float = 60.0, retries: int = 5, transport: object = None
    ) -> None:
        self._calls = Calls(url, key, timeout, retries, transport)
        self._client = self._calls.httpx.AsyncClient(**self._calls.options)

    async def compare(
        self,
        prompt: Text,
        response_a: Text,
        response_b: Text,
        *,
        judge: str | None = None,
        order: Literal["both", "given"] = "both",
        explain: bool = False,
    ) -> Prediction:
        """Predict the vote between two responses; see `Client.compare`."""
        battle = {"prompt": prompt, "response_a": response_a, "response_b": response_b}
        return await self._run(self._calls.compare(battle, judge=judge, order=order, explain=explain))

    async def compare_batch(
        self,
        battles: Iterable[Battle | Mapping[str, Any]],
        *,
        judge: str | None = None,
        order: Literal["both", "given"] = "both",
        explain: bool = False,
    ) -> list[Prediction]:
        """Predict any number of votes, in order; see `Client.compare_batch`."""
        return await self._run(self._calls.compare_batch(battles, judge=judge, order=order, explain=explain))

    async def rerank(
        self, prompt: Text, candidates: Sequence[Text], *, id: str | None = None, judge: str | None = None
    ) -> Reranked:
        """Rank several responses to one prompt, best first; see `Client.rerank`."""
        return await self._run(self._calls.rerank(id=id, prompt=prompt, candidates=list(candidates), judge=judge))

    async def leaderboard(
        self,
        games: Iterable[Mapping[str, Any]],
        *,
        method: Literal["bradley_terry", "davidson", "rao_kupper"] = "bradley_terry",
    ) -> ServedLeaderboard:
        """Rank models by votes, or by predictions of votes; see `Client.leaderboard`."""
        return await self._run(self._calls.leaderboard(games=list(games), method=method))

    async def judges(self) -> list[ServedJudge]:
        """List the judges of the service; see `Client.judges`."""
        return await self._run(self._calls.judges())

    async def ready(self) -> bool:
        """Return whether the judges are loaded; False also if the service cannot be reached."""
        return await self._run(self._calls.ready())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _run(self, steps: Steps[T]) -> T:
        answer: object = None
        try:
            while True:
                step = steps.send(answer)
                answer = await (self._send(step) if isinstance(step, Send) else asyncio.sleep(step))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def _send(self, step: Send) -> object:
        try:
            return await self._client.request(step.method, self._calls.url + step.path, content=step.body)
        except self._calls.httpx.TransportError as error:
            return error
