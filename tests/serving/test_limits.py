"""Test that bodies are limited while they arrive."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from votecast.serving.request_errors import RequestError
from votecast.serving.request_limits import ClientDisconnectedError, read_body


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
    return asyncio.run(read_body(parts, headers or [], 100, seconds))


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
    with pytest.raises(RequestError, match=r"incomplete after 0.05 s") as error:
        read(Parts(b"a", pause=True), seconds=0.05)
    assert (error.value.status, error.value.closes) == (408, True)


def test_a_client_that_disconnects_in_the_middle() -> None:
    with pytest.raises(ClientDisconnectedError):
        read(Parts(b"a", left=True))
