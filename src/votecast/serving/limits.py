"""What bounds a request: the size of its body, its time, how many there are, and whether anybody waits for it."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, MutableMapping
from typing import Any, Final, TypeVar

from votecast.serving.errors import (
    MediaTypeError,
    QueueFullError,
    RequestError,
    SlowBodyError,
    TimeoutError,  # noqa: A004 - the built-in one, with a status
    TooLargeError,
)
from votecast.serving.headers import Headers

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Answer = TypeVar("Answer")

_DISCARDED: Final = 8
"""How many times the longest body is read and thrown away, so that the client gets to read why."""

_PAUSE: Final = 0.5
"""Seconds without a byte of a body that is thrown away, after which its client is taken to wait for the answer."""

_JSON: Final = b"application/json"
_LEFT: Final = "http.disconnect"


class ClientLeftError(Exception):
    """The client has closed the connection: nobody waits for the answer."""


class Doors:
    """How many requests are being answered, and whether more may come.

    Args:
        most: Requests that may be inside at once.

    Example:
        >>> doors = Doors(1)
        >>> with doors.entered():
        ...     doors.inside
        1
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.inside = 0
        self.leaving = False
        """Whether the service was told to stop: connections end with the answers that are under way."""

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be inside.

        Raises:
            QueueFullError: If the house is full.
        """
        if self.inside >= self._most:
            raise QueueFullError
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


def check_media_type(headers: Headers) -> None:
    """Refuse a body that is not said to be JSON.

    Raises:
        MediaTypeError: If it is said to be something else, or nothing.

    Example:
        >>> check_media_type([(b"content-type", b"application/json; charset=utf-8")])
    """
    given = [value for name, value in headers if name == b"content-type"]
    if given == [_JSON]:
        return
    kind, _, rest = (given[0] if len(given) == 1 else b"").lower().partition(b";")
    charset = rest.replace(b" ", b"").replace(b'"', b"")
    if kind.strip() != _JSON or charset not in (b"", b"charset=utf-8", b"charset=utf8"):
        raise MediaTypeError("the body is not said to be JSON in UTF-8; send the header Content-Type: application/json")


async def read_all(receive: Receive, headers: Headers, most: int, seconds: float) -> bytes:
    """The body of a request; one that is too long is read to its end within bounds, and never kept.

    Args:
        receive: Gives the parts.
        headers: Of the request.
        most: Longest body.
        seconds: How long it may take to come.

    Raises:
        TooLargeError: If it is longer.
        SlowBodyError: If it takes longer.
        ClientLeftError: If the client left in the middle.
    """
    try:
        async with asyncio.timeout(seconds):
            said = next((value for name, value in headers if name == b"content-length"), b"0")
            found = None if int(said) > most else await _parts(receive, most)
            if found is None:
                waits = any(name == b"expect" for name, _ in headers)
                raise TooLargeError(most, closes=waits or not await _discarded(receive, most * _DISCARDED))
            return found
    except builtins.TimeoutError:
        raise SlowBodyError(seconds) from None


async def while_there(work: Coroutine[Any, Any, Answer], receive: Receive, seconds: float) -> Answer:
    """Work for a client as long as it is there and there is time.

    Args:
        work: What is to be done; cancelled where nobody waits for it.
        receive: Tells when the client leaves, once the body is read.
        seconds: How long it may take.

    Raises:
        ClientLeftError: If the client has left.
        TimeoutError: If it takes longer.
    """
    this, left, over = asyncio.current_task(), False, False
    assert this is not None

    def leave(watcher: asyncio.Task[Any]) -> None:
        nonlocal left
        if not watcher.cancelled() and not over:
            left = True
            this.cancel()

    watcher = asyncio.ensure_future(_gone(receive))
    watcher.add_done_callback(leave)
    try:
        async with asyncio.timeout(seconds):
            return await work
    except RequestError:
        raise
    except builtins.TimeoutError:
        raise TimeoutError from None
    except asyncio.CancelledError:
        if not left:
            raise
        this.uncancel()
        raise ClientLeftError from None
    finally:
        over = True
        watcher.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != _LEFT:
        pass


async def _parts(receive: Receive, most: int) -> bytes | None:
    """The body; None as soon as it is too long."""
    message = await _next(receive)
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body if len(body) <= most else None
    parts, length = [body], len(body)
    while length <= most and message.get("more_body", False):
        message = await _next(receive)
        parts.append(message.get("body", b""))
        length += len(parts[-1])
    return b"".join(parts) if length <= most else None


async def _discarded(receive: Receive, most: int) -> bool:
    """Whether the rest of a body came to its end within so many bytes and without a pause."""
    length = 0
    with contextlib.suppress(builtins.TimeoutError):
        while length <= most:
            async with asyncio.timeout(_PAUSE):
                message = await _next(receive)
            length += len(message.get("body", b""))
            if not message.get("more_body", False):
                return True
    return False


async def _next(receive: Receive) -> MutableMapping[str, Any]:
    message = await receive()
    if message["type"] == _LEFT:
        raise ClientLeftError
    return message
