"""Time reading an LMSYS file beside pandas with `json.loads` and with `eval`.

A file of simulated votes is written first. The texts of all three readers are compared before anything is timed, a
small file is read by each before the clock starts, and the readers then take turns.

    python benchmarks/reading.py [--rows 57500] [--rounds 5] [--file votes.csv]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from votecast.data import Battles, read_votes
from votecast.data.battles import TEXT_COLUMNS
from votecast.data.simulation import write_simulation

REACH, AIM = 1.5, 3.0
_SURROGATE = re.compile("[\ud800-\udfff]")


def with_json(path: Path) -> pd.DataFrame:
    """Read every cell with json.loads, as the peer does."""
    frame = pd.read_csv(path)
    for name in TEXT_COLUMNS:
        frame[name] = frame[name].map(json.loads)
    return frame


def with_eval(path: Path) -> pd.DataFrame:
    """Read cells with eval, as notebooks do; on simulated text only."""
    frame = pd.read_csv(path)
    for name in TEXT_COLUMNS:
        frame[name] = [eval(cell, {"null": None, "__builtins__": {}}) for cell in frame[name]]
    return frame


READERS: dict[str, Callable[[Path], Any]] = {
    "votecast": read_votes,
    "pandas + json.loads": with_json,
    "pandas + eval": with_eval,
}


def differing_texts(battles: Battles, frame: pd.DataFrame) -> int:
    """Return cells that differ from the peer; lone surrogates count as U+FFFD."""
    wrong = 0
    for name in TEXT_COLUMNS:
        for ours, theirs in zip(battles.column(name).to_pylist(), frame[name], strict=True):
            wrong += ours != [turn and _SURROGATE.sub("\ufffd", turn) for turn in theirs]
    return wrong


def measure(path: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return wall and CPU seconds of every reader, taken in turn."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in READERS}
    for number in range(rounds):
        for name, read in READERS.items():
            if name == "pandas + eval" and number > 1:
                continue
            gc.collect()
            wall, processor = time.perf_counter(), time.process_time()
            table = read(path)
            times[name].append((time.perf_counter() - wall, time.process_time() - processor))
            del table
    return times


def report(times: dict[str, list[tuple[float, float]]], size: int) -> float:
    """Print the table; return the ratio to the peer."""
    medians = {name: statistics.median(wall for wall, _ in found) for name, found in times.items()}
    print(f"{'':22}{'median':>9}{'fastest':>9}{'processor':>11}{'MB/s':>8}{'votecast is faster':>20}")
    for name, found in times.items():
        fastest, processor = min(wall for wall, _ in found), statistics.median(cpu for _, cpu in found)
        ratio = medians[name] / medians["votecast"]
        speed = size / medians[name] / 1e6
        print(f"{name:22}{medians[name]:8.2f}s{fastest:8.2f}s{processor:10.2f}s{speed:8.0f}{ratio:19.2f}x")
    return medians["pandas + json.loads"] / medians["votecast"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=57_500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--file", type=Path, help="a file in the LMSYS columns that was simulated before")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, path = Path(folder) / "small.csv", asked.file or Path(folder) / "votes.csv"
        write_simulation(small, 500, seed=1)
        if asked.file is None:
            write_simulation(path, asked.rows, seed=0)
        for read in READERS.values():
            read(small)
        wrong = differing_texts(read_votes(path), with_json(path))
        size = path.stat().st_size
        print(f"{size / 1e6:.0f} MB, {os.cpu_count()} cores; cells whose text differs from the peer's: {wrong}")
        ratio = report(measure(path, asked.rounds), size)
    print(f"{ratio:.2f} times as fast as pandas + json.loads; to reach: {REACH}, aim: {AIM}")
    return int(wrong > 0 or ratio < REACH)


if __name__ == "__main__":
    sys.exit(main())
