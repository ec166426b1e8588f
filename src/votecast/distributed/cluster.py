"""Ray without its noise: started on this machine and stopped again, or reached where it runs."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray

from votecast.distributed.settings import RaySettings
from votecast.errors import ServiceError
from votecast.machine import usable_cores

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
        if settings.address is None:
            options = _local(stack)
        else:
            _check_reachable(settings.address, settings.patience)
            options = {"address": settings.address}
        stack.callback(_leave)
        _enter(options, settings.address)
        yield


def quiet() -> None:
    """Let Ray Data say nothing: no bars, no plans, no warnings about them."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for handler in logging.getLogger("ray.data").handlers:
        handler.setLevel(logging.CRITICAL)


def _local(stack: contextlib.ExitStack) -> dict[str, Any]:
    """Options of a cluster of this machine alone, reached over loopback."""
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


def _leave() -> None:
    with contextlib.suppress(Exception):
        ray.shutdown()


def _check_reachable(address: str, patience: float) -> None:
    """Find out in seconds what Ray would find out in minutes.

    Raises:
        ServiceError: If nothing answers at the address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local") or "://" in address.removeprefix("ray://"):
        return
    if not host or not port.isdigit():
        raise ServiceError(
            f"{address!r} is no address of a Ray cluster; allowed are auto, HOST:PORT and ray://HOST:PORT"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=patience / 2).close()
    except (OSError, OverflowError) as error:
        raise ServiceError(
            f"no Ray cluster answers at {address}: {error}; check host and port, or drop --address to use this machine"
        ) from error


def first_line(error: BaseException) -> str:
    """What an error says first; what Ray adds below is for its developers."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__).rstrip(".")
