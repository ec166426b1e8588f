"""The front process of `votecast serve`: listens, starts the workers, and shuts down without losing a request."""

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
from collections.abc import Callable, Mapping
from typing import Final

import uvicorn

from votecast.errors import ConfigError, ServiceError
from votecast.serving.app import build_app
from votecast.serving.auth import check_host
from votecast.serving.pool import Pool
from votecast.serving.request_limits import InFlight
from votecast.serving.settings import ServiceSettings
from votecast.serving.telemetry import Metrics, RequestLog
from votecast.serving.uvicorn_server import BoundedHttpProtocol, GracefulServer

_BACKLOG: Final = 2048
_KEEP_ALIVE: Final = 60  # seconds
_OPEN_FILES: Final = 65_536


def serve(
    judges: Mapping[str, str], settings: ServiceSettings, *, key: str | None, announce: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT, and finish the accepted requests.

    Args:
        judges: Name of each judge, and its folder or name.
        settings: The address and the limits.
        key: The API key of requests; required on any host but loopback.
        announce: Called with a line when the service listens, is ready and has stopped.

    Raises:
        ConfigError: If the host is not of this machine, or needs a key.
        ServiceError: If the port is in use, a judge cannot be loaded, or requests were not finished in time.
    """
    check_host(settings.host, key)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # each connection needs a file
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        metrics, in_flight = Metrics(), InFlight(settings.in_flight)
        log = RequestLog(sys.stderr)
        pool = Pool(judges, settings, metrics=metrics)
        metrics.follow(pool, judges, in_flight)
        config = uvicorn.Config(
            build_app(pool, settings, key=key, in_flight=in_flight, metrics=metrics, log=log, judges=list(judges)),
            access_log=False,
            backlog=_BACKLOG,
            http=BoundedHttpProtocol,
            lifespan="off",
            log_config=None,
            log_level="error",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            ws="none",
        )
        server = GracefulServer(config, in_flight, listener, settings.drain)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_run(server, pool, listener, announce))
    if not server.unfinished:
        announce("stopped")
    if server.ended_by is not None:
        sys.exit(128 + server.ended_by)
    if server.unfinished:
        raise ServiceError(
            f"{server.unfinished} requests were not finished within {settings.drain:g} s; --drain gives them longer"
        )


def listen(host: str, port: int) -> socket.socket:
    """Open a socket that listens.

    Raises:
        ConfigError: If the host is not of this machine.
        ServiceError: If the port is in use or not allowed.
    """
    name = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        family = socket.AF_INET if ipaddress.ip_address(name).version == 4 else socket.AF_INET6
        address: tuple[object, ...] = (name, port)
    except ValueError:
        try:
            family, _, _, _, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
        except (OSError, UnicodeError):
            raise ConfigError(f"--host {host} is unknown; give an address of this machine, such as 127.0.0.1") from None
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            text = f"port {port} on {host} is in use; name another by --port, or 0 for a free one"
            raise ServiceError(text) from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(f"--host {host} is no address of this machine; use 127.0.0.1 or 0.0.0.0") from None
        raise ServiceError(f"port {port} on {host} cannot be used ({error.strerror}); name another by --port") from None
    return listener


async def _run(server: GracefulServer, pool: Pool, listener: socket.socket, announce: Callable[[str], None]) -> None:
    """Run the pool and the server until a signal, or until the judges cannot be loaded."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.on_signal, number)
    host, port = listener.getsockname()[:2]

    async def watch() -> None:
        """Announce that the judges are ready; stop the server if they cannot be loaded."""
        if await pool.settled() == "ready":
            gc.freeze()  # what exists now stays: the garbage collector need not visit it
            announce(f"ready: judges {', '.join(pool.judges)}")
        await pool.failed()
        server.should_exit = True

    watching: asyncio.Task[None] | None = None
    try:
        await pool.start()
        announce(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
        watching = asyncio.ensure_future(watch())
        await server.serve(sockets=[listener])
    finally:
        if watching is not None:
            watching.cancel()
        await pool.stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    if pool.failure is not None:
        raise ServiceError(pool.failure)
