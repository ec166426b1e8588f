"""Test the memory of reading in a separate process."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

MB = 1 << 20
PROBE = """
import sys
import pyarrow, pyarrow.csv, pyarrow.json, pyarrow.parquet, pyarrow.compute
import votecast.data.reader as reader
def peak(): return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024
before = peak()
if sys.argv[1] == "read":
    rows = len(reader.read_votes(sys.argv[2]))
else:
    rows = sum(len(part) for part in reader.iter_votes(sys.argv[2]))
print(rows, peak() - before)
"""
pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to read the peak of memory")


def peak(verb: str, path: Path) -> tuple[int, int]:
    done = subprocess.run([sys.executable, "-c", PROBE, verb, str(path)], check=True, capture_output=True, text=True)
    rows, size = done.stdout.split()
    return int(rows), int(size)


def write_votes(path: Path, megabytes: int) -> int:
    """Write LMSYS rows of about 3 KB; return their number."""
    words = [random.Random(i).randbytes(4).hex() + (" \n" if i % 5 else ' "/😀"') for i in range(2000)]
    draw, rows = random.Random(0), megabytes * MB // 3000
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "prompt", "response_a", "response_b"])
        for row in range(rows):
            writer.writerow([row, *(json.dumps(["".join(draw.choices(words, k=k))]) for k in (20, 120, 120))])
    return rows


def test_a_file_over_50_mb_takes_at_most_one_and_a_half_times_its_size(tmp_path: Path) -> None:
    rows = write_votes(tmp_path / "votes.csv", 64)
    size = (tmp_path / "votes.csv").stat().st_size
    assert size > 50 * MB
    read, taken = peak("read", tmp_path / "votes.csv")
    assert read == rows
    assert taken <= 1.5 * size
    read, flat = peak("iterate", tmp_path / "votes.csv")
    assert read == rows
    assert flat <= 64 * MB


def test_a_small_file_takes_at_most_64_mb_and_a_large_cell_four_times_itself(tmp_path: Path) -> None:
    write_votes(tmp_path / "small.csv", 8)
    assert peak("read", tmp_path / "small.csv")[1] <= 64 * MB
    cell = json.dumps(["x" * 10 * MB])
    with (tmp_path / "large.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["prompt", "response_a", "response_b"], ['["p"]', cell, "[]"], ['["p"]', "[]", '["b"]']]
        )
    rows, taken = peak("read", tmp_path / "large.csv")
    assert rows == 2
    assert taken <= 64 * MB + 4 * len(cell)
