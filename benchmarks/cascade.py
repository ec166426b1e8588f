"""Measure loss and speed-up of a cascade of both bundled judges.

    python benchmarks/cascade.py --data DIR [--votes dev_autoj dev_pandalm] [--judges bundled:baseline bundled:encoder]
                                 [--max-loss 0.002] [--limit N]

The frontier: every row is predicted under thresholds that were fitted on other prompts. "measured" is the whole
procedure, choice and all, run on the other folds of prompts: what an allowance of so much log loss really costs on rows
it was not fitted on. Times are medians over parts of the same votes in the same run. At last the cascade and its last
judge are asked for the same rows in turns, and the best of two rounds counts: the speed-up as it is, not as it is
reckoned.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from _votes import DEVELOPMENT, data_parser, folder_or_leave
from votecast import load_judge, read_votes
from votecast.judges.cascade import cascade

REACH, AIM = 0.002, 1.5
TIMED = 256


def seconds_of(judge: Any, battles: Any) -> float:
    """Return the seconds for these rows."""
    start = time.perf_counter()
    judge.predict_proba(battles)
    return time.perf_counter() - start


def really(judge: Any, last: Any, battles: Any) -> float:
    """Measure the speed-up of the cascade over its last judge."""
    best = [float("inf")] * 2
    for _ in range(2):
        for place, asked in enumerate((judge, last)):
            best[place] = min(best[place], seconds_of(asked, battles))
    return best[1] / best[0]


def shown(point: dict[str, Any]) -> str:
    """Format one line of the frontier."""
    cost = point["cost"]
    on = " ".join(f"{share:7.1%}" for share in point["goes_on"])
    ends = f"({cost['low']:+.4f} to {cost['high']:+.4f})"
    return f"{on} {point['log_loss']:9.4f} {cost['value']:+9.4f} {ends:22} {point['speed_up']:9.2f}"


def measure(path: Path, asked: argparse.Namespace) -> bool:
    """Print the frontier of one file; return whether the loss is allowed."""
    battles = read_votes(path, labels="required", limit=asked.limit)
    judges = [load_judge(name) for name in asked.judges]
    start = time.perf_counter()
    judge = cascade(judges, battles, max_loss=asked.max_loss)
    found = judge.notes["cascade"]
    print(f"\n{path.name}: {found['rows']:,} votes, {found['prompts']:,} prompts; {time.perf_counter() - start:.0f} s")
    for one in found["judges"]:
        print(f"  {one['label']:10} log loss {one['log_loss']:.4f}, {one['seconds_per_1000']:.3g} s for 1,000 rows")
    for text in found["remarks"]:
        print(f"  note: {text}")
    print(f"\n  {'goes on':>7} {'log loss':>9} {'cost':>9} {'95 %':22} {'times':>9}")
    for place, point in enumerate(found["frontier"]):
        print(f"{'>' if place == found['chosen'] else ' '} {shown(point)}")
    measured = found["measured"]
    print(f"measured, asked for a cost of at most {asked.max_loss:g}:\n  {shown(measured)}")
    print(f"asked for {min(TIMED, len(battles))} rows in turns: {really(judge, judges[-1], battles[:TIMED]):.2f} x")
    fine = bool(measured["cost"]["value"] <= asked.max_loss)
    word = "reached" if fine else "MISSED"
    fast = "reached" if measured["speed_up"] >= AIM else "MISSED"
    print(f"cost at most {asked.max_loss:g}: {word}; aim {AIM} x: {fast}", flush=True)
    return fine


def main() -> int:
    """Print the frontiers; return 1 if the first file misses its mark."""
    parser = data_parser(__doc__)
    parser.add_argument("--votes", nargs="+", default=list(DEVELOPMENT))
    parser.add_argument("--judges", nargs="+", default=["bundled:baseline", "bundled:encoder"])
    parser.add_argument("--max-loss", type=float, default=REACH)
    parser.add_argument("--limit", type=int, help="only so many rows, for a quick look")
    asked = parser.parse_args()
    folder = folder_or_leave(asked.data)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    first, *_ = [measure(folder / f"{name}.jsonl.gz", asked) for name in asked.votes]
    return int(not first)


if __name__ == "__main__":
    sys.exit(main())
