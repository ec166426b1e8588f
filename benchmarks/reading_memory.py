"""Check the peak memory of reading, each read in a fresh process.

    python benchmarks/reading_memory.py [--megabytes 20 60 180]

`read_votes` may take 1.5 times the uncompressed file from 50 MB up, and 64 MB plus four times the largest cell below;
`iter_votes` must not grow with the file.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from votecast.data import read_votes
from votecast.data.simulation import write_simulation

MB = 1 << 20
SIMULATED_ROW = 3600
PROBE = """
import sys
import pyarrow, pyarrow.csv, pyarrow.json, pyarrow.parquet, pyarrow.compute
import votecast.data.reader as reader
def peak(): return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024
before, path = peak(), sys.argv[2]
if sys.argv[1] == "read":
    battles = reader.read_votes(path)
    rows = len(battles)
else:
    rows = sum(len(part) for part in reader.iter_votes(path))
print(rows, peak() - before)
"""


def peak(verb: str, path: Path) -> tuple[int, int]:
    """Return rows and bytes above the imports of a fresh process."""
    done = subprocess.run([sys.executable, "-c", PROBE, verb, str(path)], check=True, capture_output=True, text=True)
    rows, size = done.stdout.split()
    return int(rows), int(size)


def allowed(size: int, largest_cell: int) -> float:
    """Return the most memory that `read_votes` may take."""
    return 1.5 * size if size >= 50 * 10**6 else 64 * MB + 4 * largest_cell


def write_large_cell(path: Path, size: int) -> None:
    """Write a file with one large cell between small ones."""
    rows = [[str(i), '["Why?"]', json.dumps([cell]), '["No."]'] for i, cell in enumerate(["a", "x" * size, "b"])]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "prompt", "response_a", "response_b"], *rows])


def check(path: Path, largest_cell: int, decoded: int = 0) -> bool:
    """Measure one file and print a line; return whether it is allowed."""
    size = max(path.stat().st_size, decoded)
    rows, read = peak("read", path)
    _, part = peak("iterate", path)
    limit = allowed(size, largest_cell)
    print(f"{size / 1e6:8.1f} MB {rows:7} rows", end="   ")
    print(f"read_votes {read / 1e6:7.1f} MB of {limit / 1e6:7.1f}   iter_votes {part / 1e6:6.1f} MB")
    return read <= limit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[5, 20, 55, 180])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fine = True
        for megabytes in asked.megabytes:
            path = Path(folder) / "votes.csv"
            write_simulation(path, megabytes * 10**6 // SIMULATED_ROW, seed=0, overwrite=True)
            fine &= check(path, 100_000)
            path.unlink()
        for suffix in ("jsonl", "parquet", "arrow"):
            path = Path(folder) / f"votes.{suffix}"
            write_simulation(path, 50_000, seed=0, overwrite=True)
            print(suffix, end="")
            fine &= check(path, 100_000, decoded=read_votes(path).table.nbytes)
            path.unlink()
        path = Path(folder) / "large.csv"
        write_large_cell(path, 10 * MB)
        fine &= check(path, 10 * MB)
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
