"""The workers of a pool: as many as there should be, each replaced when it dies, all with the same judges."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from votecast.config.machine import usable_cores
from votecast.serving.facts import JudgeFacts
from votecast.serving.process import WorkerProcess
from votecast.serving.settings import ServiceSettings

logger = logging.getLogger(__name__)

_GIVE_UP: Final = 5
"""Workers that may die one after the other while the judges are loaded for the first time."""

_HOPEFUL: Final = 3
_LONG_LIFE: Final = 5.0
_LONGEST_PAUSE: Final = 5.0


class Owner(Protocol):
    """Who gives the workers something to do."""

    def came(self) -> None:
        """A worker can be asked now."""

    def answered(self, worker: WorkerProcess, rows: list[dict[str, Any]]) -> None:
        """A worker has answered its first batch."""

    def went(self, worker: WorkerProcess) -> None:
        """A worker that could be asked is gone."""

    def gave_up(self, reason: str) -> None:
        """The judges cannot be loaded."""

    def lost_hope(self) -> None:
        """A worker was tried for in vain, so that there may be none for some judges."""


@dataclass(eq=False)
class _Seat:
    """A place for one worker.

    Args:
        misses: Workers in a row that died young, or were of no use.
        was_ready: Whether a worker was ever ready here.
    """

    misses: int = 0
    was_ready: bool = False

    @property
    def pause(self) -> float:
        """Seconds until the next try."""
        return 0.0 if self.misses <= 1 else min(_LONGEST_PAUSE, 0.25 * 2 ** (self.misses - 2))


class Crew:
    """Workers that are started, watched and replaced.

    Args:
        judges: Name of each judge, and its folder or name.
        settings: How many workers, and how they compute.
        owner: Told of what they do.
    """

    def __init__(self, judges: Mapping[str, str], settings: ServiceSettings, owner: Owner) -> None:
        self.ready: list[WorkerProcess] = []
        self.facts: dict[str, JudgeFacts] = {}
        self.trouble: str | None = None
        self._judges, self._settings, self._owner = dict(judges), settings, owner
        self._seats = [_Seat() for _ in range(settings.workers)]
        self._tasks: list[asyncio.Task[None]] = []
        self._refused: set[str] = set()
        self._burials: set[asyncio.Task[int]] = set()
        self._spare: WorkerProcess | None = None
        self._sparing = asyncio.Lock()
        self._has_given_up = self._is_stopped = False

    @property
    def is_whole(self) -> bool:
        """Whether every worker has been ready once."""
        return all(seat.was_ready for seat in self._seats)

    @property
    def threads(self) -> int:
        """Threads of each worker."""
        return self._settings.threads or max(1, usable_cores() // self._settings.workers)

    def start(self) -> None:
        """Start all workers; they load at the same time."""
        self._tasks = [asyncio.create_task(self._keep(seat)) for seat in self._seats]

    async def stop(self) -> None:
        """End all workers, whatever they are at."""
        self._is_stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._spare is not None:
            await self._spare.bury()
        await asyncio.gather(*self._burials)

    def may_serve(self, judge: str) -> bool:
        """Whether there is a worker for a judge, or one may come soon."""
        if any(judge in worker.serves for worker in self.ready):
            return True
        some_start = len(self.ready) < len(self._seats)
        return judge not in self._refused and some_start and any(seat.misses < _HOPEFUL for seat in self._seats)

    async def _keep(self, seat: _Seat) -> None:
        """Have a worker at this place, always."""
        while not self._has_given_up:
            began = asyncio.get_running_loop().time()
            end = await self._one_life(seat)
            is_old = asyncio.get_running_loop().time() - began > _LONG_LIFE
            seat.misses = 0 if is_old and not end else seat.misses + 1
            if end:
                self._note(end)
            if not self.is_whole and seat.misses >= _GIVE_UP:
                self._give_up(f"{end or 'a worker died'}, {seat.misses} times in a row")
            self._owner.lost_hope()
            await asyncio.sleep(seat.pause)

    async def _one_life(self, seat: _Seat) -> str:
        """Start a worker, and hear it until it is gone; why it was of no use, or nothing if it was of some."""
        try:
            worker = await self._fresh()
        except OSError as error:
            return f"a worker could not be started: {error}"
        code, reason = 0, "a worker died while it loaded the judges"
        try:
            async for message in worker.messages():
                if "log" in message:
                    logger.log(message["level"], "worker %d: %s", worker.pid, message["log"])
                elif "judges" in message:
                    reason = self._take_on(seat, worker, message["judges"])
                    if reason:
                        return reason
                    if self.is_whole:
                        await self._keep_spare(message["modules"])
                else:
                    self._owner.answered(worker, message["rows"])
        except Exception as error:
            logger.exception("worker %d said what nobody understands, and is replaced", worker.pid)
            reason = f"a worker said what nobody understands: {type(error).__name__}"
        finally:
            was_ready = worker in self.ready
            if was_ready:
                self.ready.remove(worker)
            code = await asyncio.shield(self._bury(worker))
            if was_ready and not self._is_stopped:
                logger.warning("worker %d is gone (%s)", worker.pid, _ending(code))
                self._owner.went(worker)
        return reason and f"{reason} ({_ending(code)})"

    async def _fresh(self) -> WorkerProcess:
        """A worker that loads the judges: the one kept ready for that, or a new one."""
        worker, self._spare = self._spare, None
        if worker is not None and not worker.is_alive:
            await self._bury(worker)
            worker = None
        worker = worker or await WorkerProcess.start(self.threads)
        worker.load(self._judges, self._settings.precision)
        return worker

    def _bury(self, worker: WorkerProcess) -> asyncio.Task[int]:
        """Make sure that a worker is gone, even if nobody waits for that any more."""
        task = asyncio.create_task(worker.bury())
        self._burials.add(task)
        task.add_done_callback(self._burials.discard)
        return task

    async def _keep_spare(self, modules: Sequence[str]) -> None:
        """Have a process that has imported what judges need, so that a worker that dies is soon replaced."""
        with suppress(OSError):
            async with self._sparing:
                if self._spare is None:
                    self._spare = await WorkerProcess.start(self.threads)
                    self._spare.prepare(modules)

    def _take_on(self, seat: _Seat, worker: WorkerProcess, told: dict[str, Any]) -> str:
        """Let a worker be asked what it can be asked; why it cannot be asked anything, or nothing."""
        failed: list[str] = [said["failed"] for said in told.values() if "failed" in said]
        known = {name: JudgeFacts.from_dict(said) for name, said in told.items() if "failed" not in said}
        if not self.facts and not failed:
            self.facts = known
        changed = [name for name, facts in known.items() if name in self.facts and facts.hash != self.facts[name].hash]
        wrong = [*failed, *(_changed(name, self.facts[name], known[name]) for name in changed)]
        if wrong and not self.is_whole:
            self._give_up("; ".join(wrong))
            return wrong[0]
        worker.serves = tuple(name for name in known if name not in changed)
        self._refused = set(told) - set(worker.serves)
        if not worker.serves:
            return "; ".join(wrong)
        self._note("; ".join(wrong) or None)
        seat.was_ready = True
        self.ready.append(worker)
        self._owner.came()
        return ""

    def _note(self, trouble: str | None) -> None:
        if trouble and trouble != self.trouble and not self._has_given_up:  # who gives up tells why himself
            logger.error("%s", trouble)
        self.trouble = trouble

    def _give_up(self, reason: str) -> None:
        self._has_given_up = True
        self._owner.gave_up(reason)


def _changed(name: str, was: JudgeFacts, now: JudgeFacts) -> str:
    return (
        f"the folder of judge {name!r} holds another judge now ({now.hash[:12]}, and the service was started with "
        f"{was.hash[:12]}); put the old one back, or start the service again"
    )


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
