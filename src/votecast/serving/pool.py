"""The judges at work: a queue for each, and worker processes that share the rows among them."""

from __future__ import annotations

import asyncio
import builtins
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol

from votecast.serving.batching import Queue, Request, Row, next_due, tokens_of
from votecast.serving.crew import Crew
from votecast.serving.errors import (
    DrainingError,
    LoadingError,
    QueueFullError,
    RequestError,
    TimeoutError,  # noqa: A004 - the built-in one, with a status
    UnfitError,
    WorkerLostError,
)
from votecast.serving.facts import JudgeFacts
from votecast.serving.frames import pack
from votecast.serving.process import Batch, WorkerProcess
from votecast.serving.settings import ServiceSettings
from votecast.types import CLASSES

logger = logging.getLogger(__name__)

State = Literal["loading", "ready", "draining", "failed"]

_AT_ONCE: Final = 1
"""Batches that a worker holds at once."""

_ROWS: Final = 4
"""Rows that may wait, for each request that may be in flight."""

_PATIENCE: Final = 0.5
"""Share of the timeout for which rows may wait."""

_HELD: Final = 1 << 28
"""Characters of the requests that are open at once."""

_LATE: Final = 0.002
"""Seconds by which a timer may be late; after more, the event loop has yet to hear what came in the meantime."""

_LONG: Final = 1 << 18
"""Characters of several battles that are not packed within the event loop."""


class PoolWatch(Protocol):
    """Is told what happens; must be quick."""

    def batch(self, judge: str, rows: int, tokens: int, seconds: float) -> None:
        """A batch was answered."""

    def restarted(self) -> None:
        """A worker took the place of one that died."""

    def retried(self, rows: int) -> None:
        """Rows were put back because their worker died."""


