"""Start or reach a Ray cluster, keep Ray silent, and let Ctrl-C and SIGTERM through.

`RayEngine` runs within these.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated

import ray
from pydantic import Field

from votecast.config import Settings
from votecast.config.machine import usable_cores
from votecast.errors import ServiceError
from votecast.types import no_progress

_LONGEST_FOLDER = 30  # Ray puts sockets below it, whose whole path has 107 characters at most
_REPEAT_SECONDS = 1.0


class RaySettings(Settings):
    """Settings of the Ray engine.

    Args:
        address: A running cluster: auto, HOST:PORT or ray://HOST:PORT; None starts one on this machine and stops it.
        num_actors: Actors, each with one judge; None takes as many as fit the CPUs, or the GPUs if they need one.
        cpus_per_actor: CPUs of each actor. Reading asks for none: it can always go on, whatever the actors hold.
        gpus_per_actor: GPUs, or the share of one, of each actor.
        threads: Threads that each judge computes with; None shares the CPUs among the actors.
        patience: Seconds to wait until a cluster accepts this machine; it must answer at all in half of them.
        loading: Seconds to wait for the actors to be placed and to have loaded their judges.

    Example:
        >>> RaySettings().actors(cpus=2, gpus=0), RaySettings(gpus_per_actor=0.5).actors(cpus=64, gpus=4)
        (2, 8)
    """

    address: str | None = None
    num_actors: Annotated[int | None, Field(ge=1)] = None
    cpus_per_actor: Annotated[float, Field(gt=0)] = 0.5
    gpus_per_actor: Annotated[float, Field(ge=0)] = 0.0
    threads: Annotated[int | None, Field(ge=1)] = None
    patience: Annotated[float, Field(gt=0)] = 20.0
    loading: Annotated[int, Field(ge=1)] = 900

    def fitting(self, *, cpus: float, gpus: float) -> int:
        """Return how many actors these CPUs and GPUs can hold."""
        held = int(cpus / self.cpus_per_actor + 1e-9)
        return min(held, int(gpus / self.gpus_per_actor + 1e-9)) if self.gpus_per_actor else held

    def actors(self, *, cpus: float, gpus: float) -> int:
        """Return how many actors to start: at most one per CPU, unless `num_actors` is set."""
        return self.num_actors or max(1, min(self.fitting(cpus=cpus, gpus=gpus), int(cpus)))


@contextlib.contextmanager
def start_cluster(settings: RaySettings) -> Iterator[None]:
    """Run Ray during the block; a cluster that was running before keeps running.

    Raises:
        ServiceError: If it cannot be started or reached.
    """
    if ray.is_initialized():
        yield
        return
    with contextlib.ExitStack() as stack:
        options: dict[str, object] = {"address": settings.address}
        if settings.address is None:
            stack.enter_context(_on_loopback())
            folder = tempfile.gettempdir()
            short = folder if len(folder) <= _LONGEST_FOLDER else "/tmp"  # noqa: S108 - a folder of its own is made in it
            made = Path(tempfile.mkdtemp(prefix="vc-", dir=short))
            stack.callback(shutil.rmtree, made, ignore_errors=True)
            options = {"address": "local", "num_cpus": usable_cores(), "include_dashboard": False}
            options |= {"_node_ip_address": "127.0.0.1", "_temp_dir": str(made)}
        stack.callback(end_quietly, ray.shutdown)
        with _within(settings.patience if settings.address is not None else None):
            _init(options, settings.address)
        yield


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Let Ray listen on loopback only, as it does on desktops; its address option is not enough."""
    from ray._private import ray_constants

    name = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # read by the processes that Ray starts
    before, given = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(name)
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        del os.environ[name]
        if given is not None:
            os.environ[name] = given


def _init(options: dict[str, object], address: str | None) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError, AssertionError, TimeoutError, ray.exceptions.RayError) as error:
        where = "on this machine could not be started" if address is None else f"at {address} could not be reached"
        raise ServiceError(
            f"Ray {where}: {first_line(error)}; check that it runs (ray status), or drop --address to use this machine"
        ) from error
    finally:
        with contextlib.suppress(ValueError):  # not in the main thread, where Ray leaves signals alone
            signal.signal(signal.SIGTERM, before)  # Ray has taken it for itself


