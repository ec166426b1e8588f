"""Check that the service's memory is stable over ten minutes of load.

    python benchmarks/service_soak.py [--minutes 10] [--warm 60] [--judge bundled:baseline]

The load is single pairs in either order and with reasons, small batches, answers to rank, and bodies that are refused:
not JSON, without an answer, for a judge that is not there. Memory is resident bytes, the median of the samples of the
first tenth after the warm-up against that of the last tenth.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from _load import Plan, write_requests
from _service import Load, Service, simulated, word

ALLOWED = 0.05
BETWEEN = 1.0
EXPECTED = (200, 400, 404, 422)


def mixture(pairs: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Return requests of every kind built from pairs."""
    for place, pair in enumerate(pairs):
        kind = place % 8
        if kind < 3:
            yield "/v1/compare", pair
        elif kind == 3:
            yield "/v1/compare", pair | {"order": "given"}
        elif kind == 4:
            yield "/v1/compare", pair | {"explain": True}
        elif kind == 5:
            yield "/v1/compare/batch", {"battles": pairs[place - 5 : place]}
        elif kind == 6:
            candidates = [
                pair["response_a"],
                pair["response_b"],
                pairs[place - 1]["response_a"][:1] * len(pair["prompt"]),
            ]
            yield "/v1/rerank", {"prompt": pair["prompt"], "candidates": candidates}
        else:
            yield (
                "/v1/compare",
                (pair | {"judge": "absent"}, {"prompt": "Hi"}, [], pair | {"response_a": [" "]})[place // 8 % 4],
            )


def grown(samples: list[int]) -> float:
    """Return the growth from the first to the last tenth of samples."""
    part = max(1, len(samples) // 10)
    return float(np.median(samples[-part:]) / np.median(samples[:part]) - 1)


def main() -> int:
    """Print the figures; return 1 if the mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--warm", type=float, default=60.0, help="seconds of load before memory counts")
    parser.add_argument("--judge", default="bundled:baseline")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rows", type=int, default=1024)
    asked = parser.parse_args()
    print(f"load of the machine {os.getloadavg()[0]:.1f}", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Service.votecast([asked.judge], "--workers", str(asked.workers)) as service,
    ):
        requests = write_requests(Path(folder) / "requests", mixture(simulated(asked.rows)))
        running = Load(Plan(service.port, requests, asked.connections, asked.warm + 60 * asked.minutes))
        time.sleep(asked.warm)
        samples: dict[str, list[int]] = {"front": [], "workers": []}
        while running.process.poll() is None:
            for part, size in service.memory().items():
                samples[part].append(size)
            time.sleep(BETWEEN)
        found = running.outcome()
    print(f"{asked.minutes:g} minutes after {asked.warm:.0f} s of warm-up: {found.summary()}")
    odd = len(found) - found.count(*EXPECTED)
    print(f"requests that ended in anything but {', '.join(map(str, EXPECTED))}: {odd}: {word(not odd)}")
    for part, sizes in samples.items():
        print(f"{part:8} {sizes[0] / 1e6:8.1f} MB, at the end {sizes[-1] / 1e6:8.1f} MB, grown by {grown(sizes):+.2%}")
    growth = grown([sum(both) for both in zip(*samples.values(), strict=True)])
    print(f"memory of all grown by {growth:+.2%}; at most {ALLOWED:.0%}: {word(growth <= ALLOWED)}")
    return int(bool(odd) or growth > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
