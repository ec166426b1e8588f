"""Run real `votecast serve` processes that end with their test."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 120.0
"""Seconds before a test gives up on a service; machines are shared and loaded."""

_LISTENING = re.compile(r"listening on http://\S+:(\d+)")


def wait_for(done: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Poll until a value is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.02)
    return found


class Service:
    """One `votecast serve` process and its children.

    Args:
        words: Options of the command.
        env: Further environment variables.
        key: API key that requests made through this object carry.
        port: Port to listen on; 0 takes a free one.
    """

    def __init__(
        self, *words: object, env: Mapping[str, str] | None = None, key: str | None = None, port: int = 0
    ) -> None:
        command = [sys.executable, "-m", "votecast", "serve", *map(str, words), "--port", str(port)]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | dict(env or {}),
            start_new_session=True,
        )
        self.key = key
        self.lines: list[str] = []
        self.url = ""
        self.port = 0
        self._seen: set[int] = set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        """Return its standard error so far."""
        return "\n".join(self.lines)

    @property
    def log(self) -> list[dict[str, Any]]:
        """Return its log: one JSON object per request."""
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    @property
    def pid(self) -> int:
        """Return the process id of the server."""
        return self.process.pid

    def listening(self) -> Service:
        """Wait until it listens."""

        def found() -> re.Match[str] | None:
            assert self.process.poll() is None, f"votecast serve ended with {self.process.poll()}: {self.output}"
            return _LISTENING.search(self.output)

        self.port = int(wait_for(found, "listening")[1])
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def ready(self) -> Service:
        """Wait until the judges are loaded."""
        self.listening()
        with self.client() as client:

            def answers() -> bool:
                assert self.process.poll() is None, f"votecast serve ended with {self.process.poll()}: {self.output}"
                with contextlib.suppress(httpx.TransportError):
                    return client.get("/ready").status_code == 200
                return False

            wait_for(answers, "ready")
        self.workers()
        return self

    def client(self, **options: Any) -> httpx.Client:
        """Return an HTTP client with the key of this service."""
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE, trust_env=False, **options)

    def workers(self) -> list[int]:
        """Return the scoring processes, oldest first, then the spare one."""
        found = [pid for pid in _descendants(self.pid) if b"votecast.serving.worker" in _command(pid)]
        self._seen.update(found)
        return sorted(found, key=_started)

    def orphans(self) -> list[int]:
        """Return workers that outlived the server."""
        return [pid for pid in self._seen if b"votecast.serving.worker" in _command(pid)]

    def terminate(self) -> None:
        """Send SIGTERM to the server."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(10)
        return code

    def kill(self) -> None:
        """Kill the server and all workers at once."""
        with contextlib.suppress(OSError):
            self.workers()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in self.orphans():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self._reader.join(10)
        if self.process.stderr is not None:
            self.process.stderr.close()


Start = Callable[..., Service]
"""Starts a service of a test's own."""


@contextlib.contextmanager
def serving(*words: object, **options: Any) -> Iterator[Service]:
    """Run a service until the block ends.

    Args:
        words: Options of `votecast serve`; `--port 0` is added.
        options: Of `Service`.
    """
    service = Service(*words, **options)
    try:
        yield service.ready()
    finally:
        service.kill()


def _descendants(pid: int) -> list[int]:
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, tasks.read_text().split()):
                found += [child, *_descendants(child)]
    return found


def _started(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return 0


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
