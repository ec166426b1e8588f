"""The errors that the service answers with, one class for each kind, and their JSON.

Routes, limits, authentication and the pool raise them; the middleware turns them into responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pydantic_core
from starlette.responses import Response

from votecast.errors import ServiceError

_CHALLENGES = ('Bearer realm="votecast"', 'Basic realm="votecast", charset="UTF-8"')


@dataclass(frozen=True)
class Fault:
    """One invalid place of a request.

    Args:
        path: Where, such as "battles.3.response_a"; empty for the whole body.
        message: What was given, what is allowed, what to do; never the user's text.
    """

    path: str
    message: str


class RequestError(ServiceError):
    """An error response.

    Args:
        message: What was given, what is allowed, what to do; never the user's text.
        faults: The invalid places of the request.
        status: Its HTTP status; that of the class by default.
        type: A word for programs; that of the class by default.
        retry_after: Seconds after which a retry makes sense; None if it makes none.
        closes: Whether the connection ends with the response.
    """

    status = 500
    type = "internal"
    closes = False

    def __init__(
        self,
        message: str,
        faults: Sequence[Fault] = (),
        *,
        status: int | None = None,
        type: str | None = None,
        retry_after: float | None = None,
        closes: bool | None = None,
    ) -> None:
        super().__init__(message, status=status or self.status)
        self.status, self.type = status or self.status, type or self.type
        self.closes = self.closes if closes is None else closes
        self.faults, self.retry_after = tuple(faults), retry_after


class InvalidRequestError(RequestError):
    """A field of the body is invalid."""

    status, type = 422, "unfit"


class UnscoredError(InvalidRequestError):
    """The judge cannot score some of the battles.

    Args:
        rows: Position of each such battle, and the reason.

    Example:
        >>> UnscoredError({3: "the response is longer than the judge reads"}).faults[0].path
        'battles.3'
    """

    type = "unscored"

    def __init__(self, rows: Mapping[int, str]) -> None:
        count = f"{len(rows):,} battle" + "s" * (len(rows) != 1)
        super().__init__(
            f"the judge cannot score {count}; leave them out, or name another judge",
            [Fault(f"battles.{row}", reason) for row, reason in rows.items()],
        )
        self.rows = dict(rows)


class QueueFullError(RequestError):
    """As many requests are in flight as the service accepts."""

    status, type = 429, "busy"

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__("the service is busy; retry after the seconds in Retry-After", retry_after=retry_after)


class UnavailableError(RequestError):
    """The service cannot answer now."""

    status, type = 503, "unavailable"
    message = "the service is unavailable"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message, retry_after=1.0)


class LoadingError(UnavailableError):
    """The judges are not loaded yet."""

    type, message = "loading", "the judges are still being loaded; GET /ready reports when they are"


class DrainingError(UnavailableError):
    """The service is shutting down."""

    type, closes = "draining", True
    message = "the service is shutting down and takes no more requests; send this one to another"


class WorkerLostError(UnavailableError):
    """The worker died with the request, and so did the one that retried it."""

    type = "worker_lost"
    message = "the processes that scored this request died twice; send fewer or shorter texts"


class RequestTimeoutError(RequestError):
    """The deadline of the request has passed."""

    status, type = 504, "timeout"

    def __init__(self) -> None:
        super().__init__("there was no answer in time; send fewer or shorter texts, or raise --timeout")


def json_response(values: object, status: int = 200) -> Response:
    """Encode values as a JSON response."""
    return Response(pydantic_core.to_json(values), status, media_type="application/json")


def error_response(error: RequestError, allow: str | None = None) -> Response:
    """Return the response for an error.

    Args:
        error: The error.
        allow: The methods of the route, if another one was requested.

    Example:
        >>> response = error_response(QueueFullError(2.0))
        >>> response.status_code, response.headers["retry-after"]
        (429, '2')
    """
    faults = [{"path": fault.path, "message": fault.message} for fault in error.faults]
    response = json_response({"error": {"type": error.type, "message": str(error), "errors": faults}}, error.status)
    if error.retry_after is not None:
        response.headers["retry-after"] = str(max(1, round(error.retry_after)))
    if error.closes:
        response.headers["connection"] = "close"
    if error.status == 401:
        for challenge in _CHALLENGES:
            response.headers.append("www-authenticate", challenge)
    if allow is not None:
        response.headers["allow"] = allow
    return response
