"""The log of requests: one JSON line each, with no word of what was asked."""

from __future__ import annotations

import json
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TextIO


@dataclass
class Exchange:
    """One request and its answer, as far as it may be told.

    Args:
        id: Counts the requests of this service.
        method: GET or POST, or another of HTTP's.
        route: One of the routes there are; "other" for every other path.
        status: Status of the answer; 499 where the client left before there was one.
        judge: Name of the judge that was asked.
        rows: Battles that were asked for.
    """

    id: int = 0
    method: str = ""
    route: str = "other"
    status: int = 0
    judge: str | None = None
    rows: int | None = None
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.perf_counter() - self.began


class Log(Protocol):
    """Is told of every request."""

    def answered(self, exchange: Exchange) -> None:
        """A request was answered."""

    def failed(self, exchange: Exchange, error: Exception) -> None:
        """A request has met a fault of the service."""


class JsonLog:
    """Writes one JSON line for each request.

    Args:
        stream: Where to.

    Example:
        >>> import io
        >>> JsonLog(lines := io.StringIO()).answered(Exchange(1, "GET", "/health", 200))
        >>> json.loads(lines.getvalue())["route"]
        '/health'
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def answered(self, exchange: Exchange) -> None:
        """Write the line of a request."""
        self._write(
            {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "id": exchange.id,
                "method": exchange.method if exchange.method in _METHODS else "other",
                "route": exchange.route,
                "status": exchange.status,
                "seconds": round(exchange.seconds, 4),
                "judge": exchange.judge,
                "rows": exchange.rows,
            }
        )

    def failed(self, exchange: Exchange, error: Exception) -> None:
        """Write where a fault is; its message is left out, since it may hold what was asked."""
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
        self._write({"id": exchange.id, "error": type(error).__name__, "where": where})

    def _write(self, line: dict[str, object]) -> None:
        try:
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
        except OSError:  # whoever read the log is gone; the service is not
            pass


class NoLog:
    """Writes nothing."""

    def answered(self, exchange: Exchange) -> None:
        """Write nothing."""

    def failed(self, exchange: Exchange, error: Exception) -> None:
        """Write nothing."""


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
