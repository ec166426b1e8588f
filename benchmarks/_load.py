"""Generate HTTP load over keep-alive connections from a separate process.

A closed loop sends a request as soon as a connection has its answer. An open loop sends at a rate, whatever the answers
do: a latency counts from the moment a request was planned for, so that waiting for a free connection is not hidden.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOST, REFUSED = 0, 1
"""Pseudo statuses: closed without a response, and connection refused."""
FIELDS = ("planned", "sent", "done", "status", "request")
_END = b"\r\n\r\n"
_STALE = 2.0
AGAIN, MOST_AGAIN = 0.05, 1.0
"""Seconds until a lost connection is used again, and the longest wait that a Retry-After gets."""


@dataclass(frozen=True)
class Plan:
    """Settings of a load.

    Args:
        port: Where the service listens on 127.0.0.1.
        requests: File of requests, see `write_requests`; taken in turn, again and again.
        connections: Connections, each with one request at a time.
        seconds: How long requests are sent; 0 sends each request of the file once, and again after a 429.
        rate: Requests a second of an open loop; 0 is a closed loop.
        random: Whether the open loop's requests come at random moments (a Poisson process) or evenly.
        keep: Whether the answers are kept.
        patience: Seconds without an answer after which a request counts as lost.
    """

    port: int
    requests: Path
    connections: int = 64
    seconds: float = 0.0
    rate: float = 0.0
    random: bool = False
    keep: bool = False
    patience: float = 60.0


def write_requests(path: Path, requests: Iterable[tuple[str, Mapping[str, Any]]]) -> Path:
    """Write requests, one a line: the route and the body."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps([route, body]) + "\n" for route, body in requests)
    return path


class Generator:
    """Send planned requests and record when each was sent and answered."""

    def __init__(self, plan: Plan) -> None:
        lines = plan.requests.read_text("utf-8").splitlines()
        self.plan = plan
        self.bytes = [_request(*json.loads(line)) for line in lines]
        self.columns = {name: array("d") for name in FIELDS}
        self.answers: list[bytes] = []
        self.waiting: deque[tuple[float, int]] = deque()
        self.idle: deque[_Connection] = deque()
        self.again: deque[int] = deque()
        self.open = self.taken = 0
        self.over = False
        self.ended = asyncio.Event()
        self.begun, self.end = 0.0, float("inf")
        self.tasks: set[asyncio.Task[None]] = set()

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task, and keep it until it is done."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self) -> None:
        """Send all requests and wait for the responses."""
        connections = [_Connection(self) for _ in range(self.plan.connections)]
        await asyncio.gather(*(connection.connect() for connection in connections))
        self.begun = time.monotonic()
        if self.plan.seconds:
            self.end = self.begun + self.plan.seconds
        if self.plan.rate:
            self.idle.extend(connections)
            await self._plan_ahead()
            self.over = True
            self._end_if_done()
        else:
            for connection in connections:
                self.free(connection)
        await self.ended.wait()

    def next(self, connection: _Connection) -> tuple[float, int] | None:
        """Return the next request and its planned time, or None."""
        if self.plan.rate:
            if self.waiting:
                return self.waiting.popleft()
            self.idle.append(connection)
            return None
        now = time.monotonic()
        if self.again:
            return now, self.again.popleft()
        if now >= self.end or (not self.plan.seconds and self.taken >= len(self.bytes)):
            self.over = True
            return None
        self.taken += 1
        return now, (self.taken - 1) % len(self.bytes)

    def free(self, connection: _Connection) -> None:
        """Give an idle connection its next request."""
        todo = self.next(connection)
        if todo is not None:
            self.open += 1
            connection.send(*todo)
        self._end_if_done()

    def note(self, planned: float, sent: float, status: int, request: int, answer: bytes) -> None:
        """Record the outcome of a request."""
        for name, value in zip(FIELDS, (planned, sent, time.monotonic(), status, request), strict=True):
            self.columns[name].append(value)
        if self.plan.keep:
            self.answers.append(answer)
        if status == 429 and not self.plan.seconds:
            self.again.append(request)
        self.open -= 1

    async def _plan_ahead(self) -> None:
        dice, gap, at = random.Random(0), 1 / self.plan.rate, self.begun
        while at < self.end and (self.plan.seconds or self.taken < len(self.bytes)):
            delay = at - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
            self.waiting.append((at, self.taken % len(self.bytes)))
            self.taken += 1
            if self.idle:
                self.free(self.idle.pop())
            at += dice.expovariate(self.plan.rate) if self.plan.random else gap

    def _end_if_done(self) -> None:
        if self.over and not self.open and not self.waiting and not self.again:
            self.ended.set()


