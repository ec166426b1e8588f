"""Run the service in a process; measure workers, CPU and memory."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import _load
from _load import Plan

Floats = NDArray[np.float64]
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
_LISTENING = re.compile(r"listening on http://[^:]+:(\d+)")


@dataclass(frozen=True)
class Outcome:
    """Outcomes of a load; times from `time.monotonic`, arrays in response order.

    Args:
        planned: When each was to be sent.
        sent: When it was sent.
        done: When it had its answer, or was lost.
        status: Its status, or `_load.LOST` or `_load.REFUSED`.
        request: Which line of the file of requests it was.
        answers: Bodies of the answers, where they were kept.
        cpu: Seconds of CPU that the generator took.
        begun: When the first request could be sent.
    """

    planned: Floats
    sent: Floats
    done: Floats
    status: Floats
    request: Floats
    answers: list[str]
    cpu: float
    begun: float

    def __len__(self) -> int:
        return len(self.status)

    def count(self, *statuses: int) -> int:
        """Count requests that ended in one of these ways."""
        return int(np.isin(self.status, statuses).sum())

    @property
    def seconds(self) -> float:
        """Return the seconds from the first request to the last response."""
        return float(self.done.max() - self.begun)

    def latency(self, percentile: float) -> float:
        """Return a percentile of the latency since the planned time, in seconds."""
        fine = self.status == 200
        return float(np.percentile((self.done - self.planned)[fine], percentile)) if fine.any() else float("nan")

    def summary(self) -> str:
        """Return how many requests ended in which way."""
        names = {_load.LOST: "lost", _load.REFUSED: "no connection"}
        kinds, counts = np.unique(self.status.astype(int), return_counts=True)
        return ", ".join(
            f"{names.get(int(kind), int(kind))}: {count:,}" for kind, count in zip(kinds, counts, strict=True)
        )


class Load:
    """A load that runs in a separate process.

    Args:
        plan: What to send.
    """

    def __init__(self, plan: Plan) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen([sys.executable, _load.__file__], stdin=subprocess.PIPE)
        assert self.process.stdin is not None
        job = asdict(plan) | {"requests": str(plan.requests), "out": self.folder.name}
        self.process.stdin.write(json.dumps(job).encode())
        self.process.stdin.close()

    def outcome(self) -> Outcome:
        """Wait for the load to end and return its outcome."""
        if self.process.wait():
            raise SystemExit("the generator of load failed")
        out = Path(self.folder.name)
        columns = {name: np.fromfile(out / name) for name in _load.FIELDS}
        answers = json.loads((out / "answers").read_text("utf-8")) if (out / "answers").exists() else []
        facts = json.loads((out / "facts").read_text("utf-8"))
        self.folder.cleanup()
        return Outcome(answers=answers, cpu=facts["cpu"], begun=facts["begun"], **columns)


def load(plan: Plan) -> Outcome:
    """Run a plan."""
    return Load(plan).outcome()


class Service:
    """A server process that prints its address; stopped when the block ends.

    Args:
        command: The words that start it.
        environment: Further variables of its environment.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self.command, self.environment = command, os.environ | (environment or {})
        self.port = 0

    @classmethod
    def votecast(cls, judges: Sequence[str], *options: str) -> Self:
        """Start `votecast serve` on a free port."""
        words = [word for judge in judges for word in ("--judge", judge)]
        return cls([sys.executable, "-m", "votecast", "serve", *words, "--port", "0", *options])

    def __enter__(self) -> Self:
        self.words = tempfile.TemporaryFile("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=self.words, env=self.environment
        )
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the process and wait for it to exit."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def stderr_text(self) -> str:
        """Return its standard error without the access log."""
        self.words.seek(0)
        return "".join(line for line in self.words if not line.startswith("{"))

    def get(self, route: str) -> tuple[int, str]:
        """Return status and body of a GET request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", route)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Wait until it listens and every judge is loaded."""
        end = time.monotonic() + seconds
        while not self.is_ready():
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit("the service did not become ready:\n" + self.stderr_text())
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Return whether it reports that every judge is loaded."""
        found = None if self.port else _LISTENING.search(self.stderr_text())
        self.port = int(found[1]) if found else self.port
        try:
            return bool(self.port) and self.get("/ready")[0] == 200
        except OSError:
            return False

    def workers_ready(self) -> int:
        """Return the number of ready workers; 0 if unknown."""
        status, body = self.get("/ready")
        return int(json.loads(body)["workers"]) if status == 200 else 0

    def workers(self) -> list[int]:
        """Return the process ids of the workers and of any spare one."""
        return children(self.process.pid)

    def busiest(self, count: int) -> list[int]:
        """Return the process ids of the workers with most CPU time."""
        return sorted(self.workers(), key=cpu_of)[-count:]

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds of the server and its live workers."""
        workers = [cpu_of(pid) for pid in self.workers()]
        return {"front": cpu_of(self.process.pid), "workers": sum(workers)}

    def memory(self) -> dict[str, int]:
        """Return the resident bytes of the server and of all workers."""
        return {"front": memory_of(self.process.pid), "workers": sum(map(memory_of, self.workers()))}


def simulated(rows: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return simulated pairs without votes and without empty responses."""
    from votecast.data.simulation import simulate

    found: list[dict[str, Any]] = []
    for battles, _ in simulate(rows + rows // 50 + 8, seed):
        names = ("id", "prompt", "response_a", "response_b")
        found += [{name: row[name] for name in names} for row in battles.table.to_pylist()]
    sides = ("prompt", "response_a", "response_b")
    return [row for row in found if all(any((turn or "").strip() for turn in row[side]) for side in sides)][:rows]


def children(pid: int) -> list[int]:
    """Return the live child processes of a process."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            fields = _stat(int(folder.name))
            if fields and int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(folder.name))
    return sorted(found)


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process; 0 if it has ended."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def memory_of(pid: int) -> int:
    """Return the resident bytes of a process; 0 if it has ended."""
    fields = _stat(pid)
    return int(fields[21]) * PAGE if fields else 0


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; empty if ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []


def word(reached: bool) -> str:
    """Return how a reached or missed mark is printed."""
    return "reached" if reached else "MISSED"
