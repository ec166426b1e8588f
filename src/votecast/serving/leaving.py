"""The server behind the port: it keeps no place for the quiet, and leaves without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from votecast.serving.limits import Doors

_LAST: Final = 0.5
"""Seconds in which idle connections may still bring a request that was under way."""

_TICK: Final = 0.02

QUIET: Final = 75.0
"""Seconds after which a connection is closed that has brought no whole request."""


class Leaving(uvicorn.Server):
    """A server that is told to stop by a signal, and ends at once with a second one.

    It then takes the connections that wait to be accepted, and no more. Every answer from then on ends its connection;
    connections that bring nothing within half a second are closed, and the rest as soon as they are answered.

    Args:
        config: Of uvicorn.
        doors: Told that the service is being left.
        listener: The socket that listens.
        drain: Seconds that requests have to be finished.
    """

    def __init__(self, config: uvicorn.Config, doors: Doors, listener: socket.socket, drain: float) -> None:
        super().__init__(config)
        self._doors, self._listener, self._drain = doors, listener, drain
        self._quiet: dict[Any, tuple[float, Any]] = {}
        self.ended_by: int | None = None
        """The second signal, if there was one."""
        self.cut_off = 0
        """Requests that were given up."""

    async def on_tick(self, counter: int) -> bool:
        """Once a second, close connections that only keep a place."""
        if counter % 10 == 0:
            self.close_quiet(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    def close_quiet(self, now: float) -> None:
        """Close connections that have brought no whole request for long; uvicorn waits for ever for the first one."""
        quiet = {}
        for connection in self.server_state.connections:
            cycle = getattr(connection, "cycle", None)  # that of the last request
            if cycle is None or cycle.response_complete:
                since, last = self._quiet.get(connection, (now, cycle))
                quiet[connection] = (since if last is cycle else now, cycle)
        self._quiet = quiet
        for connection, (since, _) in quiet.items():
            if now - since > QUIET:
                connection.transport.close()

    def told(self, number: int) -> None:
        """Hear a signal."""
        if self.should_exit:
            self.force_exit, self.ended_by = True, number
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever serves."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was accepted."""
        del sockets
        self._doors.leaving = True
        await self._close_door()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._drain
        await self._until_empty(min(end, loop.time() + _LAST))
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._until_empty(end)
        self.cut_off = self._doors.inside
        for task in list(self.server_state.tasks):
            task.cancel()
        if self.server_state.tasks and not self.force_exit:
            await asyncio.wait(list(self.server_state.tasks), timeout=1)

    async def _close_door(self) -> None:
        """Accept no more, but for those that already wait at the door."""
        loop = asyncio.get_running_loop()
        door = socket.socket(fileno=socket.dup(self._listener.fileno()))
        with door:
            for server in self.servers:
                server.close()
            waiting = []
            with contextlib.suppress(OSError):
                while True:
                    waiting.append(door.accept()[0])
        for each in waiting:
            each.setblocking(False)
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(self._protocol, each)

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state={}
        )

    async def _until_empty(self, end: float) -> None:
        loop = asyncio.get_running_loop()
        while self.server_state.connections and not self.force_exit and loop.time() < end:
            await asyncio.sleep(_TICK)
