"""Measure time and memory of the baseline at contest size.

    python benchmarks/baseline_speed.py [--rows 57500] [--seed 0]

Training covers everything: near-duplicate prompts, features, five folds and the refit, calibration, figures. CPU time
and the load of the machine are printed beside wall time, because other work on the machine inflates it.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time

from votecast import train
from votecast.data.battles import Battles
from votecast.data.simulation import simulate

MINUTES, FULL = 10, 57_500
RATE, RATE_AIM = 500, 2000
MEGABYTE = 2**20


def peak_memory() -> float:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MEGABYTE


def rates(judge: object, battles: Battles, rounds: int = 3) -> list[float]:
    """Return pairs predicted per second in each round."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        judge.predict_proba(battles)  # type: ignore[attr-defined]
        found.append(len(battles) / (time.perf_counter() - start))
    return sorted(found)


def main() -> int:
    """Print the figures; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    battles = Battles.concat([part for part, _ in simulate(options.rows, options.seed)])
    held, size = peak_memory(), battles.table.nbytes / MEGABYTE
    load = os.getloadavg()[0]
    wall, cpu = time.perf_counter(), time.process_time()
    judge = train("baseline", battles)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{len(battles)} pairs, {size:.0f} MB of text; {os.cpu_count()} cores, load {load:.1f} before the start")
    print(f"peak memory {peak_memory():.0f} MB, of which {held:.0f} MB before training")
    slow, middle, fast = rates(judge, battles[:8000])
    budget = MINUTES * max(1.0, options.rows / FULL)
    reached = {
        f"trained over five folds in {wall / 60:.1f} min, {cpu / 60:.1f} min of CPU; at most {budget:.0f} min": wall
        <= 60 * budget,
        f"{middle:,.0f} pairs predicted/s ({slow:,.0f} to {fast:,.0f}); at least {RATE}, aim {RATE_AIM}": middle
        >= RATE,
    }
    for line, fine in reached.items():
        print(f"{line}: {'reached' if fine else 'MISSED'}")
    return int(not all(reached.values()))


if __name__ == "__main__":
    raise SystemExit(main())
