"""The limits of a request: size and media type of its body, its deadline, and how many are in flight.

The routes of `app` read and answer every request through them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Final, TypeVar

from starlette.types import Message, Receive

from votecast.serving.request_errors import QueueFullError, RequestError, RequestTimeoutError

Headers = list[tuple[bytes, bytes]]
T = TypeVar("T")

GRACE: Final = 10.0
"""Seconds in which a body may come at any rate."""
LEAST_RATE: Final = 500
"""Bytes a second at which a body must come after that, on average."""

_JSON: Final = b"application/json"
_MOST_HELD: Final = 1 << 28  # bytes of all bodies that are not whole yet


class ClientDisconnectedError(Exception):
    """The client has closed the connection before the response."""


class InFlight:
    """Counts the requests in flight, `most` at once; knows whether the service drains.

    Example:
        >>> in_flight = InFlight(1)
        >>> with in_flight.admit():
        ...     in_flight.count
        1
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.count = 0
        self.draining = False  # connections end with their next response

    def check(self) -> None:
        """Raise `QueueFullError` if a request would not be admitted now; its body need not be read then."""
        if self.count >= self._most:
            raise QueueFullError

    @contextlib.contextmanager
    def admit(self) -> Iterator[None]:
        """Count a request while the block runs, or raise `QueueFullError`."""
        self.check()
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


def check_media_type(headers: Headers) -> None:
    """Check that a body is declared as JSON; raise status 415 if not.

    Example:
        >>> check_media_type([(b"content-type", b"application/json; charset=utf-8")])
    """
    given = [value for name, value in headers if name == b"content-type"]
    kind, _, rest = (given[0] if len(given) == 1 else b"").lower().partition(b";")
    charset = rest.replace(b" ", b"").replace(b'"', b"")
    if kind.strip() != _JSON or charset not in (b"", b"charset=utf-8", b"charset=utf8"):
        message = "the body is not declared as JSON in UTF-8; send the header Content-Type: application/json"
        raise RequestError(message, status=415, type="media_type")


class BodyReader:
    """Reads the bodies of requests; those that are not whole yet share a budget of bytes.

    Args:
        most: Most bytes of a body.
        seconds: Most seconds until a body is complete. A body must also come at `LEAST_RATE`, after `GRACE` seconds.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._held = 0  # bytes of all bodies that are not whole yet

    async def read(self, receive: Receive, headers: Headers) -> bytes:
        """Read the body of a request.

        Args:
            receive: The ASGI callable.
            headers: Headers of the request.

        Raises:
            RequestError: With status 413 if it is longer, 408 if it takes longer, 429 if too much is held.
            ClientDisconnectedError: If the client has left before its end.
        """
        # uvicorn discards the rest of a body that is not read
        # the announced length refuses a long body unread; the bytes are counted too, since it may be wrong or missing
        announced = next((int(value) for name, value in headers if name == b"content-length"), 0)
        body, is_whole, clock = bytearray(), False, asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(min(self._seconds, GRACE)) as limit:
                while not is_whole and max(announced, len(body)) <= self._most:
                    message: Message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnectedError
                    self._held += len(message.get("body", b""))
                    body += message.get("body", b"")
                    is_whole = not message.get("more_body", False)
                    if self._held > _MOST_HELD and not is_whole:
                        raise QueueFullError
                    limit.reschedule(began + min(self._seconds, GRACE + len(body) / LEAST_RATE))
        except TimeoutError:
            text = (
                f"the body was incomplete after {clock() - began:.0f} s; send it within {self._seconds:g} s, and "
                f"{LEAST_RATE} bytes a second or more after the first {GRACE:g} s"
            )
            raise RequestError(text, status=408, type="slow_body", closes=True) from None
        finally:
            self._held -= len(body)
        if max(announced, len(body)) > self._most:
            text = f"the body is longer than {self._most:,} bytes; send fewer or shorter texts at once"
            raise RequestError(text, status=413, type="too_large")
        return bytes(body)


async def run_while_connected(work: Coroutine[object, object, T], receive: Receive, seconds: float) -> T:
    """Run the work of a request until its deadline, while the client waits."""
    this, has_left, is_over = asyncio.current_task(), False, False
    assert this is not None

    async def wait_for_disconnect() -> None:
        """Wait until the client has left."""
        while (await receive())["type"] != "http.disconnect":
            pass

    def cancel(watcher: asyncio.Task[None]) -> None:
        """Cancel the work."""
        nonlocal has_left
        if not watcher.cancelled() and not is_over:
            has_left = True
            this.cancel()

    # only the watcher is a task: one for the work, too, would cost every request a twentieth of its time
    watcher = asyncio.ensure_future(wait_for_disconnect())
    watcher.add_done_callback(cancel)
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise RequestTimeoutError from None
    except asyncio.CancelledError:
        if not has_left:
            raise
        this.uncancel()
        raise ClientDisconnectedError from None
    finally:
        is_over = True
        watcher.cancel()
