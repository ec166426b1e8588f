"""The asyncio client of `votecast serve`, exported as `votecast.AsyncClient`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self

from votecast.client.calls import BaseClient, Send, Steps, T, Text
from votecast.client.service_responses import Judges, Prediction, Reranked, ServedJudge, ServedLeaderboard
from votecast.types import Battle

if TYPE_CHECKING:
    import httpx


class AsyncClient(BaseClient):
    """`Client` for asyncio: the same arguments and methods, awaited.

    Close it with `aclose`, or use it in an `async with` statement. `transport` is an asynchronous httpx transport.

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

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        client: httpx.AsyncClient = self._httpx.AsyncClient(**self._options)
        return client

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
        options = {"judge": judge, "order": order, "explain": explain}
        battle = {"prompt": prompt, "response_a": response_a, "response_b": response_b}
        return await self._run(self._post(Prediction, "/v1/compare", **battle, **options))

    async def compare_batch(
        self,
        battles: Iterable[Battle | Mapping[str, object]],
        *,
        judge: str | None = None,
        order: Literal["both", "given"] = "both",
        explain: bool = False,
    ) -> list[Prediction]:
        """Predict any number of votes, in order; see `Client.compare_batch`."""
        return await self._run(self._compare_batch(battles, judge=judge, order=order, explain=explain))

    async def rerank(
        self, prompt: Text, candidates: Sequence[Text], *, id: str | None = None, judge: str | None = None
    ) -> Reranked:
        """Rank several responses to one prompt, best first; see `Client.rerank`."""
        return await self._run(self._rerank(candidates, id=id, prompt=prompt, judge=judge))

    async def leaderboard(
        self,
        games: Iterable[Mapping[str, object]],
        *,
        method: Literal["bradley_terry", "davidson", "rao_kupper"] = "bradley_terry",
    ) -> ServedLeaderboard:
        """Rank models by votes, or by predictions of votes; see `Client.leaderboard`."""
        return await self._run(self._leaderboard(list(games), method=method))

    async def judges(self) -> list[ServedJudge]:
        """List the judges of the service; see `Client.judges`."""
        return (await self._run(self._send(Judges, "/v1/judges"))).judges

    async def ready(self) -> bool:
        """Return whether the judges are loaded; False also if the service cannot be reached."""
        return await self._run(self._check_ready())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _request(self, step: Send) -> httpx.Response:
        """Send a request, and receive no more of the response than is allowed."""
        body = bytearray()
        async with self._client.stream(step.method, step.url, content=step.body) as response:
            self._take(response, 0)
            async for part in response.aiter_bytes():
                body += part
                self._take(response, len(body))
        return self._whole(response, bytes(body))

    async def _run(self, steps: Steps[T]) -> T:
        answer: object = None
        try:
            while True:
                step = steps.send(answer)
                if not isinstance(step, Send):
                    await asyncio.sleep(step)
                    continue
                try:
                    answer = await self._request(step)
                except self._httpx.TransportError as error:
                    answer = error
        except StopIteration as end:
            result: T = end.value
            return result
