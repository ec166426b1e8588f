"""A worker as the front sees it: a process, the socket to it, and the batches it is at."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from votecast.serving.batching import Row
from votecast.serving.frames import get, pack, pack_list, put, unpack

_THREADS: Final = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS",
)  # fmt: skip


@dataclass(eq=False)
class Batch:
    """Rows that a worker is at.

    Args:
        judge: Name of the judge.
        rows: The rows.
        begun: When the worker could begin, by the clock of the event loop.
    """

    judge: str
    rows: list[Row]
    begun: float

    @property
    def tokens(self) -> int:
        """About how many tokens the judge reads."""
        return sum(row.tokens for row in self.rows)


@dataclass(eq=False)
class WorkerProcess:
    """A process that scores, and what it was given.

    Args:
        process: The process.
        serves: Names of the judges it may be asked; none before it is ready.
        batches: What it is at, in its order.
        is_hung: Whether it was killed because it gave no answer in time.
    """

    process: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    serves: tuple[str, ...] = ()
    batches: deque[Batch] = field(default_factory=deque)
    is_hung: bool = False

    @classmethod
    async def start(cls, threads: int) -> Self:
        """Start one, which then waits to be told what to load.

        Args:
            threads: Threads it computes with.

        Raises:
            OSError: If the system has no room for a process.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = _spawn(theirs, threads)
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        try:
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self.process.pid

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What it says, until it is gone."""
        while (body := await get(self.reader)) is not None:
            yield unpack(body)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def prepare(self, modules: Sequence[str]) -> None:
        """Let it import what judges need, before it is told which to load."""
        put(self.writer, pack({"modules": list(modules)}))

    def load(self, judges: Mapping[str, str], precision: str | None) -> None:
        """Let it load judges.

        Args:
            judges: Name and place of each.
            precision: How exactly they compute; None leaves it to them.
        """
        put(self.writer, pack({"judges": dict(judges), "precision": precision}))

    def give(self, batch: Batch) -> None:
        """Let it score a batch after those it has."""
        self.batches.append(batch)
        put(self.writer, pack_list("rows", [row.body for row in batch.rows], judge=batch.judge))

    def kill(self) -> None:
        """End it at once, whatever it is at."""
        if self.process.returncode is None:
            self.process.kill()

    async def bury(self) -> int:
        """Make sure that it is gone, and tell how it ended."""
        self.kill()
        self.writer.transport.abort()
        return await asyncio.to_thread(self.process.wait)


def _spawn(end: socket.socket, threads: int) -> subprocess.Popen[bytes]:
    limits = dict.fromkeys(_THREADS, str(threads)) | {"TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "votecast.serving.worker", str(end.fileno())],
        pass_fds=[end.fileno()],
        env=os.environ | limits,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        process_group=0,  # a terminal's Ctrl-C is for the front, which ends its workers when their work is done
    )
