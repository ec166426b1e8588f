"""Why a request gets no answer: one class for each status."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from votecast.errors import ServiceError


@dataclass(frozen=True)
class Fault:
    """One place in a request that cannot be used.

    Args:
        path: Where, such as "battles.3.response_a"; empty for the whole body.
        message: What was given, what is allowed, what to do; never the user's text.
    """

    path: str
    message: str


class RequestError(ServiceError):
    """A request is answered with an error.

    Args:
        message: What was given, what is allowed, what to do; never the user's text.
        faults: The places that cannot be used.
        retry_after: Seconds after which another try makes sense; None where it makes none.
    """

    status = 500
    type = "internal"
    closes = False
    """Whether the connection ends with the answer."""

    def __init__(self, message: str, faults: Sequence[Fault] = (), *, retry_after: float | None = None) -> None:
        super().__init__(message, status=self.status)
        self.faults = tuple(faults)
        self.retry_after = retry_after


class BadBodyError(RequestError):
    """The body is not JSON, not UTF-8 or too deep."""

    status, type = 400, "bad_body"


class NoHttpError(RequestError):
    """What came is no request."""

    status, type = 400, "no_http"

    def __init__(self) -> None:
        super().__init__("this is no request that can be read; send one in HTTP/1.1")


class LongHeadError(RequestError):
    """The first line and the headers of a request are longer than allowed.

    Args:
        most: What is allowed.
    """

    status, type = 431, "head_too_large"

    def __init__(self, most: int) -> None:
        super().__init__(f"the address and the headers are longer than {most:,} bytes; send shorter ones")


class UnauthorizedError(RequestError):
    """The key is missing or wrong."""

    status, type = 401, "unauthorized"


class HostRefusedError(RequestError):
    """A service on loopback without a key was called by a foreign name."""

    status, type = 403, "host_refused"


class NotFoundError(RequestError):
    """There is no such route."""

    status, type = 404, "not_found"


class MethodError(RequestError):
    """The route takes other methods."""

    status, type = 405, "method_not_allowed"


class SlowBodyError(RequestError):
    """The body did not come in time."""

    status, type, closes = 408, "slow_body", True

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the body had not come after {seconds:g} s; send it faster, or a shorter one")


class TooLargeError(RequestError):
    """The body is longer than allowed.

    Args:
        most: What is allowed.
        closes: Whether the connection ends with the answer, since the body was not read to its end.
    """

    status, type = 413, "too_large"

    def __init__(self, most: int, *, closes: bool = False) -> None:
        super().__init__(f"the body is longer than {most:,} bytes; send fewer or shorter texts at once")
        self.closes = closes


class MediaTypeError(RequestError):
    """The body is not said to be JSON."""

    status, type = 415, "media_type"


class UnfitError(RequestError):
    """The body is JSON, and a field of it cannot be used."""

    status, type = 422, "unfit"


class QueueFullError(RequestError):
    """As many requests are in flight as the service takes; the client should come back after `retry_after` seconds."""

    status, type = 429, "busy"

    def __init__(self, retry_after: float = 1.0, message: str = "") -> None:
        text = message or "the service is busy; send this request again after the seconds that Retry-After names"
        super().__init__(text, retry_after=retry_after)


class UnavailableError(RequestError):
    """The service cannot answer now."""

    status, type = 503, "unavailable"

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after=retry_after)


class LoadingError(UnavailableError):
    """The judges are not loaded yet."""

    type = "loading"

    def __init__(self, message: str = "", *, retry_after: float = 1.0) -> None:
        text = message or "the judges are still being loaded; GET /ready tells when they are"
        super().__init__(text, retry_after=retry_after)


class DrainingError(UnavailableError):
    """The service was told to stop and takes nothing more."""

    type, closes = "draining", True

    def __init__(self, message: str = "", *, retry_after: float = 1.0) -> None:
        text = message or "the service is stopping and takes no more requests; send this one to another"
        super().__init__(text, retry_after=retry_after)


class WorkerLostError(UnavailableError):
    """The worker died with the request, and so did the one that took it over."""

    type = "worker_lost"

    def __init__(self, message: str = "", *, retry_after: float = 1.0) -> None:
        text = message or "the processes that scored this request died twice; send fewer or shorter texts"
        super().__init__(text, retry_after=retry_after)


class TimeoutError(RequestError, builtins.TimeoutError):  # noqa: A001 - the built-in one, with a status
    """There was no answer in time."""

    status, type = 504, "timeout"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "there was no answer in time; send fewer or shorter texts, or raise --timeout")


class UnscoredError(UnfitError):
    """The judge cannot score some of the battles.

    Args:
        rows: Position of each such battle, and why.

    Example:
        >>> UnscoredError({3: "the answer is longer than the judge reads"}).rows
        {3: 'the answer is longer than the judge reads'}
    """

    type = "unscored"

    def __init__(self, rows: Mapping[int, str]) -> None:
        count = f"{len(rows):,} battle" + "s" * (len(rows) != 1)
        super().__init__(
            f"the judge cannot score {count}; leave them out, or name another judge",
            [Fault(f"battles.{place}", reason) for place, reason in rows.items()],
        )
        self.rows = dict(rows)
