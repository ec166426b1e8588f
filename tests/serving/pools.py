"""Run pools of real workers in an event loop per thread."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from votecast.data.simulation import simulate
from votecast.serving.pool import Pool
from votecast.serving.settings import ServiceSettings
from votecast.serving.telemetry import Metrics

PATIENCE = 120.0
"""Timeout in seconds; long, because machines are shared."""


def rows(count: int, seed: int = 5) -> list[dict[str, Any]]:
    """Return simulated battles as in a request."""
    battles, _ = next(simulate(rows=count, seed=seed, batch=count))
    names = ("id", "prompt", "response_a", "response_b")
    return [{name: getattr(battle, name) for name in names} for battle in battles]


class Watch(Metrics):
    """Metrics that record all batch sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def count_batch(self, judge: str, rows: int, tokens: int, seconds: float) -> None:
        self.batches.append(rows)

    def count(self, name: str) -> float:
        """Return the value of a counter, such as votecast_worker_restarts."""
        return self.registry.get_sample_value(f"{name}_total") or 0.0


class RunningPool:
    """A pool that is ready, or whose start failed."""

    def __init__(self, judges: dict[str, str], **settings: Any) -> None:
        self.watch = Watch()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.pool = Pool(judges, ServiceSettings.parse({"workers": 1} | settings), metrics=self.watch)
        self._loop.call_soon_threadsafe(self.pool.start)
        self.do(self.pool.settled())

    def begin(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.begin(work).result(PATIENCE)

    def ask(self, battles: Any, judge: str = "it", **how: Any) -> Any:
        return self.do(self.pool.predict(judge, battles, **how))

    def asked(self, battles: Any, judge: str = "it", **how: Any) -> Future[Any]:
        return self.begin(self.pool.predict(judge, battles, **how))

    @property
    def pids(self) -> list[int]:
        """Return the process ids of the ready workers."""
        return [worker.process.pid for worker in self.pool.workers.ready]

    def given(self) -> bool:
        """Return whether a worker is busy and the queue is empty."""
        return any(worker.batch for worker in self.pool.workers.ready) and not self.pool.queued("it")

    def kill(self, number: int = 0, sign: signal.Signals = signal.SIGKILL) -> int:
        pid = self.pids[number]
        os.kill(pid, sign)
        return pid

    def stop(self) -> None:
        self.do(self.pool.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


@contextmanager
def running(judges: dict[str, str] | str = "bundled:baseline", **settings: Any) -> Iterator[RunningPool]:
    """Run a pool with one judge named `it`."""
    pool = RunningPool({"it": judges} if isinstance(judges, str) else judges, **settings)
    try:
        yield pool
    finally:
        pool.stop()


def until(holds: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)
