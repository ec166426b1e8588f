"""Bodies are bounded while they come, whatever the client says of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from votecast.serving.errors import SlowBodyError, TooLargeError
from votecast.serving.limits import ClientLeftError, read_all


class Parts:
    """A body that comes in parts, and how much of it was read."""

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
    return asyncio.run(read_all(parts, headers or [], 100, seconds))


def test_parts_are_put_together() -> None:
    assert read(Parts(b"a" * 50, b"b" * 50)) == b"a" * 50 + b"b" * 50
    assert read(Parts(b"")) == b""


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"300")], [(b"content-length", b"5")]])
def test_a_longer_body_is_read_to_its_end_and_refused(headers: list[tuple[bytes, bytes]]) -> None:
    parts = Parts(*[b"a" * 60] * 5)
    with pytest.raises(TooLargeError) as error:
        read(parts, headers)
    assert (parts.read, error.value.closes) == (300, False)


def test_a_body_without_an_end_is_cut_off() -> None:
    parts = Parts(*[b"a" * 60] * 1000)
    with pytest.raises(TooLargeError) as error:
        read(parts)
    assert error.value.closes
    assert parts.read < 2000


def test_a_client_that_waits_to_be_allowed_is_told_without_its_body() -> None:
    parts = Parts(pause=True)
    with pytest.raises(TooLargeError) as error:
        read(parts, [(b"content-length", b"101"), (b"expect", b"100-continue")])
    assert (parts.read, error.value.closes) == (0, True)


def test_a_body_that_does_not_come() -> None:
    with pytest.raises(SlowBodyError):
        read(Parts(b"a", pause=True), seconds=0.05)


def test_a_client_that_leaves_in_the_middle() -> None:
    with pytest.raises(ClientLeftError):
        read(Parts(b"a", left=True))
