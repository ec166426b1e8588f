"""What a service counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from votecast.serving.limits import Doors
    from votecast.serving.pool import Pool

CONTENT_TYPE: Final[str] = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_TOKENS: Final = (256, 1024, 4096, 16_384, 65_536, 262_144)


class Metrics:
    """Counts of one service; it watches the pool.

    Example:
        >>> metrics = Metrics()
        >>> metrics.answered("/health", 200, 0.001)
        >>> b'votecast_requests_total{route="/health",status="200"} 1.0' in metrics.text()
        True
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self._requests = Counter("votecast_requests", "Requests answered", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "votecast_request_seconds", "Time to an answer", ["route"], buckets=_SECONDS, registry=registry
        )
        self._in_flight = Gauge("votecast_requests_in_flight", "Requests that are being answered", registry=registry)
        self._rows = Histogram(
            "votecast_batch_rows", "Battles scored at once", ["judge"], buckets=_ROWS, registry=registry
        )
        self._tokens = Histogram(
            "votecast_batch_tokens", "About the tokens scored at once", ["judge"], buckets=_TOKENS, registry=registry
        )
        self._batch_seconds = Histogram(
            "votecast_batch_seconds", "Time a worker took for a batch", ["judge"], buckets=_SECONDS, registry=registry
        )
        self._queued = Gauge("votecast_queued_battles", "Battles that wait for a worker", ["judge"], registry=registry)
        self._ready = Gauge("votecast_workers_ready", "Workers that have loaded the judges", registry=registry)
        self._restarts = Counter("votecast_worker_restarts", "Workers that were replaced", registry=registry)
        self._retries = Counter("votecast_retried_battles", "Battles handed to a second worker", registry=registry)

        self._routes: dict[tuple[str, int], Counter] = {}
        self._times: dict[str, Histogram] = {}

    def follow(self, pool: Pool, judges: Iterable[str], doors: Doors) -> None:
        """Read from a pool and its doors, whenever the counts are asked for, what waits and who is ready."""
        self._in_flight.set_function(lambda: doors.inside)
        self._ready.set_function(lambda: pool.workers_ready)
        for name in judges:
            self._queued.labels(name).set_function(partial(pool.queued, name))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request; its route is one of those that exist, whatever path was asked for."""
        counter = self._routes.get((route, status))
        if counter is None:
            counter = self._routes[route, status] = self._requests.labels(route, str(status))
        times = self._times.get(route)
        if times is None:
            times = self._times[route] = self._seconds.labels(route)
        counter.inc()
        times.observe(seconds)

    def batch(self, judge: str, rows: int, tokens: int, seconds: float) -> None:
        """Count a batch."""
        self._rows.labels(judge).observe(rows)
        self._tokens.labels(judge).observe(tokens)
        self._batch_seconds.labels(judge).observe(seconds)

    def restarted(self) -> None:
        """Count a worker that was replaced."""
        self._restarts.inc()

    def retried(self, rows: int) -> None:
        """Count battles that were handed to a second worker."""
        self._retries.inc(rows)

    def text(self) -> bytes:
        """Everything in the format of Prometheus."""
        return generate_latest(self.registry)
