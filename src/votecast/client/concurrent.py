"""The client for programs that do other things meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

from votecast.client.answers import Forecast, Leaderboard, Reranked, ServedJudge
from votecast.client.calls import Calls, Steps, T, Text, Wait, settings
from votecast.types import Battle


class AsyncClient:
    """`Client` for asyncio: the same methods, awaited; close it with `aclose`, or use it in an `async with` statement.

    They are `compare`, `compare_batch`, `rerank`, `leaderboard`, `judges` and `ready`; a service with a key is called
    by `AsyncClient(url, key=...)`.

    Args:
        url: Address of the service, such as "http://127.0.0.1:8000".
        key: Its API key, if it has one.
        timeout: Seconds to wait for an answer.
        retries: How many times a request is sent again.
        transport: An asynchronous httpx transport to send through; None for the network.

    Raises:
        MissingExtraError: If httpx is not installed.
        ConfigError: If the address or the key cannot be used.

    Example:
        >>> import httpx
        >>> said = {"id": "", "ranking": [{"index": 1, "score": 0.8}, {"index": 0, "score": 0.2}]}
        >>> said["judge"] = {"name": "baseline", "hash": "0"}
        >>> fake = httpx.MockTransport(lambda request: httpx.Response(200, json=said))
        >>> async def best() -> int:
        ...     async with AsyncClient("http://127.0.0.1:8000", transport=fake) as client:
        ...         return (await client.rerank("Name a prime.", ["4", "7"])).best
        >>> asyncio.run(best())
        1
    """

    def __init__(
        self, url: str, key: str | None = None, *, timeout: float = 60.0, retries: int = 5, transport: Any = None
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
    ) -> Forecast:
        """Forecast the vote between two answers; see `Client.compare`."""
        battle = {"prompt": prompt, "response_a": response_a, "response_b": response_b}
        return await self._run(self._calls.compare(battle, settings(judge=judge, order=order, explain=explain)))

    async def compare_batch(
        self,
        battles: Iterable[Battle | Mapping[str, Any]],
        *,
        judge: str | None = None,
        order: Literal["both", "given"] = "both",
        explain: bool = False,
    ) -> list[Forecast]:
        """Forecast any number of votes, in their order; see `Client.compare_batch`."""
        return await self._run(self._calls.compare_batch(battles, settings(judge=judge, order=order, explain=explain)))

    async def rerank(
        self, prompt: Text, candidates: Sequence[Text], *, id: str | None = None, judge: str | None = None
    ) -> Reranked:
        """Rank several answers to one prompt, best first; see `Client.rerank`."""
        return await self._run(
            self._calls.rerank(settings(id=id, prompt=prompt, candidates=list(candidates), judge=judge))
        )

    async def leaderboard(
        self,
        games: Iterable[Mapping[str, Any]],
        *,
        method: Literal["bradley_terry", "davidson", "rao_kupper"] = "bradley_terry",
    ) -> Leaderboard:
        """Rank models by votes, or by forecasts of votes; see `Client.leaderboard`."""
        return await self._run(self._calls.leaderboard({"games": list(games), "method": method}))

    async def judges(self) -> list[ServedJudge]:
        """The judges of the service; see `Client.judges`."""
        return await self._run(self._calls.judges())

    async def ready(self) -> bool:
        """Whether the judges are loaded; False also where no service can be reached."""
        return await self._run(self._calls.ready())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _run(self, steps: Steps[T]) -> T:
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)
                    answer = None
                    continue
                try:
                    answer = await self._client.request(step.method, self._calls.url + step.path, content=step.body)
                except self._calls.httpx.TransportError as error:
                    answer = error
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