class _Wire(asyncio.Protocol):
    """One connection; calls `on_answer` for each response and when it closes."""

    def __init__(self, on_answer: Callable[[_Wire, int, bytes], None]) -> None:
        self.on_answer = on_answer
        self.transport: Any = None
        self.buffer = b""
        self.need = -1
        self.ends = False
        self.used = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        if self.need < 0:
            end = self.buffer.find(_END)
            if end < 0:
                return
            head = self.buffer[:end]
            self.need = end + len(_END) + int(_header(head, b"content-length") or 0)
            self.ends = _header(head, b"connection").lower() == b"close"
        if len(self.buffer) >= self.need:
            answer, self.buffer, self.need = self.buffer, b"", -1
            self.used = time.monotonic()
            self.on_answer(self, int(answer[9:12]), answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - named so by asyncio
        self.transport = None
        self.on_answer(self, LOST, b"")

    @property
    def is_fresh(self) -> bool:
        """Return whether the connection is open and was used recently."""
        return self.transport is not None and not self.ends and time.monotonic() - self.used < _STALE


class _Connection:
    """A slot for one request at a time; reconnects when needed."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.wire: _Wire | None = None
        self.current: tuple[float, float, int] | None = None
        self.timer: asyncio.TimerHandle | None = None

    async def connect(self) -> None:
        """Open a connection if the service accepts it."""
        old, self.wire = self.wire, None
        if old is not None and old.transport is not None:
            old.transport.close()
        loop, port = asyncio.get_running_loop(), self.generator.plan.port
        with contextlib.suppress(OSError):
            _, self.wire = await loop.create_connection(lambda: _Wire(self._record), "127.0.0.1", port)

    def send(self, planned: float, request: int) -> None:
        """Write a request."""
        self.current = planned, time.monotonic(), request
        if self.wire is not None and self.wire.is_fresh:
            self._write(self.wire, request)
        else:
            self.generator.later(self._open_and_write(request))

    async def _open_and_write(self, request: int) -> None:
        await self.connect()
        if self.wire is None or self.wire.transport is None:
            self._finish(REFUSED, b"")
        else:
            self._write(self.wire, request)

    def _write(self, wire: _Wire, request: int) -> None:
        loop = asyncio.get_running_loop()
        self.timer = loop.call_later(self.generator.plan.patience, wire.transport.abort)
        wire.transport.write(self.generator.bytes[request])

    def _record(self, wire: _Wire, status: int, answer: bytes) -> None:
        if wire is self.wire and self.current is not None:
            self._finish(status, answer)

    def _finish(self, status: int, answer: bytes) -> None:
        if self.current is None:
            return
        if self.timer is not None:
            self.timer.cancel()
        planned, sent, request = self.current
        self.current = self.timer = None
        self.generator.note(planned, sent, status, request, answer)
        pause = _pause(status, answer)
        if pause:
            asyncio.get_running_loop().call_later(pause, self.generator.free, self)
        else:
            self.generator.free(self)


def _request(route: str, body: Any) -> bytes:
    text = json.dumps(body, ensure_ascii=False).encode()
    head = f"POST {route} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(text)}"
    return head.encode() + _END + text


def _header(head: bytes, name: bytes) -> bytes:
    at = head.lower().find(b"\r\n" + name + b":")
    return head[at + 2 :].split(b"\r\n", 1)[0].split(b":", 1)[1].strip() if at >= 0 else b""


def _pause(status: int, answer: bytes) -> float:
    """Return the seconds to wait before using a connection again."""
    if status in (LOST, REFUSED):
        return AGAIN
    if status not in (429, 503):
        return 0.0
    asked = _header(answer.split(_END, 1)[0], b"retry-after")
    return min(float(asked) if asked.isdigit() else AGAIN, MOST_AGAIN)


def main() -> int:
    """Read a plan from standard input, run it and write the outcomes."""
    plan = json.loads(sys.stdin.read())
    out = Path(plan.pop("out"))
    generator = Generator(Plan(**(plan | {"requests": Path(plan["requests"])})))
    loop = _new_loop()
    loop.run_until_complete(generator.run())
    for name, column in generator.columns.items():
        (out / name).write_bytes(column.tobytes())
    if generator.plan.keep:
        answers = [answer.partition(_END)[2].decode() for answer in generator.answers]
        (out / "answers").write_text(json.dumps(answers), "utf-8")
    times = os.times()
    (out / "facts").write_text(json.dumps({"cpu": times.user + times.system, "begun": generator.begun}), "utf-8")
    return 0


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


if __name__ == "__main__":
    raise SystemExit(main())
