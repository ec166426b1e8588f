"""The front process: listens, starts the workers, and leaves without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import uvicorn

from votecast.errors import ConfigError, ServiceError
from votecast.serving.app import build_app
from votecast.serving.keys import check_host
from votecast.serving.leaving import Leaving
from votecast.serving.limits import Doors
from votecast.serving.logs import JsonLog
from votecast.serving.metrics import Metrics
from votecast.serving.pool import Pool
from votecast.serving.settings import ServiceSettings
from votecast.serving.wire import Wire

_BACKLOG: Final = 2048
_KEPT_ALIVE: Final = 60
_FILES: Final = 65_536


def serve(
    judges: Mapping[str, str], settings: ServiceSettings, *, key: str | None, announce: Callable[[str], None]
) -> None:
    """Serve until told to stop (SIGTERM or SIGINT); accepted requests are finished first.

    Args:
        judges: Name of each judge, and its folder or name.
        settings: What is allowed, and where to listen.
        key: What requests must bring; needed on any host but loopback.
        announce: Told in a line where the service listens, and when the judges are ready.

    Raises:
        ConfigError: If the host is none of this machine, or needs a key.
        ServiceError: If the port is taken, a judge cannot be loaded, or requests were not finished in time.
    """
    check_host(settings.host, key)
    _allow_many_connections()
    listener = listen(settings.host, settings.port)
    with contextlib.closing(listener):
        front = _Front(judges, settings, key, announce)
        with asyncio.Runner(loop_factory=front.config.get_loop_factory()) as runner:
            runner.run(front.run(listener))


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: If the host is none of this machine.
        ServiceError: If the port is taken, or may not be used.
    """
    family, address = _address(host, port)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ServiceError(
                f"port {port} on {host} is in use; name another by --port, or 0 for one that is free"
            ) from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(f"--host {host} is no address of this machine; use 127.0.0.1 or 0.0.0.0") from None
        raise ServiceError(f"port {port} on {host} cannot be used ({error.strerror}); name another by --port") from None
    return listener


def _allow_many_connections() -> None:
    """Let each connection have its file, as far as the machine lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _address(host: str, port: int) -> tuple[int, tuple[object, ...]]:
    name = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        version = ipaddress.ip_address(name).version
    except ValueError:
        pass
    else:
        return (socket.AF_INET, (name, port)) if version == 4 else (socket.AF_INET6, (name, port))
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ConfigError(f"--host {host} is not known; give an address of this machine, such as 127.0.0.1") from None
    return found[0][0], found[0][4]


class _Front:
    """The front process of one service.

    Args:
        judges: As of `serve`.
        settings: As of `serve`.
        key: As of `serve`.
        announce: As of `serve`.
    """

    def __init__(
        self, judges: Mapping[str, str], settings: ServiceSettings, key: str | None, announce: Callable[[str], None]
    ) -> None:
        self._settings, self._announce, self._judges = settings, announce, judges
        self._metrics, self._doors = Metrics(), Doors(settings.in_flight)
        self._pool = Pool(judges, settings, watch=self._metrics)
        self._metrics.follow(self._pool, judges, self._doors)
        app = build_app(
            self._pool,
            settings,
            key=key,
            doors=self._doors,
            metrics=self._metrics,
            log=JsonLog(sys.stderr),
            judges=list(judges),
        )
        self.config = uvicorn.Config(
            app,
            access_log=False,
            backlog=_BACKLOG,
            http=Wire,
            lifespan="off",
            log_config=None,
            log_level="error",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEPT_ALIVE,
            ws="none",
        )

    async def run(self, listener: socket.socket) -> None:
        """Serve until told to stop."""
        server = Leaving(self.config, self._doors, listener, self._settings.drain)
        with _signals(server):
            try:
                await self._pool.start()
                await self._serve(server, listener)
            finally:
                await self._pool.stop()
        if not server.cut_off:
            self._announce("stopped")
        if server.ended_by is not None:
            sys.exit(128 + server.ended_by)
        if server.cut_off:
            raise ServiceError(
                f"{server.cut_off} requests were not finished within {self._settings.drain:g} s and were given up; "
                "--drain gives them longer"
            )

    async def _serve(self, server: Leaving, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        self._announce(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
        watching = asyncio.ensure_future(self._watch(server))
        try:
            await server.serve(sockets=[listener])
        finally:
            watching.cancel()
        if self._pool.failure is not None:
            raise ServiceError(self._pool.failure)

    async def _watch(self, server: Leaving) -> None:
        """Tell when the judges are ready; stop where they cannot be loaded."""
        if await self._pool.settled() == "ready":
            gc.freeze()  # what is there now stays; the collector need not walk through it again and again
            self._announce(f"ready: judges {', '.join(self._judges)}")
        await self._pool.failed()
        server.should_exit = True


@contextlib.contextmanager
def _signals(server: Leaving) -> Iterator[None]:
    """Let the two signals that mean stop be heard by the server."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.told, number)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
