"""The front process of `votecast serve`: listens, starts the workers, and shuts down without losing a request.

The command line calls `serve`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import os
import resource
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
_OPEN_FILES: Final = 65_536


def serve(
    judges: Mapping[str, str], settings: ServiceSettings, *, key: str | None, announce: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT, and finish the accepted requests.

    Args:
        judges: Name of each judge, and its folder or name.
        settings: The address and the limits.
        key: The API key of requests; required on any host but loopback.
        announce: Receives a line when the service listens, is ready and has stopped.

    Raises:
        ConfigError: If the host is not of this machine, or needs a key.
        ServiceError: If the port is in use, a judge cannot be loaded, or requests were not finished in time.
    """
    check_host(settings.host, key)
    # each connection needs an open file, and the soft limit is often 1,024
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        metrics, in_flight = Metrics(), InFlight(settings.in_flight)
        pool = Pool(judges, settings, metrics)
        metrics.follow(pool, judges, in_flight)
        log = RequestLog(sys.stderr)
        config = uvicorn.Config(
            build_app(pool, settings, key=key, in_flight=in_flight, metrics=metrics, log=log, judges=list(judges)),
            access_log=False,
            http=BoundedHttpProtocol,
            lifespan="off",
            log_config=None,
            log_level="error",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=60,
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
    """Open a socket that listens, or raise what to change."""
    name = "127.0.0.1" if host == "localhost" else host.strip("[]")
    address: tuple[object, ...] = (name, port)
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(name).version == 6 else socket.AF_INET
    except ValueError:
        try:
            family, _, _, _, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
        except (OSError, UnicodeError):
            raise ConfigError(f"--host {host} is unknown; give an address of this machine, such as 127.0.0.1") from None
    try:
        dual = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        listener = socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=dual)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            text = f"port {port} on {host} is in use; name another by --port, or 0 for a free one"
            raise ServiceError(text) from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(f"--host {host} is no address of this machine; use 127.0.0.1 or 0.0.0.0") from None
        reason = os.strerror(error.errno or 0)
        raise ServiceError(f"port {port} on {host} cannot be used ({reason}); name another by --port") from None
    listener.setblocking(False)
    return listener


async def _run(server: GracefulServer, pool: Pool, listener: socket.socket, announce: Callable[[str], None]) -> None:
    """Run the pool and the server until a signal or a failed start."""

    async def watch() -> None:
        """Announce what the service does; stop the server if the judges cannot be loaded."""
        # a task of its own, which starts once the server handles signals
        host, port = listener.getsockname()[:2]
        announce(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
        if await pool.settled() == "ready":
            # what exists now stays: the garbage collector need not visit it
            gc.freeze()
            announce(f"ready: judges {', '.join(pool.judges)}")
        server.should_exit = pool.state == "failed" or server.should_exit

    pool.start()
    watching = asyncio.ensure_future(watch())
    try:
        await server.serve(sockets=[listener])
    finally:
        watching.cancel()
        await pool.stop()
    if pool.failure:
        raise ServiceError(pool.failure)
