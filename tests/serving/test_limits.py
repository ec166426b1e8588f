"""Test that bodies are limited while they arrive."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from votecast.serving import request_limits
from votecast.serving.request_errors import QueueFullError, RequestError
from votecast.serving.request_limits import BodyReader, ClientDisconnectedError


class Parts:
    """A body in parts; `read` counts the bytes taken."""

    def __init__(self, *parts: bytes, pause: bool = False, left: bool = False) -> None:
        self.parts, self.pause, self.left, self.read = list(parts), pause, left, 0

    async def __call__(self) -> dict[str, Any]:
        if not self.parts:
            if self.left:
                return {"type": "http.disconnect"}
            await asyncio.sleep(3600)
        part = self.parts.pop(0)
        self.read += len(part)
        return {"type": "http.request", "body": part, "more_body": bool(self.parts) or self.pause or self.left}


def read(parts: Parts, headers: list[tuple[bytes, bytes]] | None = None, seconds: float = 30) -> bytes:
    return asyncio.run(BodyReader(100, seconds).read(parts, headers or []))


def test_parts_are_joined() -> None:
    assert read(Parts(b"a" * 50, b"b" * 50)) == b"a" * 50 + b"b" * 50
    assert read(Parts(b"")) == b""


@pytest.mark.parametrize(
    ("headers", "taken"), [([], 120), ([(b"content-length", b"300")], 0), ([(b"content-length", b"5")], 120)]
)
def test_a_longer_body_is_refused_as_soon_as_it_is_too_long(headers: list[tuple[bytes, bytes]], taken: int) -> None:
    parts = Parts(*[b"a" * 60] * 1000)
    with pytest.raises(RequestError, match="longer than 100 bytes") as error:
        read(parts, headers)
    assert (parts.read, error.value.status) == (taken, 413)


def test_a_missing_body_times_out() -> None:
    with pytest.raises(RequestError, match=r"incomplete after 0 s; send it within 0.05 s") as error:
        read(Parts(b"a", pause=True), seconds=0.05)
    assert (error.value.status, error.value.closes) == (408, True)


class Trickle(Parts):
    """A body that comes a byte at a time."""

    async def __call__(self) -> dict[str, Any]:
        await asyncio.sleep(0.01)
        self.read += 1
        return {"type": "http.request", "body": b"a", "more_body": True}


def test_a_body_must_come_at_a_least_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "GRACE", 0.1)
    trickle = Trickle()
    with pytest.raises(RequestError, match="500 bytes a second or more") as error:
        asyncio.run(BodyReader(10_000, 30).read(trickle, []))
    assert error.value.status == 408 and trickle.read < 100
    monkeypatch.setattr(request_limits, "LEAST_RATE", 1)
    with pytest.raises(RequestError, match="longer than 20 bytes"):
        asyncio.run(BodyReader(20, 30).read(Trickle(), []))


def test_bodies_that_are_not_whole_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "_MOST_HELD", 150)

    async def ask() -> None:
        reader = BodyReader(100, 30)
        first = asyncio.create_task(reader.read(Parts(b"a" * 90, pause=True), []))
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFullError):
            await reader.read(Parts(b"b" * 90, pause=True), [])
        assert await reader.read(Parts(b"c" * 50), []) == b"c" * 50
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert len(await reader.read(Parts(b"d" * 50, b"d" * 50), [])) == 100

    asyncio.run(ask())


def test_a_client_that_disconnects_in_the_middle() -> None:
    with pytest.raises(ClientDisconnectedError):
        read(Parts(b"a", left=True))
