"""The errors that the service answers with, one class for each kind, and their JSON.

Routes, limits, authentication and the pool raise them; the middleware turns them into responses.
"""

from __future__ import annotations

from collections.abc import Mapping

import pydantic_core
from starlette.responses import Response

from votecast.errors import ServiceError


class RequestError(ServiceError):
    """An error response; a subclass sets the defaults of its kind.

    Args:
        message: What was given, what is allowed, what to do; never the user's text.
        faults: What is wrong at each invalid place of the body, such as "battles.3.response_a"; "" is all of it.
        status, type: Its HTTP status, and a word for programs.
        retry_after: Seconds after which a retry makes sense; None if it makes none.
        closes: Whether the connection ends with the response.
    """

    status: int = 500
    type = "internal"
    message = "the service failed on this request; see its log"
    retry_after: float | None = None
    closes = False

    def __init__(
        self,
        message: str = "",
        faults: Mapping[str, str] | None = None,
        *,
        status: int | None = None,
        type: str = "",
        retry_after: float | None = None,
        closes: bool = False,
    ) -> None:
        super().__init__(message or self.message, status=status or self.status)
        self.faults, self.type, self.closes = dict(faults or {}), type or self.type, closes or self.closes
        self.retry_after = self.retry_after if retry_after is None else retry_after


class InvalidRequestError(RequestError):
    """Fields of the body are invalid: a message for each place.

    Example:
        >>> str(InvalidRequestError({"games.3": "a model cannot meet itself"}))
        'the body is invalid: games.3: a model cannot meet itself'
    """

    status, type = 422, "unfit"

    def __init__(self, faults: Mapping[str, str], what: str = "the body is invalid") -> None:
        path, message = next(iter(faults.items()))
        more = f" (and {len(faults) - 1} more, see errors)" if len(faults) > 1 else ""
        super().__init__(f"{what}: {path and path + ': '}{message}{more}", faults)


class UnscoredError(RequestError):
    """The judge cannot score the battles at some positions, each for a reason.

    Example:
        >>> UnscoredError({3: "the response is longer than the judge reads"}).faults
        {'battles.3': 'the response is longer than the judge reads'}
    """

    status, type = 422, "unscored"

    def __init__(self, rows: Mapping[int, str]) -> None:
        count = f"{len(rows):,} battle" + "s" * (len(rows) != 1)
        faults = {f"battles.{row}": reason for row, reason in rows.items()}
        super().__init__(f"the judge cannot score {count}; leave them out, or name another judge", faults)
        self.rows = dict(rows)


class QueueFullError(RequestError):
    """As many requests are in flight as the service accepts."""

    status, type, retry_after = 429, "busy", 1.0
    message = "the service is busy; retry after the seconds in Retry-After"


class UnavailableError(RequestError):
    """The service cannot answer now."""

    status, type, retry_after = 503, "unavailable", 1.0
    message = "no worker is ready; they are being replaced"


class LoadingError(UnavailableError):
    """The judges are not loaded yet."""

    type, message = "loading", "the judges are still being loaded; GET /ready reports when they are"


class DrainingError(UnavailableError):
    """The service is shutting down."""

    type, closes = "draining", True
    message = "the service is shutting down and takes no more requests; send this one to another"


class WorkerLostError(UnavailableError):
    """The worker died with the request, and so did those that retried it."""

    type = "worker_lost"
    message = "the processes that scored this request died one after the other; send fewer or shorter texts"


class RequestTimeoutError(RequestError):
    """The deadline of the request has passed."""

    status, type = 504, "timeout"
    message = "there was no answer in time; send fewer or shorter texts, or raise --timeout"


def json_response(values: object, status: int = 200) -> Response:
    """Encode values as a JSON response."""
    return Response(pydantic_core.to_json(values), status, media_type="application/json")


def error_response(error: RequestError, allow: str | None = None) -> Response:
    """Return the `ErrorResponse` for an error; `allow` lists the methods of its route.

    Example:
        >>> response = error_response(QueueFullError(retry_after=2.0))
        >>> response.status_code, response.headers["retry-after"]
        (429, '2')
    """
    faults = [{"path": path, "message": message} for path, message in error.faults.items()]
    status = error.status or 500
    response = json_response({"error": {"type": error.type, "message": str(error), "errors": faults}}, status)
    if error.retry_after is not None:
        response.headers["retry-after"] = str(max(1, round(error.retry_after)))
    if error.closes:
        response.headers["connection"] = "close"
    if error.status == 401:
        for challenge in ('Bearer realm="votecast"', 'Basic realm="votecast", charset="UTF-8"'):
            response.headers.append("www-authenticate", challenge)
    if allow is not None:
        response.headers["allow"] = allow
    return response
