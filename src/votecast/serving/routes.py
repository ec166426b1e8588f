"""What the service answers: one method for each route."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from votecast import __version__
from votecast.serving.answers import answer
from votecast.serving.boards import board_of
from votecast.serving.bodies import BatchBody, BattleBody, CompareBody, Given, LeaderboardBody, RerankBody, read_body
from votecast.serving.errors import DrainingError, Fault, LoadingError, UnavailableError, UnfitError, UnscoredError
from votecast.serving.gate import EXCHANGE
from votecast.serving.limits import Doors, check_media_type, read_all, while_there
from votecast.serving.metrics import CONTENT_TYPE, Metrics
from votecast.serving.reading import read_json
from votecast.serving.reranking import check_spread, pairs_of, ranking_of
from votecast.serving.settings import ServiceSettings

if TYPE_CHECKING:
    from votecast.serving.logs import Exchange
    from votecast.serving.pool import Pool

Work = Callable[[Given, "Exchange"], Coroutine[Any, Any, Any]]

_LONG: Final = 1 << 18
"""Bytes of a body that are not checked within the event loop."""

_SPREAD: Final = 16
"""Characters that the pairs of candidates may hold, for each byte of the longest body."""


class Routes:
    """The routes of one service.

    Args:
        pool: The judges at work.
        settings: What is allowed.
        doors: How many are inside.
        metrics: What is counted.
    """

    def __init__(self, pool: Pool, settings: ServiceSettings, doors: Doors, metrics: Metrics) -> None:
        self._pool, self._settings, self._doors, self._metrics = pool, settings, doors, metrics
        self._ranking = ThreadPoolExecutor(1)
        self._most = {name: getattr(settings, name) for name in ("battles", "candidates", "games")}

    async def compare(self, request: Request) -> Response:
        """Forecast one battle."""
        return await self._work(request, CompareBody, self._compare)

    async def batch(self, request: Request) -> Response:
        """Forecast several battles."""
        return await self._work(request, BatchBody, self._batch)

    async def rerank(self, request: Request) -> Response:
        """Rank answers to one prompt."""
        return await self._work(request, RerankBody, self._rerank)

    async def leaderboard(self, request: Request) -> Response:
        """Rank models by games."""
        return await self._work(request, LeaderboardBody, self._leaderboard)

    async def judges(self, _: Request) -> Response:
        """The judges of this service, and how much one request may hold."""
        self._check_ready()
        facts = [each.to_dict() for each in self._pool.judges.values()]
        limits = self._most | {"body_bytes": self._settings.body_bytes}
        return answer({"judges": [each | {"default": n == 0} for n, each in enumerate(facts)], "limits": limits})

    async def health(self, _: Request) -> Response:
        """Whether the service is up."""
        return answer({"status": "ok", "version": __version__})

    async def ready(self, _: Request) -> Response:
        """Whether the service takes requests."""
        self._check_ready()
        if not self._pool.workers_ready:
            raise UnavailableError("no worker is ready; they are being replaced")
        return answer({"status": "ready", "workers": self._pool.workers_ready, "judges": list(self._pool.judges)})

    async def metrics(self, _: Request) -> Response:
        """What is counted."""
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def _work(self, request: Request, kind: type[Given], work: Work[Given]) -> Response:
        scope, receive, settings = request.scope, request.receive, self._settings
        self._check_ready()
        check_media_type(scope["headers"])
        with self._doors.entered():
            body = await read_all(receive, scope["headers"], settings.body_bytes, settings.timeout)
            given = await self._read(kind, body)
            return answer(await while_there(work(given, scope[EXCHANGE]), receive, settings.timeout))

    async def _read(self, kind: type[Given], body: bytes) -> Given:
        """Check a body, away from the event loop where it is long."""
        if len(body) < _LONG:
            return read_body(kind, read_json(body), self._most)
        return await asyncio.to_thread(lambda: read_body(kind, read_json(body), self._most))

    async def _compare(self, body: CompareBody, exchange: Exchange) -> Any:
        judge = self._judge(body.judge, exchange, 1)
        with _unscored_at(""):
            found = await self._pool.forecast(judge, [_battle(body, "0")], order=body.order, explain=body.explain)
        return found[0]

    async def _batch(self, body: BatchBody, exchange: Exchange) -> Any:
        judge = self._judge(body.judge, exchange, len(body.battles))
        battles = [_battle(each, str(place)) for place, each in enumerate(body.battles)]
        found = await self._pool.forecast(judge, battles, order=body.order, explain=body.explain)
        return {"judge": self._cite(judge), "forecasts": found}

    async def _rerank(self, body: RerankBody, exchange: Exchange) -> Any:
        row, battles = pairs_of(body)
        check_spread(battles, _SPREAD * self._settings.body_bytes)
        judge = self._judge(body.judge, exchange, len(battles))
        with _unscored_at("candidates"):
            found = await self._pool.forecast(judge, battles) if battles else []
        return ranking_of(row, found) | {"judge": self._cite(judge)}

    async def _leaderboard(self, body: LeaderboardBody, exchange: Exchange) -> Any:
        exchange.rows = len(body.games)
        return await asyncio.get_running_loop().run_in_executor(self._ranking, board_of, body)

    def _judge(self, name: str | None, exchange: Exchange, rows: int) -> str:
        judges = self._pool.judges
        found = next(iter(judges)) if name is None else name
        if found not in judges:
            told = f"this service has no judge of that name; allowed are {', '.join(judges)}"
            raise UnfitError(f"the body cannot be used: judge: {told}", [Fault("judge", told)])
        exchange.judge, exchange.rows = found, rows
        return found

    def _cite(self, judge: str) -> Mapping[str, str]:
        return {"name": judge, "hash": self._pool.judges[judge].hash}

    def _check_ready(self) -> None:
        if self._pool.state == "loading":
            raise LoadingError
        if self._pool.state != "ready":
            raise DrainingError


@contextlib.contextmanager
def _unscored_at(path: str) -> Iterator[None]:
    """Let the error for a battle that cannot be scored name a place of a body without battles."""
    try:
        yield
    except UnscoredError as error:
        reason = next(iter(error.rows.values()))
        where = f"{path}: " if path else ""
        raise UnfitError(f"the judge cannot score this: {where}{reason}", [Fault(path, reason)]) from None


def _battle(body: BattleBody, name: str) -> dict[str, Any]:
    battle = {
        "id": body.id or name,
        "prompt": body.prompt,
        "response_a": body.response_a,
        "response_b": body.response_b,
    }
    if body.language is not None:
        battle["language"] = body.language
    if body.source is not None:
        battle["source"] = body.source
    return battle
