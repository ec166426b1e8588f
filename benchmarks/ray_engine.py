"""Measure the Ray engine's throughput and check its bytes after kills.

    python benchmarks/ray_engine.py [--rows 65536] [--files 4] [--judge bundled:baseline] [--part-rows 4096]

Pace: one process and one actor with as many threads predict the same files, one after the other, `--rounds` times in
turn. The clock runs from the end of the first part to the end of the last, in both: start-up, of Ray or of the judge,
is not in it. To be reached is 0.85 of the pace of one process, aimed at is the whole. The pace of two actors is printed
too; their first parts end at about the same time, so that it is a little too high.

Kills: a cluster with two nodes of two CPUs each is started on this machine, its ports on loopback. During a run of two
actors a worker process is killed once some parts are there, and the raylet of the second node once there are some more;
the folder must have the bytes of the local engine's.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray then listens on loopback alone
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray.cluster_utils import Cluster

from votecast import load_judge
from votecast.config.machine import usable_cores
from votecast.jobs.parts import PartsEngine
from votecast.jobs.predict_folder import predict_folder
from votecast.jobs.ray import RayEngine, RaySettings

REACH, AIM = 0.85, 1.0


def pace_of(out: Path) -> float:
    """Return rows per second between the ends of first and last part."""
    parts = json.loads((out / "manifest.json").read_text())["parts"]
    ends = sorted(((out / part["name"]).stat().st_mtime_ns, part["rows"]) for part in parts)
    return sum(rows for _, rows in ends[1:]) / ((ends[-1][0] - ends[0][0]) / 1e9)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def simulate(folder: Path, files: int, rows: int) -> list[str]:
    """Write files of battles with arena-like lengths."""
    paths = [str(folder / f"pairs{number}.parquet") for number in range(files)]
    for seed, path in enumerate(paths):
        words = ["simulate", "--rows", str(rows // files), "--seed", str(seed), "--no-votes", "--out", path]
        subprocess.run([sys.executable, "-m", "votecast", *words], check=True, capture_output=True)
    return paths


class Bench:
    """One judge and one set of files.

    Args:
        asked: Options of the command line.
        folder: Where everything lies.
    """

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        self.judge, self.name, self.part_rows = load_judge(asked.judge), asked.judge, asked.part_rows
        self.folder, self.files = folder, simulate(folder, asked.files, asked.rows)
        self._runs = 0

    def run(self, engine: PartsEngine | None, **options: Any) -> tuple[Path, float]:
        """Predict all files; return the folder and rows per second."""
        self._runs += 1
        out = self.folder / f"out{self._runs}"
        predict_folder(self.judge, self.files, out, part_rows=self.part_rows, engine=engine, **options)
        return out, pace_of(out)

    def ray(self, **settings: Any) -> RayEngine:
        """Return the engine."""
        return RayEngine(self.judge, self.name, RaySettings(**settings))


def pace(bench: Bench, rounds: int) -> float:
    """Print the throughput; return one actor's share of one process."""
    cores = usable_cores()
    found: dict[str, list[float]] = {"one process": [], "one actor": [], "two actors": []}
    engines: dict[str, Callable[[], PartsEngine | None]] = {
        "one process": lambda: None,
        "one actor": lambda: bench.ray(num_actors=1, threads=cores),
        "two actors": lambda: bench.ray(num_actors=2),
    }
    expected: dict[str, bytes] = {}
    for _ in range(rounds):
        for name, engine in engines.items():
            out, rows = bench.run(engine())
            found[name].append(rows)
            expected = expected or bytes_of(out)
            if bytes_of(out) != expected:
                raise SystemExit(f"{name}: other bytes than one process")
    middle = {name: statistics.median(rows) for name, rows in found.items()}
    for name, rows in middle.items():
        print(f"{name:12} {rows:10,.1f} rows/s   {rows / middle['one process']:.2f} of one process", flush=True)
    ratio = middle["one actor"] / middle["one process"]
    print(f"ratio {ratio:.2f} (reach {REACH}, aim {AIM}); same bytes in all {rounds * len(engines)} runs", flush=True)
    return ratio


def processes(word: str) -> Iterator[int]:
    """Return processes of this user whose name holds a word."""
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and word in (folder / "cmdline").read_bytes().decode("utf-8", "replace"):
                yield int(folder.name)
        except OSError:
            continue


def parent(pid: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def kills(bench: Bench) -> bool:
    """Return whether the bytes match after two kills on two nodes."""
    expected = bytes_of(bench.run(None)[0])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=2)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.CRITICAL)
        raylet = second.all_processes["raylet"][0].process.pid
        ours = {raylet, cluster.head_node.all_processes["raylet"][0].process.pid}
        out, messages = bench.folder / f"out{bench._runs + 1}", list[str]()
        killing = threading.Thread(target=strike, args=(out, raylet, ours, messages), daemon=True)
        killing.start()
        bench.run(bench.ray(num_actors=2, address=cluster.address))
        killing.join(1)
        same = bytes_of(out) == expected
        print(f"{'; '.join(messages)}: {'the same bytes' if same else 'OTHER BYTES'}", flush=True)
        return same and len(messages) == 2
    finally:
        ray.shutdown()
        cluster.shutdown()


def strike(out: Path, raylet: int, ours: set[int], messages: list[str]) -> None:
    """Kill a worker after two parts and the second raylet after four."""
    for parts, target in ((2, "worker"), (4, "raylet")):
        while len(list(out.glob("part-*"))) < parts:
            time.sleep(0.02)
        actors = [pid for pid in processes("MapWorker") if parent(pid) in ours]
        there = sum(parent(pid) == raylet for pid in actors)
        pid = actors[0] if target == "worker" else raylet
        os.kill(pid, signal.SIGKILL)
        messages.append(f"killed a {target} after {parts} parts ({there} of {len(actors)} actors on the second node)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=65_536)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--judge", default="bundled:baseline")
    parser.add_argument("--part-rows", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["pace", "kills"])
    asked = parser.parse_args()
    reached = True
    with tempfile.TemporaryDirectory(prefix="vc-") as name:
        bench = Bench(asked, Path(name))
        if asked.only != "kills":
            reached = pace(bench, asked.rounds) >= REACH
        if asked.only != "pace":
            reached = kills(bench) and reached
    return int(not reached)


if __name__ == "__main__":
    sys.exit(main())
