"""The worker processes as the front sees them: started, watched, and replaced when they die, all with the same judges.

`pool` owns a `WorkerGroup` and gives batches to its processes; `worker` is what runs in them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from votecast.client.service_responses import ServedJudge
from votecast.config.machine import usable_cores
from votecast.serving.request_queue import QueuedRow
from votecast.serving.settings import ServiceSettings
from votecast.serving.worker_messages import frame, pack, receive_message

if TYPE_CHECKING:
    from votecast.serving.pool import Pool

logger = logging.getLogger(__name__)

_MOST_STARTS: Final = 5  # deaths in a row after which the first start fails
_MOST_RESTARTS: Final = 3  # failed starts in a row after which requests no longer wait for a worker
_LONG_LIFE: Final = 5.0  # seconds after which a death is not counted with those before
_LONGEST_PAUSE: Final = 5.0
_THREADS: Final = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS",
)  # fmt: skip


@dataclass(eq=False)
class Batch:
    """Rows of one judge that a worker scores."""

    judge: str
    rows: list[QueuedRow]
    begun: float  # by the clock of the event loop
    deadline: asyncio.TimerHandle  # kills a worker without an answer

    @property
    def tokens(self) -> int:
        """About how many tokens the judge reads."""
        return sum(row.tokens for row in self.rows)


@dataclass(eq=False)
class WorkerProcess:
    """One worker process, with the two ends of its socket."""

    process: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    serves: tuple[str, ...] = ()  # names of the judges it has loaded
    batch: Batch | None = None
    is_hung: bool = False  # killed because it gave no answer in time

    @classmethod
    async def start(cls, threads: int) -> Self:
        """Start a process, which waits for the names of the judges."""
        limits = dict.fromkeys(_THREADS, str(threads)) | {"TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "votecast.serving.worker", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    env=os.environ | limits,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    process_group=0,  # Ctrl-C is for the front, which ends its workers when their work is done
                )
            except OSError:
                ours.close()
                raise
        # StreamReader's limit bounds how much is read ahead, not the length of a message
        ours.setblocking(False)
        try:
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return cls(process, reader, writer)

    def send(self, **message: object) -> None:
        """Send a message."""
        self.writer.write(frame(pack(message)))

    def score(self, batch: Batch) -> None:
        """Send a batch."""
        self.batch = batch
        self.send(judge=batch.judge, rows=[row.message for row in batch.rows])

    def kill_hung(self) -> None:
        """Kill it because it gave no answer in time."""
        logger.error("worker %d gave no answer in time and is replaced", self.process.pid)
        self.is_hung = True
        self.process.kill()

    async def end(self) -> int:
        """Kill it and wait until it is gone; return its exit code."""
        self.process.kill()  # does nothing once it has ended and was waited for
        self.writer.transport.abort()
        return await asyncio.to_thread(self.process.wait)


class WorkerGroup:
    """Workers that are started, watched and replaced.

    Args:
        judges: Name of each judge, and its folder or name.
        settings: How many workers, and how they compute.
        pool: Gets the events of the workers.
    """

    def __init__(self, judges: Mapping[str, str], settings: ServiceSettings, pool: Pool) -> None:
        self.ready: list[WorkerProcess] = []
        self.facts: dict[str, ServedJudge] = {}
        self.trouble = ""  # what is wrong with the workers, in one line
        self._judges, self._settings, self._pool = dict(judges), settings, pool
        self._threads = settings.threads or max(1, usable_cores() // settings.workers)
        self._deaths = [
            0
        ] * settings.workers  # of each place: workers in a row that could not serve, and one that died early
        self._failed_starts = [0] * settings.workers  # of each place: those of the deaths that no signal caused
        self._were_ready: set[int] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: set[asyncio.Task[int]] = set()
        self._refused: set[str] = set()
        self._spare: WorkerProcess | None = None
        self._spare_lock = asyncio.Lock()
        self._has_failed = self._is_stopped = False

    @property
    def is_complete(self) -> bool:
        """Whether every worker has been ready once."""
        return len(self._were_ready) == len(self._deaths)

    def start(self) -> None:
        """Start all workers; they load at the same time."""
        self._tasks = [asyncio.create_task(self._keep_worker(place)) for place in range(len(self._deaths))]

    async def stop(self) -> None:
        """End all workers at once."""
        self._is_stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._spare is not None:
            await self._spare.end()
        await asyncio.gather(*self._ending)

    def may_serve(self, judge: str) -> bool:
        """Return whether a worker has a judge, or one may come soon."""
        if any(judge in worker.serves for worker in self.ready):
            return True
        some_start = len(self.ready) < len(self._deaths)
        return judge not in self._refused and some_start and min(self._failed_starts) < _MOST_RESTARTS

    async def _keep_worker(self, place: int) -> None:
        """Start a worker again and again, with growing pauses if it dies early."""
        clock = asyncio.get_running_loop().time
        while not self._has_failed:
            began = clock()
            reason, was_killed = await self._run_worker(place)
            deaths = self._deaths[place] + 1 if reason else int(clock() - began < _LONG_LIFE)
            self._deaths[place] = deaths
            # requests wait for the next worker after one that was killed, and not for judges that cannot be loaded
            self._failed_starts[place] = self._failed_starts[place] + (not was_killed) if reason else 0
            if reason:
                self._note(reason)
            if not self.is_complete and deaths >= _MOST_STARTS:
                self._fail(f"{reason or 'a worker died'}, {deaths} times in a row")
            self._pool.on_restart_failed()
            # 0, 0.25, 0.5, 1 ... seconds
            await asyncio.sleep(min(_LONGEST_PAUSE, 0.25 * 2 ** (deaths - 2)) if deaths > 1 else 0)

    async def _run_worker(self, place: int) -> tuple[str, bool]:
        """Run a worker until it is gone; return why it could not serve, and whether a signal ended it."""
        try:
            worker = await self._start_worker()
        except OSError as error:
            return f"a worker could not be started: {error}", False
        code, reason = 0, "a worker died while it loaded the judges"
        try:
            while (message := await receive_message(worker.reader)) is not None:
                if "log" in message:
                    logger.log(message["level"], "worker %d: %s", worker.process.pid, message["log"])
                elif "judges" in message:
                    reason = self._admit_worker(place, worker, message["judges"])
                    if reason:
                        return reason, False
                    if self.is_complete:
                        await self._start_spare(message["modules"])
                else:
                    self._pool.on_scored(worker, message["rows"])
        except Exception as error:
            logger.exception("worker %d sent an invalid message and is replaced", worker.process.pid)
            reason = f"a worker sent an invalid message: {type(error).__name__}"
        finally:
            was_ready = worker in self.ready
            if was_ready:
                self.ready.remove(worker)
            code = await asyncio.shield(self._end(worker))
            ending = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            if was_ready and not self._is_stopped:
                logger.warning("worker %d is gone (%s)", worker.process.pid, ending)
                self._pool.on_lost(worker)
        return reason and f"{reason} ({ending})", code < 0

    async def _start_worker(self) -> WorkerProcess:
        """Let the spare process, or a new one, load the judges."""
        worker, self._spare = self._spare, None
        if worker is not None and worker.process.poll() is not None:
            await self._end(worker)
            worker = None
        worker = worker or await WorkerProcess.start(self._threads)
        worker.send(judges=self._judges, precision=self._settings.precision)
        return worker

    async def _start_spare(self, modules: object) -> None:
        """Start a process that imports what judges need, and waits."""
        # imports take longer than most judges: with a spare a dead worker is replaced at once
        with suppress(OSError):
            async with self._spare_lock:
                if self._spare is None:
                    self._spare = await WorkerProcess.start(self._threads)
                    self._spare.send(modules=modules)

    def _end(self, worker: WorkerProcess) -> asyncio.Task[int]:
        """End a worker in a task that its caller's cancellation does not stop."""
        task = asyncio.create_task(worker.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    def _admit_worker(self, place: int, worker: WorkerProcess, loaded: Mapping[str, dict[str, object]]) -> str:
        """Use a worker for the judges it has loaded; return why it cannot serve."""
        wrong = [str(facts["failed"]) for facts in loaded.values() if "failed" in facts]
        known = {name: ServedJudge.model_validate(facts) for name, facts in loaded.items() if "failed" not in facts}
        if not self.facts and not wrong:
            self.facts = known
        changed = [name for name, facts in known.items() if name in self.facts and facts.hash != self.facts[name].hash]
        wrong += [
            f"the folder of judge {name!r} holds another judge now ({known[name].hash[:12]}, and the service was "
            f"started with {self.facts[name].hash[:12]}); put the old one back, or start the service again"
            for name in changed
        ]
        # a service starts with all of its judges or not at all; later it goes on with those it has
        if wrong and not self.is_complete:
            self._fail("; ".join(wrong))
            return wrong[0]
        worker.serves = tuple(name for name in known if name not in changed)
        self._refused = set(loaded) - set(worker.serves)
        if not worker.serves:
            return "; ".join(wrong)
        self._note("; ".join(wrong))
        self._were_ready.add(place)
        self.ready.append(worker)
        self._pool.on_ready()
        return ""

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self.trouble and not self._has_failed:  # a failed start is reported as an error
            logger.error("%s", trouble)
        self.trouble = trouble

    def _fail(self, reason: str) -> None:
        self._has_failed = True
        self._pool.on_start_failed(reason)
