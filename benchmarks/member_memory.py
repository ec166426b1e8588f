"""Measure the memory of a judge of five adapters on SmolLM2: while it is trained, loaded, and predicts.

    python benchmarks/member_memory.py [--final average average_weights] [--rows 60] [--folds 5]

Every figure is of a fresh process. What is trained is the recipe smollm2_lora on a few short battles, so that the base
is most of what is in memory; it should be there once, however many folds there are.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

TRAIN = """
import sys
from votecast.data.simulation import simulate
from votecast.judges.trained import TrainedJudge

final, rows, folds, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
resident = []

def status(name):
    line = next(line for line in open("/proc/self/status") if line.startswith(name))
    return f"{int(line.split()[1]) / 1e6:.2f}"

def progress(stage, done, total):
    if stage == "training" and done:
        resident.append(status("VmRSS"))

battles, _ = next(simulate(rows=rows, seed=0, batch=rows))
changes = {"folds.n": folds, "folds.only": None, "final": final, "rows": None, "model.offset": None}
changes |= {"model.thin": False, "model.text.max_length": 96, "model.per_prompt": None}
judge = TrainedJudge("smollm2_lora", changes).fit(battles, progress=progress)
judge.save_pretrained(out)
print("after each fold", *resident, "peak", status("VmHWM"))
"""
PREDICT = """
import sys, time
from votecast import load_judge
from votecast.data.simulation import simulate

def status(name):
    line = next(line for line in open("/proc/self/status") if line.startswith(name))
    return f"{int(line.split()[1]) / 1e6:.2f}"

battles, _ = next(simulate(rows=4, seed=1, batch=4))
judge = load_judge(sys.argv[1])
loaded, first = status("VmHWM"), judge.predict_proba(battles)
start = time.perf_counter()
for _ in range(3):
    assert (judge.predict_proba(battles) == first).all()
seconds = (time.perf_counter() - start) / 3
print(f"loaded {loaded}, predicting {status('VmHWM')}, {1000 * seconds:.0f} ms for 4 rows")
"""


def run(code: str, *arguments: str) -> str:
    """Return what a fresh process prints."""
    return subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Print resident and peak memory in GB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--final", nargs="+", default=["average_weights", "average"])
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for final in options.final:
            judge = str(Path(folder) / final)
            print(f"{final}: GB {run(TRAIN, final, str(options.rows), str(options.folds), judge).strip()}", flush=True)
            print(f"{final}: GB {run(PREDICT, judge).strip()}", flush=True)


if __name__ == "__main__":
    main()