@contextlib.contextmanager
def _within(seconds: float | None) -> Iterator[None]:
    """Stop the block after so many seconds: Ray waits for minutes for a missing node."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def _stop(*_: object) -> None:
        raise ServiceError(
            f"the Ray cluster did not accept this machine within {seconds:g} s; run the command on a machine of the "
            "cluster, or drop --address to use this machine"
        )

    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check_reachable(address: str, patience: float) -> None:
    """Check within about `patience` seconds that a cluster answers, where Ray would take minutes.

    Raises:
        ServiceError: If no cluster answers at the address.
    """
    from ray._private import services
    from ray._raylet import GcsClient  # type: ignore[attr-defined,unused-ignore]

    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address != "auto" and not (host and port.isdigit()):
        raise ServiceError(
            f"{address!r} is not an address of a Ray cluster; allowed are auto, HOST:PORT and ray://HOST:PORT"
        )
    if host:
        _check_open(f"{host}:{port}", patience / 4)
    if address.startswith("ray://"):  # which has a time-out of its own
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

    def _ask() -> None:
        with contextlib.suppress(Exception):  # ray.init reports what is wrong
            GcsClient(address=where)

    # A port that is open and silent would keep Ray itself waiting for minutes, out of reach of signals.
    asking = threading.Thread(target=_ask, daemon=True)
    asking.start()
    asking.join(patience / 2)
    if asking.is_alive():
        raise ServiceError(
            f"no Ray cluster answers at {where}: the port is open but does not answer as Ray within {patience / 2:g} "
            "s; check host and port, or drop --address to use this machine"
        )


def _check_open(where: str, patience: float) -> None:
    host, _, port = where.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=patience).close()
    except (OSError, OverflowError) as error:
        raise ServiceError(
            f"no Ray cluster answers at {where}: {error}; check host and port, or drop --address to use this machine"
        ) from error


def end_quietly(end: Callable[..., object], *args: object) -> None:
    """Call what ends actors or the cluster; the cluster may be gone already."""
    with contextlib.suppress(Exception):
        end(*args)


def first_line(error: BaseException) -> str:
    """Return the first line of an error; Ray adds a stack trace below."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__).rstrip(".")


@contextlib.contextmanager
def silence_ray() -> Iterator[None]:
    """Hide messages and warnings of Ray during the block."""
    from ray._private import worker

    logger = logging.getLogger("ray")
    level, printer = logger.level, worker.print_to_stdstream
    logger.setLevel(logging.CRITICAL)
    worker.print_to_stdstream = no_progress  # of dead workers, to standard output, where results may go
    try:
        with _silence_native(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"ray(\.|$)")
            yield
    finally:
        logger.setLevel(level)
        worker.print_to_stdstream = printer


@contextlib.contextmanager
def _silence_native() -> Iterator[None]:
    """Drop standard error of native code, which bypasses Python's `sys.stderr`."""
    ours = sys.stderr
    try:
        is_real = ours.fileno() == 2
    except (AttributeError, OSError, io.UnsupportedOperation):
        is_real = False
    if not is_real:  # a test runner, for one, has replaced standard error
        yield
        return
    ours.flush()
    kept = os.dup(2)
    # It is never closed: a progress bar that began in the block may still hold it.
    sys.stderr = os.fdopen(os.dup(kept), "w", buffering=1, encoding=ours.encoding, errors=ours.errors)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        sys.stderr = ours
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def repeat_signals() -> Iterator[None]:
    """Repeat SIGINT and SIGTERM every second until the block ends.

    An exception that a handler raises is lost while Python runs a destructor, and Ray has many of them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    timers: list[threading.Timer] = []

    def _handle(number: int, frame: FrameType | None) -> None:
        timer = threading.Timer(_REPEAT_SECONDS, os.kill, (os.getpid(), number))
        timer.daemon = True
        timers.append(timer)
        timer.start()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, _handle)
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
