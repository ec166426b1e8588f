"""uvicorn with bounded request heads, JSON errors for malformed requests, and a shutdown that loses no request.

`server` runs it; uvicorn alone would keep any number of bytes before a request, and close connections with requests
under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from votecast.serving.middleware import with_security_headers
from votecast.serving.request_errors import RequestError, error_response
from votecast.serving.request_limits import InFlight

_LONGEST_HEAD: Final = 1 << 16  # bytes of a request line with its headers
_MOST_PIPELINED: Final = 100  # requests that a client may send ahead of their responses
_LAST_REQUESTS: Final = 0.5  # seconds in which idle connections may still bring a request that was under way
_TICK: Final = 0.02


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection with bounded heads and few pipelined requests."""

    _unparsed = 0
    _is_parsed = False

    def data_received(self, data: bytes) -> None:
        """Parse data; only bodies may be long, since the routes bound them."""
        self._is_parsed = False
        super().data_received(data)
        self._unparsed = 0 if self._is_parsed else self._unparsed + len(data)
        if self.transport.is_closing():
            return
        if self._unparsed > _LONGEST_HEAD:
            message = f"the address and the headers are longer than {_LONGEST_HEAD:,} bytes; send shorter ones"
            self._refuse(RequestError(message, status=431, type="head_too_large"))
        elif len(self.pipeline) > _MOST_PIPELINED:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Start the response."""
        self._is_parsed = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass on a part of a body."""
        self._is_parsed = True
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Return a JSON error for a malformed request."""
        del msg
        self._refuse(RequestError("malformed HTTP request; send one in HTTP/1.1", status=400, type="no_http"))

    def _refuse(self, error: RequestError) -> None:
        """Send an error unless another response is under way, and close the connection."""
        # a second response would be taken for the one to an earlier request
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            response = error_response(error)
            headers = with_security_headers(response.raw_headers, closes=True)
            head = b"".join(b"%b: %b\r\n" % each for each in headers)
            self.transport.write(STATUS_LINE[response.status_code] + head + b"\r\n" + bytes(response.body))
        self.transport.close()


class GracefulServer(uvicorn.Server):
    """A server that stops gracefully at a first signal, at once at a second.

    It then accepts the connections in the backlog and no more. Every response from then on ends its connection; idle
    connections are closed after half a second, the others once they are answered, all within `drain` seconds.
    """

    def __init__(self, config: uvicorn.Config, in_flight: InFlight, listener: socket.socket, drain: float) -> None:
        super().__init__(config)
        self._in_flight, self._listener, self._drain = in_flight, listener, drain
        self.ended_by: int | None = None  # the second signal
        self.unfinished = 0  # requests that were not finished in time

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while it serves; uvicorn would raise them again after a graceful shutdown."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, or end at once if already stopping."""
        del frame
        if self.should_exit:
            self.force_exit, self.ended_by = True, sig
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the accepted requests."""
        del sockets
        self._in_flight.draining = True
        await self._accept_backlog()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._drain
        await self._wait_for_connections(min(end, loop.time() + _LAST_REQUESTS))
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._wait_for_connections(end)
        self.unfinished = self._in_flight.count
        # the middleware turns the cancellation into a response
        for task in list(self.server_state.tasks):
            task.cancel()
        if self.server_state.tasks and not self.force_exit:
            await asyncio.wait(list(self.server_state.tasks), timeout=1)

    async def _accept_backlog(self) -> None:
        # closing the listener resets the connections that wait in its backlog
        loop = asyncio.get_running_loop()
        waiting: list[socket.socket] = []
        with socket.socket(fileno=socket.dup(self._listener.fileno())) as listener:
            for server in self.servers:
                server.close()
            with contextlib.suppress(OSError):  # BlockingIOError: no more
                while True:
                    waiting.append(listener.accept()[0])
        for each in waiting:
            each.setblocking(False)
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(
                    lambda: BoundedHttpProtocol(config=self.config, server_state=self.server_state, app_state={}), each
                )

    async def _wait_for_connections(self, end: float) -> None:
        loop = asyncio.get_running_loop()
        while self.server_state.connections and not self.force_exit and loop.time() < end:
            await asyncio.sleep(_TICK)
