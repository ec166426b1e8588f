"""Test the load generator: responses, lost requests and queueing delay."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\n{}"
LAST = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

Answer = Callable[[int], bytes | float]


@pytest.fixture(scope="module")
def service() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    import _service

    yield _service
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def ask(service: ModuleType, tmp_path: Path) -> Callable[..., Any]:
    """Run a plan against a server with a scripted response per request."""

    def run(answer: Answer, requests: int = 20, **plan: Any) -> Any:
        asked = [("/v1/compare", {"id": n}) for n in range(requests)]
        lines = service._load.write_requests(tmp_path / "requests", asked)
        with Answering(answer) as server:
            return service.load(service.Plan(server.port, lines, **plan))

    return run


class Answering:
    """A server thread: bytes are sent, empty bytes close, numbers delay."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.asked, self.port = answer, 0, 0
        self.ready, self.loop = threading.Event(), asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.run(),))

    def __enter__(self) -> Answering:
        self.thread.start()
        self.ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join()
        self.loop.close()

    async def run(self) -> None:
        self.over, self.tasks = asyncio.Event(), set[asyncio.Task[None]]()
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.over.wait()
        server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(head.rpartition(b": ")[2]))
                reply = self.answer(self.asked)
                self.asked += 1
                if isinstance(reply, float):
                    await asyncio.sleep(reply)
                writer.write(GOOD if isinstance(reply, float) else reply)
                if reply in (b"", LAST):
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def test_each_request_is_answered_once(ask: Callable[..., Any]) -> None:
    found = ask(lambda _: GOOD, connections=4, keep=True)
    assert sorted(found.request) == list(range(20))
    assert found.summary() == "200: 20"
    assert found.answers == ["{}"] * 20
    assert (found.sent <= found.done).all()


def test_a_request_with_retry_after_is_sent_again(ask: Callable[..., Any]) -> None:
    found = ask(lambda n: BUSY if n % 3 == 0 else GOOD, connections=4)
    assert sorted(found.request[found.status == 200]) == list(range(20))
    assert found.count(429) > 0


def test_a_connection_that_breaks_is_a_lost_request(ask: Callable[..., Any], service: ModuleType) -> None:
    found = ask(lambda n: b"" if n == 5 else GOOD, connections=2)
    assert found.count(service._load.LOST) == 1
    assert found.count(200) == 19


def test_a_closed_connection_is_not_used_again(ask: Callable[..., Any]) -> None:
    assert ask(lambda n: LAST if n % 4 == 0 else GOOD, connections=2).summary() == "200: 20"


def test_nothing_listens(service: ModuleType, tmp_path: Path) -> None:
    with Answering(lambda _: GOOD) as server:
        port = server.port
    lines = service._load.write_requests(tmp_path / "requests", [("/", {})])
    found = service.load(service.Plan(port, lines, connections=1, seconds=0.2))
    assert found.count(service._load.REFUSED) == len(found) > 0


def test_an_open_loop_counts_the_waiting_behind_a_slow_answer(ask: Callable[..., Any]) -> None:
    found = ask(lambda n: 1.0 if n == 0 else GOOD, connections=1, rate=40.0)
    assert found.count(200) == 20
    waited = found.done - found.planned
    assert (waited[:10] > 0.5).all()  # all were planned within half a second, and stood behind the first
    assert (found.sent[1:] >= found.done[0]).all()
