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

_JSON: Final = b"application/json"


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

    @contextlib.contextmanager
    def admit(self) -> Iterator[None]:
        """Count a request while the block runs, or raise `QueueFullError`."""
        if self.count >= self._most:
            raise QueueFullError
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


async def read_body(receive: Receive, headers: Headers, most: int, seconds: float) -> bytes:
    """Read the body of a request.

    Args:
        receive: The ASGI callable.
        headers: Headers of the request.
        most: Most bytes.
        seconds: Most seconds until the body is complete.

    Raises:
        RequestError: With status 413 if it is longer, 408 if it takes longer.
        ClientDisconnectedError: If the client has left before its end.
    """
    # uvicorn discards the rest of a body that is not read
    # the announced length refuses a long body unread; the bytes are counted too, since it may be wrong or missing
    announced = next((int(value) for name, value in headers if name == b"content-length"), 0)
    body, is_whole = bytearray(), False
    try:
        async with asyncio.timeout(seconds):
            while not is_whole and max(announced, len(body)) <= most:
                message: Message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnectedError
                body += message.get("body", b"")
                is_whole = not message.get("more_body", False)
    except TimeoutError:
        text = f"the body was incomplete after {seconds:g} s; send it faster, or a shorter one"
        raise RequestError(text, status=408, type="slow_body", closes=True) from None
    if max(announced, len(body)) > most:
        text = f"the body is longer than {most:,} bytes; send fewer or shorter texts at once"
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