class Pool:
    """Worker processes that hold all judges, and the rows that wait for them.

    Lives in one event loop, and never blocks it: judges are loaded and asked in the workers alone.

    Args:
        judges: Name of each judge, and its folder or name.
        settings: How many workers, and what they are given at once.
        watch: Told of batches and of workers that died.

    Example:
        >>> async def ask() -> str:
        ...     pool = Pool({"mine": "bundled:baseline"}, ServiceSettings(workers=1))
        ...     await pool.start()
        ...     await pool.settled()
        ...     battle = {"prompt": "Why?", "response_a": "Because.", "response_b": "Because of gravity."}
        ...     (answer,) = await pool.forecast("mine", [battle])
        ...     await pool.stop()
        ...     return answer["decision"]
        >>> asyncio.run(ask()) in ("a", "b", "tie")
        True
    """

    def __init__(self, judges: Mapping[str, str], settings: ServiceSettings, *, watch: PoolWatch | None = None) -> None:
        self.state: State = "loading"
        self.failure: str | None = None
        self._settings, self._watch = settings, watch
        self._crew = Crew(judges, settings, self)
        self._queues = {name: Queue(settings.batch_tokens, settings.batch_wait) for name in judges}
        self._open: set[Request] = set()
        self._held = 0
        self._guards: dict[WorkerProcess, asyncio.TimerHandle] = {}
        self._timer: asyncio.Handle | None = None
        self._due = math.inf
        self._changed = asyncio.Event()

    @property
    def judges(self) -> Mapping[str, JudgeFacts]:
        """The judges by name; the first is the default. Empty before all are loaded."""
        return MappingProxyType({name: self._crew.facts[name] for name in self._queues if name in self._crew.facts})

    @property
    def workers_ready(self) -> int:
        """Workers that can be asked."""
        return len(self._crew.ready)

    @property
    def trouble(self) -> str | None:
        """What is wrong with the workers, in one line; None where nothing is."""
        return self._crew.trouble

    @property
    def pids(self) -> list[int]:
        """The processes of the workers that can be asked."""
        return [worker.pid for worker in self._crew.ready]

    def queued(self, judge: str) -> int:
        """Rows that wait for a judge."""
        return len(self._queues[judge])

    async def start(self) -> None:
        """Start the workers; they load the judges while this returns."""
        self._crew.start()

    async def settled(self) -> State:
        """Wait until the judges are loaded, or cannot be."""
        await self._until(lambda: self.state != "loading")
        return self.state

    async def failed(self) -> str:
        """Wait until the judges cannot be loaded, which may never be; why, in one line."""
        await self._until(lambda: self.failure is not None)
        return self.failure or ""

    async def forecast(
        self,
        judge: str,
        battles: Sequence[Mapping[str, Any]],
        *,
        order: Literal["both", "given"] = "both",
        explain: bool = False,
    ) -> list[dict[str, Any]]:
        """Forecast battles.

        Args:
            judge: Name of the judge.
            battles: Checked battles, as JSON has them.
            order: "both", or the shown order alone.
            explain: Also say what each order brings by itself, and what spoke for either answer.

        Returns:
            The answers in the order of the battles.

        Raises:
            RequestError: If there is no answer: too much waits, nobody can answer, or the judge cannot score a row.
        """
        size = sum(map(size_of, battles))
        queue = self._admit(judge, len(battles), size)
        if not battles:
            return []
        loop = asyncio.get_running_loop()
        request = Request(judge, len(battles))
        self._open.add(request)
        self._held += size
        timer = loop.call_later(self._settings.timeout, request.fail, TimeoutError())
        try:
            bodies = await _packed(battles, size, order, explain=explain)
            now = loop.time()
            queue.put(Row(request, place, body, tokens_of(body, queue.most), now) for place, body in enumerate(bodies))
            self._pump()
            answers = await request.done
        except BaseException:
            queue.drop(request)
            raise
        finally:
            timer.cancel()
            self._held -= size
            self._open.discard(request)
            if not self._open:
                self._tell()
        facts = self._crew.facts[judge]
        judged = {"name": judge, "hash": facts.hash}
        named = enumerate(zip(answers, battles, strict=True))
        return [_whole(str(battle.get("id") or place), answer, judged) for place, (answer, battle) in named]

    async def drain(self, seconds: float) -> bool:
        """Take nothing more, finish what was taken, and stop.

        Returns:
            Whether all was finished in time.
        """
        if self.state != "failed":
            self.state = "draining"
        self._tell()
        try:
            async with asyncio.timeout(seconds):
                await self._until(lambda: not self._open)
        except builtins.TimeoutError:
            return False
        finally:
            await self.stop()
        return True

    async def stop(self) -> None:
        """End the workers; what still waits is given up."""
        if self.state != "failed":
            self.state = "draining"
        if self._timer is not None:
            self._timer.cancel()
        for request in list(self._open):
            request.fail(DrainingError())
        await self._crew.stop()
        self._tell()

    # What the crew tells.

    def came(self) -> None:
        """A worker can be asked now."""
        if self.state == "loading" and self._crew.is_whole:
            self.state = "ready"
            for name, facts in self._crew.facts.items():
                self._queues[name].most = facts.reads
            self._tell()
        elif self.state != "loading" and self._watch is not None:
            self._watch.restarted()
        self._pump()

    def answered(self, worker: WorkerProcess, rows: list[dict[str, Any]]) -> None:
        """A worker has answered its first batch."""
        now = asyncio.get_running_loop().time()
        batch = worker.batches.popleft()
        self._watch_over(worker)
        tokens, seconds = batch.tokens, now - batch.begun
        self._queues[batch.judge].measured(tokens, seconds)
        self._pump()
        for row, answer in zip(batch.rows, rows, strict=True):
            self._settle(row, answer)
        if self._watch is not None:
            self._watch.batch(batch.judge, len(rows), tokens, seconds)

    def went(self, worker: WorkerProcess) -> None:
        """A worker is gone: what it was at is tried once more, and what it had not begun is as it was."""
        for batch in reversed(worker.batches):
            if batch is worker.batches[0]:
                self._blame(batch, is_hung=worker.is_hung)
            self._queues[batch.judge].put_back(batch.rows)
        worker.batches.clear()
        self._watch_over(worker)
        self._pump()

    def gave_up(self, reason: str) -> None:
        """The judges cannot be loaded."""
        self.state, self.failure = "failed", reason
        self._tell()

    def lost_hope(self) -> None:
        """Give up what waits for judges for which no worker can be had."""
        for name, queue in self._queues.items():
            if len(queue) and not self._crew.may_serve(name):
                for row in queue.clear():
                    row.request.fail(self._nobody(name))

    def _settle(self, row: Row, answer: dict[str, Any]) -> None:
        if "unscored" in answer:
            row.request.refuse(row.place, answer["unscored"])
        elif "failed" in answer:
            row.request.fail(RequestError(answer["failed"]))
        else:
            row.request.answer(row.place, answer)

    def _blame(self, batch: Batch, *, is_hung: bool) -> None:
        for row in batch.rows:
            row.tries += 1
            if is_hung:
                row.request.fail(TimeoutError())
            elif row.tries > 1:
                row.request.fail(WorkerLostError())
        again = sum(not row.request.is_over for row in batch.rows)
        if again and self._watch is not None:
            self._watch.retried(again)

    # What goes to the workers.

    def _admit(self, judge: str, rows: int, size: int) -> Queue:
        if judge not in self._queues:
            raise UnfitError(f"there is no such judge; allowed are {', '.join(self._queues)}")
        if self.state == "draining":
            raise DrainingError
        if self.state != "ready":
            raise LoadingError
        if not self._crew.may_serve(judge):
            raise self._nobody(judge)
        waiting = sum(map(len, self._queues.values()))
        seconds = self._seconds_waiting()
        is_long = seconds > _PATIENCE * self._settings.timeout or waiting + rows > _ROWS * self._settings.in_flight
        if (waiting and is_long) or (self._held and self._held + size > _HELD):
            raise QueueFullError(max(1.0, math.ceil(seconds)))
        return self._queues[judge]

    def _seconds_waiting(self) -> float:
        """How long what waits will take, as far as is known."""
        return sum(queue.seconds for queue in self._queues.values()) / max(1, self.workers_ready)

    def _nobody(self, judge: str) -> WorkerLostError:
        return WorkerLostError(
            f"there is no worker for judge {judge!r} now, and several could not be started; see the service's log"
        )

    def _pump(self) -> None:
        """Give every worker that is free what is due."""
        loop = asyncio.get_running_loop()
        now, later = loop.time(), math.inf
        for worker in sorted(self._crew.ready, key=lambda worker: len(worker.batches)):
            while len(worker.batches) < _AT_ONCE:
                found = next_due(self._queues, worker.serves)
                if found is None:
                    break
                name, due = found
                if due > now:
                    later = min(later, due)
                    break
                rows = self._queues[name].take()
                worker.give(Batch(name, rows, now))
                if len(worker.batches) == 1:
                    self._watch_over(worker)
        if self._timer is not None:
            self._timer.cancel()
        self._due = later
        self._timer = loop.call_at(later, self._pump_in_time) if later < math.inf else None

    def _pump_in_time(self) -> None:
        """Give out what is due; where the front itself was held up, together with what came meanwhile."""
        loop = asyncio.get_running_loop()
        if self._timer is not None and loop.time() > self._due + _LATE:  # uvloop's handles do not all tell when
            self._timer = loop.call_later(_LATE / 2, self._pump)
        else:
            self._pump()

    def _watch_over(self, worker: WorkerProcess) -> None:
        """Give a worker time for the batch it begins with, and no more."""
        if (guard := self._guards.pop(worker, None)) is not None:
            guard.cancel()
        if worker.batches:
            loop = asyncio.get_running_loop()
            worker.batches[0].begun = loop.time()
            self._guards[worker] = loop.call_later(self._settings.timeout, self._hung, worker)

    def _hung(self, worker: WorkerProcess) -> None:
        logger.error("worker %d gave no answer within %g s and is replaced", worker.pid, self._settings.timeout)
        worker.is_hung = True
        worker.kill()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _packed(battles: Sequence[Mapping[str, Any]], size: int, order: str, *, explain: bool) -> list[bytes]:
    """What is asked of each row, as workers read it; away from the event loop where there is much of it."""
    asked = [{"battle": battle, "order": order, "explain": explain} for battle in battles]
    if len(battles) == 1 or size < _LONG:
        return [pack(row) for row in asked]
    return await asyncio.to_thread(lambda: [pack(row) for row in asked])


def size_of(battle: Mapping[str, Any]) -> int:
    """Characters of a battle.

    Example:
        >>> size_of({"prompt": ("Hi", None), "response_a": "Hello", "response_b": ["a", "b"]})
        9
    """
    return sum(
        len(text) if isinstance(text, str) else sum(len(turn or "") for turn in text)
        for text in (battle[name] for name in ("prompt", "response_a", "response_b"))
    )


def _whole(name: str, answer: Mapping[str, Any], judge: Mapping[str, str]) -> dict[str, Any]:
    """The one prediction shape, and what explains it."""
    found: dict[str, Any] = {
        "id": name,
        "probabilities": dict(zip(CLASSES, answer["p"], strict=True)),
        "decision": answer["decision"],
        "judge": dict(judge),
        "cut": answer["cut"],
    }
    return found | {key: answer[key] for key in ("orders", "reasons") if key in answer}
