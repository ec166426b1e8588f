"""Peak memory of prediction, 1 024 rows against 65 536, each in a process of its own: it must not grow by 5 percent.

    python benchmarks/predict_memory.py [--rows 1024 65536] [--judge bundled:baseline] [--container csv]

By default the judge is one that does nothing, so that what is measured is reading, shards and writing. Both files hold
the same 1 024 battles again and again, so that no row is longer than those of the other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

from votecast.data import Battles, read_votes
from votecast.data.simulation import write_simulation
from votecast.data.writing import write_votes

ALLOWED = 0.05
BLOCK = 1024
PROBE = """
import sys
import numpy as np
import votecast

class Nothing:
    name, hash = "nothing", "0"
    def predict_proba(self, battles):
        return np.full((len(battles), 3), 1 / 3)

judge = Nothing() if sys.argv[1] == "nothing" else votecast.load_judge(sys.argv[1])
rows = votecast.predict_file(judge, sys.argv[2], sys.argv[3])["rows"]
peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
print(rows, peak)
"""


def write_blocks(path: Path, block: Battles, rows: int) -> None:
    """The same battles again and again, under other ids."""
    parts = []
    for start in range(0, rows, len(block)):
        ids = pa.array([str(start + place) for place in range(len(block))], pa.large_string())
        parts.append(Battles(block.table.set_column(0, block.table.schema.field("id"), ids)))
    write_votes(parts, path)


def peak(judge: str, path: Path, out: Path) -> tuple[int, int]:
    """Rows and peak memory in bytes of a fresh process."""
    command = [sys.executable, "-c", PROBE, judge, str(path), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows, size = done.stdout.split()
    return int(rows), int(size)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs=2, default=[BLOCK, 64 * BLOCK], metavar=("FEW", "MANY"))
    parser.add_argument("--judge", default="nothing")
    parser.add_argument("--container", default="csv", choices=["csv", "jsonl", "parquet", "arrow"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_simulation(folder / "block.csv", BLOCK, seed=0)
        block, sizes = read_votes(folder / "block.csv"), []
        for rows in asked.rows:
            path = folder / f"{rows}.{asked.container}"
            write_blocks(path, block, rows)
            found, size = peak(asked.judge, path, folder / f"p{rows}.csv")
            print(f"{found:8,} rows {path.stat().st_size / 1e6:7.1f} MB   peak {size / 1e6:7.1f} MB", flush=True)
            sizes.append(size)
    change = sizes[1] / sizes[0] - 1
    print(f"change {change:+.1%}, allowed ±{ALLOWED:.0%}")
    return int(abs(change) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
