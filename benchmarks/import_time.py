"""Measure the time to import votecast and start its command, beside peers.

Usage: python benchmarks/import_time.py [--runs 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python, nothing imported": ["-c", "pass"],
    "import votecast": ["-c", "import votecast"],
    "votecast --version": ["-m", "votecast", "--version"],
    "votecast --help": ["-m", "votecast", "--help"],
    "peer: import numpy": ["-c", "import numpy"],
    "peer: import sklearn": ["-c", "import sklearn"],
    "peer: import pandas": ["-c", "import pandas"],
}


def seconds(words: list[str]) -> float:
    """Return the wall time of one fresh process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(runs: int) -> dict[str, list[float]]:
    """Time every command in turn after one warm-up."""
    for words in COMMANDS.values():
        seconds(words)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, words in COMMANDS.items():
            times[name].append(seconds(words))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    times = measure(parser.parse_args().runs)
    bare = statistics.median(times["python, nothing imported"])
    print(f"{'':28}{'median':>9}{'above bare Python':>20}{'lowest':>9}{'highest':>9}")
    for name, found in times.items():
        median = statistics.median(found)
        print(f"{name:28}{median:8.3f}s{median - bare:19.3f}s{min(found):8.3f}s{max(found):8.3f}s")


if __name__ == "__main__":
    main()
