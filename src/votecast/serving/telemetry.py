"""Metrics for Prometheus, and one JSON log line for each request; neither holds a word of what was asked.

The middleware records requests, and the pool batches and lost workers.
"""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.exposition import generate_latest

if TYPE_CHECKING:
    from votecast.serving.pool import Pool
    from votecast.serving.request_limits import InFlight

__all__ = ["CONTENT_TYPE", "Metrics", "RequestLog", "RequestRecord"]

_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_TOKENS: Final = (256, 1024, 4096, 16_384, 65_536, 262_144)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


@dataclass
class RequestRecord:
    """What logs and metrics may hold of a request.

    Its route is a known one, or "other"; its status 499 if the client left before the response.
    """

    id: int = 0
    method: str = ""
    route: str = "other"
    status: int = 0
    judge: str | None = None
    rows: int | None = None  # battles, or games
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds since the request came."""
        return time.perf_counter() - self.began


class RequestLog:
    """Writes one JSON line for each request to a stream, or nothing without one.

    Example:
        >>> import io
        >>> RequestLog(lines := io.StringIO()).write_request(RequestRecord(1, "GET", "/health", 200))
        >>> json.loads(lines.getvalue())["route"]
        '/health'
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write_request(self, record: RequestRecord) -> None:
        """Write the line of a request."""
        self._write(
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            id=record.id,
            method=record.method if record.method in _METHODS else "other",
            route=record.route,
            status=record.status,
            seconds=round(record.seconds, 4),
            judge=record.judge,
            rows=record.rows,
        )

    def write_failure(self, record: RequestRecord, error: Exception) -> None:
        """Write where an unexpected error was raised."""
        # without its message, which may hold the user's text
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
        self._write(id=record.id, error=type(error).__name__, where=where)

    def _write(self, **line: object) -> None:
        # the service goes on if the reader of the log is gone
        with contextlib.suppress(OSError):
            if self._stream is not None:
                self._stream.write(json.dumps(line) + "\n")
                self._stream.flush()


class Metrics:
    """The metrics of one service.

    Example:
        >>> metrics = Metrics()
        >>> metrics.count_request(RequestRecord(route="/health", status=200))
        >>> b'votecast_requests_total{route="/health",status="200"} 1.0' in metrics.text()
        True
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self._requests = counter("votecast_requests", "Requests answered", ["route", "status"])
        self._seconds = histogram("votecast_request_seconds", "Time to an answer", ["route"], buckets=_SECONDS)
        self._in_flight = gauge("votecast_requests_in_flight", "Requests that are being answered")
        self._rows = histogram("votecast_batch_rows", "Battles scored at once", ["judge"], buckets=_ROWS)
        self._tokens = histogram("votecast_batch_tokens", "About the tokens scored at once", ["judge"], buckets=_TOKENS)
        self._batch_seconds = histogram("votecast_batch_seconds", "Time of a batch", ["judge"], buckets=_SECONDS)
        self._queued = gauge("votecast_queued_battles", "Battles that wait for a worker", ["judge"])
        self._ready = gauge("votecast_workers_ready", "Workers that have loaded the judges")
        self.restarts = counter("votecast_worker_restarts", "Workers that were replaced")
        self.retries = counter("votecast_retried_battles", "Battles handed to a second worker")
        # labels() is slow for every request
        self._by_route: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def follow(self, pool: Pool, judges: Iterable[str], in_flight: InFlight) -> None:
        """Read the gauges from a pool and the requests in flight on demand."""
        self._in_flight.set_function(lambda: in_flight.count)
        self._ready.set_function(lambda: pool.workers_ready)
        for name in judges:
            self._queued.labels(name).set_function(partial(pool.queued, name))

    def count_request(self, record: RequestRecord) -> None:
        """Count a request by its route and status."""
        key = record.route, record.status
        if (found := self._by_route.get(key)) is None:
            found = self._requests.labels(record.route, str(record.status)), self._seconds.labels(record.route)
            self._by_route[key] = found
        counter, histogram = found
        counter.inc()
        histogram.observe(record.seconds)

    def count_batch(self, judge: str, rows: int, tokens: int, seconds: float) -> None:
        """Count a batch that a worker has scored."""
        self._rows.labels(judge).observe(rows)
        self._tokens.labels(judge).observe(tokens)
        self._batch_seconds.labels(judge).observe(seconds)

    def text(self) -> bytes:
        """Return everything in the format of Prometheus."""
        return generate_latest(self.registry)
