"""Ray without its noise: started on this machine and stopped again, or reached where it runs."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray

from votecast.config.machine import usable_cores
from votecast.errors import ServiceError
from votecast.jobs.ray.settings import RaySettings

_LONGEST_FOLDER = 30  # Ray puts sockets below it, whose whole path has 107 characters at most


@contextlib.contextmanager
def cluster(settings: RaySettings) -> Iterator[None]:
    """Ray for as long as the block lasts; a cluster that was running before runs on.

    Raises:
        ServiceError: If it cannot be started or reached.
    """
    if ray.is_initialized():
        yield
        return
    with contextlib.ExitStack() as stack:
        options = _local(stack) if settings.address is None else {"address": settings.address}
        stack.callback(_leave)
        with _within(settings.patience if settings.address is not None else None):
            _enter(options, settings.address)
        yield


def _local(stack: contextlib.ExitStack) -> dict[str, Any]:
    """Options of a cluster of this machine alone, whose ports are open to this machine alone."""
    stack.enter_context(_on_loopback())
    folder = tempfile.gettempdir()
    short = folder if len(folder) <= _LONGEST_FOLDER else "/tmp"  # noqa: S108 - a folder of its own is made in it
    made = Path(tempfile.mkdtemp(prefix="vc-", dir=short))
    stack.callback(shutil.rmtree, made, ignore_errors=True)
    return {
        "address": "local",
        "num_cpus": usable_cores(),
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": str(made),
    }


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Let Ray listen on loopback and nowhere else, as it does on desktops; giving it that address is not enough."""
    from ray._private import ray_constants

    name = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    before, asked = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(name)
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        if asked is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = asked


def _enter(options: dict[str, Any], address: str | None) -> None:
    heard = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError, AssertionError, TimeoutError, ray.exceptions.RayError) as error:
        where = "on this machine could not be started" if address is None else f"at {address} could not be reached"
        raise ServiceError(
            f"Ray {where}: {first_line(error)}; check that it runs (ray status), or drop --address to use this machine"
        ) from error
    finally:
        with contextlib.suppress(ValueError):  # not in the main thread, where Ray leaves signals alone
            signal.signal(signal.SIGTERM, heard)  # Ray has taken it for itself


@contextlib.contextmanager
def _within(seconds: float | None) -> Iterator[None]:
    """Stop the block after so many seconds: Ray waits for minutes for a node that is not there.

    Raises:
        ServiceError: If it takes longer.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise ServiceError(
            f"the Ray cluster did not take this machine in within {seconds:g} s; run the command on a machine of the "
            "cluster, or drop --address to use this machine"
        )

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _leave() -> None:
    with contextlib.suppress(Exception):
        ray.shutdown()


def check_reachable(address: str, patience: float) -> None:
    """Find out in seconds what Ray would find out in minutes.

    Args:
        address: As of `RaySettings`.
        patience: Seconds to wait at most, about.

    Raises:
        ServiceError: If no cluster answers at the address.
    """
    from ray._private import services

    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address != "auto" and not (host and port.isdigit()):
        raise ServiceError(
            f"{address!r} is no address of a Ray cluster; allowed are auto, HOST:PORT and ray://HOST:PORT"
        )
    if host:
        _check_open(f"{host}:{port}", patience / 4)
    if address.startswith("ray://"):  # which has a patience of its own
        return
    where = ""
    with contextlib.suppress(ConnectionError):  # there is none
        where = services.canonicalize_bootstrap_address(address) or ""  # Ray takes loopback for this machine's address
    if not where:
        raise ServiceError(
            "no Ray cluster runs on this machine; start one (ray start --head), name its address (HOST:PORT), or drop "
            "--address to let votecast start one"
        )
    _check_open(where, patience / 4)
    _check_is_ray(where, patience / 2)


def _check_open(where: str, patience: float) -> None:
    host, _, port = where.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=patience).close()
    except (OSError, OverflowError) as error:
        raise ServiceError(
            f"no Ray cluster answers at {where}: {error}; check host and port, or drop --address to use this machine"
        ) from error


def _check_is_ray(address: str, patience: float) -> None:
    """Refuse a port that is open and silent, at which Ray itself would wait for minutes.

    Raises:
        ServiceError: If it is.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined,unused-ignore]

    asking = threading.Thread(target=_ask, args=(GcsClient, address), daemon=True)
    asking.start()
    asking.join(patience)
    if asking.is_alive():
        raise ServiceError(
            f"no Ray cluster answers at {address}: what is there does not speak as Ray does within {patience:g} s; "
            "check host and port, or drop --address to use this machine"
        )


def _ask(client: Callable[..., object], address: str) -> None:
    with contextlib.suppress(Exception):  # what is wrong there, ray.init says in its own words
        client(address=address)


def first_line(error: BaseException) -> str:
    """What an error says first; what Ray adds below is for its developers."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__).rstrip(".")
