"""Count statuses of thousands of requests generated from the OpenAPI description.

No answer may have a status of 500 or more, and every answer must match the description. Needs schemathesis.

Usage: python benchmarks/service_fuzz.py [--examples 500] [--seeds 2] [--judge bundled:baseline]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from _fuzz import Findings, fuzz
from _service import Service


def show(found: Findings, seconds: float) -> None:
    """Print the responses by operation, kind of data and status."""
    rows: dict[str, dict[str, Counter[int]]] = {}
    for (label, mode, status), count in found.statuses.items():
        rows.setdefault(label, {}).setdefault(mode, Counter())[status] += count
    print(f"{found.count():,} requests in {seconds:.0f} s")
    for label in sorted(rows):
        for mode in sorted(rows[label]):
            reported = ", ".join(f"{status}: {count:,}" for status, count in sorted(rows[label][mode].items()))
            print(f"  {label:24} {mode:9} {reported}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=500, help="most made-up requests for each operation")
    parser.add_argument("--seeds", type=int, default=1, help="how many times, each with another seed")
    parser.add_argument("--judge", default="bundled:baseline")
    asked = parser.parse_args()
    bad = faults = busy = 0
    with Service.votecast([asked.judge], "--workers", "2") as service:
        for seed in range(asked.seeds):
            start = time.perf_counter()
            found = fuzz(f"http://127.0.0.1:{service.port}", examples=asked.examples, seed=seed)
            show(found, time.perf_counter() - start)
            for fault in found.faults[:20]:
                print(f"  FAULT {fault}")
            for wait in found.waits[:5]:
                print(f"  BUSY {wait}")
            print(f"  5xx: {found.server_errors}; beside these the service was too busy (429, 503, 504): {found.busy}")
            bad, busy = bad + found.server_errors, busy + found.busy
            faults += len(found.faults)
    print(
        f"\nservice_fuzz: {bad} answers of 5xx, {busy} of a busy service, {faults} that the description does not allow"
    )
    return int(bool(bad or faults))


if __name__ == "__main__":
    sys.exit(main())
