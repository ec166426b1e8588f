"""Check that peak memory of prediction does not grow with rows.

    python benchmarks/predict_memory.py [--judges NAME ...] [--rows 1024 65536] [--container csv]

encoder is a tiny cross-encoder, trained here; nothing is a judge that does nothing, so that what is measured is
reading, shards and writing. The limit is for the encoder. Both files hold the same 1 024 battles again and again, so
that no row of one is longer than those of the other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

import votecast
from votecast.data import Battles, read_votes
from votecast.data.outputs import write_votes
from votecast.data.simulation import write_simulation

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
rows = votecast.predict_file(judge, sys.argv[2], sys.argv[3], overwrite=True)["rows"]
peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
print(rows, peak)
"""


def write_blocks(path: Path, block: Battles, rows: int) -> None:
    """Write the same battles repeatedly under other ids."""
    parts = []
    for start in range(0, rows, len(block)):
        ids = pa.array([str(start + place) for place in range(len(block))], pa.large_string())
        parts.append(Battles(block.table.set_column(0, block.table.schema.field("id"), ids)))
    write_votes(parts, path)


def peak(judge: str, path: Path, out: Path) -> tuple[int, int]:
    """Return rows and peak memory in bytes of a fresh process."""
    command = [sys.executable, "-c", PROBE, judge, str(path), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows, size = done.stdout.split()
    return int(rows), int(size)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs=2, default=[BLOCK, 64 * BLOCK], metavar=("FEW", "MANY"))
    parser.add_argument("--judges", nargs="+", default=["encoder", "nothing", "bundled:baseline"])
    parser.add_argument("--container", default="csv", choices=["csv", "jsonl", "parquet", "arrow"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_simulation(folder / "block.csv", BLOCK, seed=0)
        block = read_votes(folder / "block.csv")
        files = [folder / f"{rows}.{asked.container}" for rows in asked.rows]
        for path, rows in zip(files, asked.rows, strict=True):
            write_blocks(path, block, rows)
        if "encoder" in asked.judges:
            votecast.train("cross_encoder", block, out=folder / "encoder", small=True)
        changes = {judge: compare(folder / judge if judge == "encoder" else judge, files) for judge in asked.judges}
    return int(abs(changes.get("encoder", 0)) > ALLOWED)


def compare(judge: str | Path, files: list[Path]) -> float:
    """Print the peak memory per file; return the relative change."""
    sizes = []
    for path in files:
        rows, size = peak(str(judge), path, path.with_name("out.csv"))
        size_of_file = path.stat().st_size / 1e6
        name = Path(judge).name
        print(f"{name:18} {rows:8,} rows {size_of_file:7.1f} MB   peak {size / 1e6:7.1f} MB", flush=True)
        sizes.append(size)
    print(f"{'':18} change {sizes[-1] / sizes[0] - 1:+.1%}, allowed ±{ALLOWED:.0%}", flush=True)
    return sizes[-1] / sizes[0] - 1


if __name__ == "__main__":
    sys.exit(main())
