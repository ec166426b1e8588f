"""The way every request goes in and every answer out: who may ask, what goes wrong, what is told of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from votecast.serving.answers import error_answer
from votecast.serving.errors import DrainingError, MethodError, NotFoundError, RequestError
from votecast.serving.headers import secured
from votecast.serving.keys import Guard
from votecast.serving.limits import ClientLeftError, Doors
from votecast.serving.logs import Exchange, Log
from votecast.serving.metrics import Metrics

EXCHANGE: Final = "votecast.exchange"
"""Where a request's scope holds what is told of it."""

LEFT: Final = 499
"""Status in the log where the client left before there was an answer."""

HEALTH: Final = "/health"
"""The route that is never guarded."""


class Gate:
    """ASGI middleware around all routes.

    Args:
        app: What answers.
        routes: Every path that is answered; others have one name in logs and metrics.
        guard: Says who may ask.
        doors: Knows whether the service is being left.
        metrics: Counts.
        log: Is told of every request.
    """

    def __init__(
        self, app: ASGIApp, *, routes: Collection[str], guard: Guard, doors: Doors, metrics: Metrics, log: Log
    ) -> None:
        self._app, self._routes, self._guard, self._doors = app, routes, guard, doors
        self._metrics, self._log = metrics, log
        self._ids = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in self._routes else "other"
        exchange = scope[EXCHANGE] = Exchange(next(self._ids), scope["method"], route)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = secured(message["headers"], closing=self._doors.leaving)
            await send(message)

        try:
            await self._answer(scope, receive, sending, exchange)
        finally:
            self._metrics.answered(route, exchange.status, exchange.seconds)
            self._log.answered(exchange)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, exchange: Exchange) -> None:
        try:
            if scope["path"] != HEALTH:
                self._guard.check(scope["headers"])
            await self._app(scope, receive, send)
            return
        except RequestError as error:
            told = error_answer(error)
        except ClientLeftError:
            exchange.status = LEFT
            return
        except asyncio.CancelledError:
            if not self._doors.leaving or exchange.status:
                raise
            told = error_answer(DrainingError("the service stops and there was no time left for this request"))
        except Exception as error:  # noqa: BLE001 - whatever is wrong in here, the client gets an answer
            self._log.failed(exchange, error)
            if exchange.status:
                return
            told = error_answer(RequestError("the service has failed on this request; its log says where"))
        await told(scope, receive, send)


async def http_error(_: Request, error: Exception) -> Response:
    """The answer where there is no such route, or it takes other methods."""
    allow = (getattr(error, "headers", None) or {}).get("Allow", "")
    if getattr(error, "status_code", 0) == MethodError.status:
        return error_answer(MethodError(f"this route takes other methods; use {allow}"), allow)
    return error_answer(NotFoundError("there is no such route; GET /docs lists them"))
