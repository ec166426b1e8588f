"""Run every benchmark in a process of its own.

Those that need outside votes skip with a message unless VOTECAST_DATA names their folder.

Usage: python benchmarks/run_all.py [--data DIR] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
NOT_RUN = {"run_all", "train_bundled", "train_smollm2", "reward_votes", "full_size", "install_extras"}
"""This file, those that train a judge to be kept, the one that measures a judge made by these, a rehearsal of hours
that takes the name of a system, and one that needs a package index."""


def names() -> list[str]:
    """Return the benchmarks by name."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_RUN and not path.stem.startswith("_"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("VOTECAST_DATA"), help="folder of outside votes")
    parser.add_argument("--only", nargs="+", choices=names(), default=names())
    asked = parser.parse_args()
    environment = os.environ | ({"VOTECAST_DATA": asked.data} if asked.data else {})
    failed = []
    for name in asked.only:
        print(f"\n=== {name}", flush=True)
        start = time.perf_counter()
        if subprocess.run([sys.executable, HERE / f"{name}.py"], env=environment, check=False).returncode:
            failed.append(name)
        print(f"--- {name}: {time.perf_counter() - start:.0f} s", flush=True)
    print(f"\nfailed: {', '.join(failed) or 'none'}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
