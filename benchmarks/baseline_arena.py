"""Measure the baseline on the simulated arena: excess log loss and speed.

    python benchmarks/baseline_arena.py [--rows 20000] [--seed 0]

Predictions are out of fold (five folds of near-duplicate prompts) under a cross-fitted calibrator. `--rows 57500` is
the size of the contest. Rates are of arena-length pairs (about 3 KB of text).
"""

from __future__ import annotations

import argparse
import os
import time

from votecast import train
from votecast.data.battles import Battles
from votecast.data.simulation import Truth, bayes_log_loss, simulate

ABOVE, ABOVE_AIM = 0.04, 0.02
RATE, RATE_AIM = 500, 2000
MINUTES, FULL = 10, 57_500


def timed_rate(judge: object, battles: Battles, rounds: int = 3) -> float:
    """Return pairs predicted per second, the best of some rounds."""
    best = 0.0
    for _ in range(rounds):
        start = time.perf_counter()
        judge.predict_proba(battles)  # type: ignore[attr-defined]
        best = max(best, len(battles) / (time.perf_counter() - start))
    return best


def main() -> int:
    """Print the figures; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    parts = list(simulate(options.rows, options.seed))
    battles, truth = Battles.concat([b for b, _ in parts]), Truth.concat([t for _, t in parts])
    start = time.perf_counter()
    judge = train("baseline", battles)
    minutes = (time.perf_counter() - start) / 60
    value = judge.figures["metrics"]["log_loss"]["value"]
    above = value - bayes_log_loss(truth, battles.targets())
    rate = timed_rate(judge, battles[:4000])
    budget = MINUTES * max(1.0, options.rows / FULL)
    reached = {
        f"log loss {value:.4f}, above the best possible {above:+.4f}; at most {ABOVE}, aim {ABOVE_AIM}": above <= ABOVE,
        f"trained over five folds in {minutes:.1f} min on {os.cpu_count()} cores; at most {budget:.0f}": minutes
        <= budget,
        f"{rate:,.0f} pairs predicted per second; at least {RATE}, aim {RATE_AIM}": rate >= RATE,
    }
    for line, fine in reached.items():
        print(f"{line}: {'reached' if fine else 'MISSED'}")
    return int(not all(reached.values()))


if __name__ == "__main__":
    raise SystemExit(main())
