"""The middleware around all routes: authentication, security headers, error responses, log lines and metrics.

`app` adds it to the application.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from votecast.serving.auth import Guard
from votecast.serving.request_errors import DrainingError, RequestError, error_response
from votecast.serving.request_limits import ClientDisconnectedError, Headers, InFlight
from votecast.serving.telemetry import Metrics, RequestLog, RequestRecord

RECORD: Final = "votecast.record"  # key of a request's scope under which its `RequestRecord` is
HEALTH: Final = "/health"  # the route that needs no key
STATIC: Final = "/static"

_CLIENT_LEFT: Final = 499  # status in the log if the client disconnected before the response

# A page of this service may load and run its own files only.
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURE: Final[Headers] = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]


def with_security_headers(headers: Headers, *, closes: bool) -> Headers:
    """Add the headers that all responses carry; `closes` ends the connection.

    Example:
        >>> (b"cache-control", b"no-store") in with_security_headers([(b"content-type", b"text/plain")], closes=False)
        True
    """
    cached = any(name == b"etag" for name, _ in headers)  # a browser may keep it, and asks whether it has changed
    added = [*headers, *_SECURE, (b"cache-control", b"no-cache" if cached else b"no-store")]
    return [*added, (b"connection", b"close")] if closes else added


class ServiceMiddleware:
    """ASGI middleware around all routes.

    Args:
        app: The application.
        routes: Known paths; all others share one name in logs and metrics.
        guard: Checks who may send requests.
        in_flight: Whether the service is draining.
        metrics: Counts requests.
        log: Writes a line for each request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Collection[str],
        guard: Guard,
        in_flight: InFlight,
        metrics: Metrics,
        log: RequestLog,
    ) -> None:
        self._app, self._routes, self._guard, self._in_flight = app, routes, guard, in_flight
        self._metrics, self._log = metrics, log
        self._ids = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        # unknown paths share a name: a label for each would fill the memory, and the log could hold the user's text
        route = path if path in self._routes else STATIC if path.startswith(STATIC + "/") else "other"
        record = scope[RECORD] = RequestRecord(next(self._ids), scope["method"], route)

        async def send_secured(message: Message) -> None:
            """Send a message; note its status and add the security headers."""
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = with_security_headers(message["headers"], closes=self._in_flight.draining)
            await send(message)

        try:
            response = await self._run(scope, receive, send_secured, record)
            if response is not None:
                await response(scope, receive, send_secured)
        finally:
            self._metrics.count_request(record)
            self._log.write_request(record)

    async def _run(self, scope: Scope, receive: Receive, send: Send, record: RequestRecord) -> Response | None:
        """Run the application; return the response to its error, if it failed before responding."""
        try:
            if scope["path"] != HEALTH:
                self._guard.check(scope["headers"])
            await self._app(scope, receive, send)
        except RequestError as error:
            return error_response(error)
        except ClientDisconnectedError:
            record.status = _CLIENT_LEFT
        except asyncio.CancelledError:
            # the server cancels what is left when the time to drain is over
            if not self._in_flight.draining or record.status:
                raise
            return error_response(DrainingError("the service is shutting down and had no time left for this request"))
        except Exception as error:  # noqa: BLE001 - the client gets a response whatever failed
            self._log.write_failure(record, error)
            if not record.status:
                return error_response(RequestError())
        return None


async def http_error(_: Request, error: Exception) -> Response:
    """Return the response for an unknown route or method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allow = (error.headers or {}).get("Allow", "GET")
        message = f"this method is not allowed for this route; use {allow}"
        return error_response(RequestError(message, status=405, type="method_not_allowed"), allow)
    return error_response(RequestError("there is no such route; GET /docs lists them", status=404, type="not_found"))
