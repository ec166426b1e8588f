"""Run commands through `accelerate launch --config_file FILE -m votecast ...`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from votecast.recipes import launch_path


def start(file: str, *words: object, module: str = "votecast") -> subprocess.Popen[str]:
    """Start one process, or two through a shipped accelerate file."""
    known = {name: value for name, value in os.environ.items() if name not in {"RANK", "WORLD_SIZE", "LOCAL_RANK"}}
    launch = ["-m", "accelerate.commands.launch", "--config_file", str(launch_path(file))] if file else []
    command = [sys.executable, *launch, "-m", module, *map(str, words)]
    environment = known | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error."""
    try:
        out, err = process.communicate(timeout=900)
    finally:
        process.kill()
    return process.returncode, out, err


def kill_process(of: subprocess.Popen[str], rank: int, *, once: Path) -> None:
    """Kill one of the processes once a path exists."""
    until = time.monotonic() + 600
    while not list(once.parent.glob(once.name)):
        assert of.poll() is None, "it has ended before"
        assert time.monotonic() < until
        time.sleep(0.005)
    os.kill(_process(of.pid, rank), signal.SIGKILL)


def curve(judge: Path) -> dict[str, list[float]]:
    """Return the metrics of the first member by name."""
    lines = [json.loads(line) for line in (judge / "members" / "0" / "metrics.jsonl").read_text().splitlines()]
    return {key: [line[key] for line in lines if key in line] for key in ("loss", "grad_norm", "log_loss")}


def errors(reported: str) -> list[str]:
    """Return votecast's error messages in the output of a launcher."""
    return re.findall(r"^error: .*", reported, re.MULTILINE)


def largest_gap(one: Any, other: Any) -> float:
    """Return the largest difference between numbers."""
    return max((abs(a - b) for a, b in zip(one, other, strict=True)), default=0.0)


def _process(launcher: int, rank: int) -> int:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == launcher and f"RANK={rank}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                return int(folder.name)
        except (OSError, ValueError):
            continue
    raise AssertionError(f"no process {rank} of {launcher}")
