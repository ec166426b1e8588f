"""The pool: a queue for each judge, and worker processes that share the rows among them.

The routes of `app` ask it for predictions; `server` starts, drains and stops it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from votecast.client.service_responses import ServedJudge
from votecast.serving.request_errors import (
    DrainingError,
    LoadingError,
    QueueFullError,
    RequestError,
    RequestTimeoutError,
    WorkerLostError,
)
from votecast.serving.request_queue import PendingRequest, QueuedRow, Row, RowQueue, count_tokens, next_due, texts_of
from votecast.serving.settings import ServiceSettings
from votecast.serving.telemetry import Metrics
from votecast.serving.worker_processes import Batch, WorkerGroup, WorkerProcess

State = Literal["loading", "ready", "draining", "failed"]

_MOST_TRIES: Final = 6  # workers that may die over a request
_QUEUED_ROWS: Final = 4  # rows that may wait, for each request that may be in flight
_QUEUED_SHARE: Final = 0.5  # of the timeout for which rows may wait
_HELD_CHARACTERS: Final = 1 << 28  # of all open requests
# seconds; if a timer is later, the event loop has yet to read what came in the meantime
_LATE: Final = 0.002


class Pool:
    """Worker processes that hold all judges, and the rows that wait for them.

    Lives in one event loop and never blocks it.

    Args:
        judges: Name of each judge, and its folder or name.
        settings: How many workers, and the sizes of batches.
        metrics: Counts batches and lost workers.

    Example:
        >>> async def ask() -> str:
        ...     pool = Pool({"mine": "bundled:baseline"}, ServiceSettings(workers=1))
        ...     pool.start()
        ...     await pool.settled()
        ...     battle = {"prompt": "Why?", "response_a": "Because.", "response_b": "Because of gravity."}
        ...     (answer,) = await pool.predict("mine", [battle])
        ...     await pool.stop()
        ...     return answer["decision"]
        >>> asyncio.run(ask()) in ("a", "b", "tie")
        True
    """

    def __init__(self, judges: Mapping[str, str], settings: ServiceSettings, metrics: Metrics | None = None) -> None:
        self.state: State = "loading"
        self.failure = ""  # why the judges cannot be loaded, in one line
        self.workers = WorkerGroup(judges, settings, self)
        self._settings, self._metrics = settings, metrics or Metrics()
        self._queues = {name: RowQueue(settings.batch_tokens, settings.batch_wait) for name in judges}
        self._open: set[PendingRequest] = set()
        self._held = 0
        self._timer: asyncio.Handle | None = None
        self._due = math.inf
        self._settled = asyncio.Event()

    @property
    def judges(self) -> dict[str, ServedJudge]:
        """The judges by name, the default first; empty before all are loaded."""
        facts = self.workers.facts
        return {name: facts[name] for name in self._queues if name in facts}

    @property
    def workers_ready(self) -> int:
        """Number of workers that are ready."""
        return len(self.workers.ready)

    def queued(self, judge: str) -> int:
        """Return the number of rows that wait for a judge."""
        return len(self._queues[judge])

    def start(self) -> None:
        """Start the workers, which load the judges after this returns."""
        self.workers.start()

    async def settled(self) -> State:
        """Wait until the judges are loaded, or cannot be."""
        await self._settled.wait()
        return self.state

    async def predict(
        self,
        judge: str,
        battles: Sequence[Row],
        *,
        order: Literal["both", "given"] = "both",
        explain: bool = False,
    ) -> list[dict[str, object]]:
        """Predict battles; those without an id get their position.

        Args:
            judge: Name of the judge.
            battles: Checked battles, as JSON has them.
            order: Average over both orders, or predict for the given order alone.
            explain: Whether to return the predictions of both orders, and reasons.

        Returns:
            For each battle the fields of a `votecast.client.Prediction`.

        Raises:
            RequestError: If too much waits, no worker can answer, or the judge cannot score a row.
        """
        queue, size = self._queues[judge], sum(len(text) for battle in battles for text in texts_of(battle))
        self._check_room(judge, len(battles), size)
        if not battles:
            return []
        request = PendingRequest(len(battles))
        self._open.add(request)
        self._held += size
        try:
            now = asyncio.get_running_loop().time()
            for place, battle in enumerate(battles):
                message = {"battle": battle, "order": order, "explain": explain}
                queue.put(QueuedRow(request, place, message, count_tokens(battle, queue.most), now))
            self._dispatch()
            answers = await request.done
        except BaseException:
            # also if the client has left or the deadline has passed: the rows are not worth scoring
            queue.drop(request)
            raise
        finally:
            self._held -= size
            self._open.discard(request)
        found: list[dict[str, object]] = []
        cited = {"name": judge, "hash": self.workers.facts[judge].hash}
        for place, (battle, answer) in enumerate(zip(battles, answers, strict=True)):
            # in the order of the fields of a Prediction
            first = {key: answer[key] for key in ("probabilities", "decision")}
            found.append({"id": str(battle.get("id") or place), **first, "judge": cited, **answer})
        return found

    async def stop(self) -> None:
        """End the workers; requests that still wait fail."""
        if self.state != "failed":
            self.state = "draining"
        if self._timer is not None:
            self._timer.cancel()
        for request in self._open:
            request.fail(DrainingError())
        await self.workers.stop()

    # Events of the worker group.

    def on_ready(self) -> None:
        """Use a worker that has loaded the judges."""
        if self.state == "loading" and self.workers.is_complete:
            self.state = "ready"
            for name, facts in self.workers.facts.items():
                self._queues[name].most = facts.reads
            self._settled.set()
        elif self.state != "loading":
            self._metrics.restarts.inc()
        self._dispatch()

    def on_scored(self, worker: WorkerProcess, answers: list[dict[str, object]]) -> None:
        """Return the answers of a worker's batch to their requests."""
        batch, seconds = self._finish(worker)
        self._queues[batch.judge].measure(batch.tokens, seconds)
        # first the next batch, so that the worker does not wait for what follows
        self._dispatch()
        for row, answer in zip(batch.rows, answers, strict=True):
            if "failed" in answer:
                row.request.fail(RequestError(str(answer["failed"])))
            else:
                row.request.answer(row.place, answer)
        self._metrics.count_batch(batch.judge, len(answers), batch.tokens, seconds)

    def on_lost(self, worker: WorkerProcess) -> None:
        """Retry the batch of a worker that is gone, each request by itself, until its deadline."""
        if worker.batch is not None:
            batch, _ = self._finish(worker)
            for row in batch.rows:
                row.tries += 1
                if worker.is_hung:
                    row.request.fail(RequestTimeoutError())
                # workers also die of other causes; what has killed so many would kill the next one too
                elif row.tries >= _MOST_TRIES:
                    row.request.fail(WorkerLostError())
            self._metrics.retries.inc(sum(not row.request.is_over for row in batch.rows))
            self._queues[batch.judge].put_back(batch.rows)
        self._dispatch()

    def on_start_failed(self, reason: str) -> None:
        """Fail: the judges cannot be loaded."""
        self.state, self.failure = "failed", reason
        self._settled.set()

    def on_restart_failed(self) -> None:
        """Fail the rows of judges for which no worker can be started."""
        for name, queue in self._queues.items():
            if len(queue) and not self.workers.may_serve(name):
                for row in queue.clear():
                    row.request.fail(_no_worker(name))

    # Dispatching.

    def _check_room(self, judge: str, rows: int, size: int) -> None:
        """Refuse rows before the start, after the stop, and if too much waits."""
        if self.state != "ready":
            raise LoadingError if self.state == "loading" else DrainingError
        if not self.workers.may_serve(judge):
            raise _no_worker(judge)
        waiting = sum(map(len, self._queues.values()))
        seconds = sum(queue.seconds for queue in self._queues.values()) / max(1, self.workers_ready)
        # a request is admitted while nothing waits, however large it is
        is_long = seconds > _QUEUED_SHARE * self._settings.timeout
        is_long = is_long or waiting + rows > _QUEUED_ROWS * self._settings.in_flight
        if (waiting and is_long) or (self._held and self._held + size > _HELD_CHARACTERS):
            raise QueueFullError(retry_after=max(1.0, math.ceil(seconds)))

    def _dispatch(self) -> None:
        """Give each free worker its batch, and set a timer for the next."""
        loop = asyncio.get_running_loop()
        now, later = loop.time(), math.inf
        for worker in self.workers.ready:
            if worker.batch is not None or (found := next_due(self._queues, worker.serves)) is None:
                continue
            name, due = found
            if due > now:
                later = min(later, due)
                continue
            deadline = loop.call_later(self._settings.timeout, worker.kill_hung)
            worker.score(Batch(name, self._queues[name].take(), now, deadline))
        if self._timer is not None:
            self._timer.cancel()
        self._due = later
        self._timer = loop.call_at(later, self._dispatch_due) if later < math.inf else None

    def _dispatch_due(self) -> None:
        """Dispatch; if the front itself was held up, together with what came meanwhile."""
        loop = asyncio.get_running_loop()
        if self._timer is not None and loop.time() > self._due + _LATE:  # uvloop's handles do not all have when()
            self._timer = loop.call_later(_LATE / 2, self._dispatch)
        else:
            self._dispatch()

    def _finish(self, worker: WorkerProcess) -> tuple[Batch, float]:
        """Free a worker; return its batch, and the seconds since it was given."""
        batch, worker.batch = worker.batch, None
        assert batch is not None
        batch.deadline.cancel()
        return batch, asyncio.get_running_loop().time() - batch.begun


def _no_worker(judge: str) -> WorkerLostError:
    return WorkerLostError(
        f"there is no worker for judge {judge!r} now, and several could not be started; see the service's log"
    )
