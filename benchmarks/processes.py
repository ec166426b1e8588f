"""Compare the loss curves of one process, two processes and FSDP.

    python benchmarks/processes.py [--steps 24] [--rows 8] [--judges cross_encoder smollm2_lora]

A tiny cross-encoder and a tiny decoder with LoRA learn simulated votes on the CPU, in fp32, without dropout, with the
same rows a step over all processes. Each run is `votecast train`, alone or through `accelerate launch` with a file that
ships in the package. Shown are the losses, and the largest difference of losses, norms of gradients and predictions.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from votecast import load_judge
from votecast.recipes import launch_path

RUNS = {"1 process": "", "2 processes": "multi_cpu", "2 with FSDP": "fsdp"}
JUDGES = {
    "cross_encoder": ("--model.dropout=0.0",),
    "smollm2_lora": ("--model.adapter.dropout=0.0", "--model.offset=null"),
}
ALLOWED = 1e-4


def train(judge: str, file: str, folder: Path, asked: argparse.Namespace) -> Path:
    """Train once; return the judge's folder."""
    out = folder / f"{judge}-{file or 'alone'}"
    launch = ["-m", "accelerate.commands.launch", "--config_file", str(launch_path(file))] if file else []
    learn = {
        "batch_size": asked.rows // 2 if file else asked.rows,
        "epochs": 1000,
        "max_steps": asked.steps,
        "max_tokens": 512,
        "learning_rate": 5e-3,
        "log_every": 1,
        "eval_every": asked.steps,
        "precision": "fp32",
    }
    words = ["train", judge, "--small", *JUDGES[judge], "--folds.n=2", "--fold=0", "--final=average"]
    words += [f"--model.training.{key}={value}" for key, value in learn.items()]
    words += ["--model.text.max_length=96", "--train", str(folder / "votes.jsonl"), "--out", str(out)]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launch, "-m", "votecast", *words]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{judge}, {file or 'alone'} failed:\n{ran.stderr[-3000:]}")
    return out


def curve(judge: Path) -> dict[str, np.ndarray]:
    """Return losses and norms of the steps, and predictions of held-out rows."""
    lines = [json.loads(line) for line in (judge / "members" / "0" / "metrics.jsonl").read_text().splitlines()]
    found = {key: np.array([line[key] for line in lines if key in line]) for key in ("loss", "grad_norm")}
    return found | {"predictions": load_judge(judge).fitted.out_of_fold.raw}


def show(judge: str, curves: dict[str, dict[str, np.ndarray]]) -> float:
    """Print the curves; return the largest difference of losses and predictions."""
    print(f"\n{judge}\n  step  " + "  ".join(f"{name:>12}" for name in RUNS))
    losses = [curves[name]["loss"] for name in RUNS]
    for step, row in enumerate(zip(*losses, strict=True), 1):
        print(f"  {step:4d}  " + "  ".join(f"{loss:12.8f}" for loss in row))
    alone, gaps = curves["1 process"], []
    for name in list(RUNS)[1:]:
        found = {key: float(np.abs(values - curves[name][key]).max()) for key, values in alone.items()}
        print(f"  {name}: " + ", ".join(f"{key} differ by {gap:.1e}" for key, gap in found.items()))
        gaps += [found["loss"], found["predictions"]]
    return max(gaps)


def main() -> int:
    """Train and print; return 1 if the curves differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rows", type=int, default=8, help="of a step, over all processes; an even number")
    parser.add_argument("--judges", nargs="+", choices=JUDGES, default=list(JUDGES))
    asked = parser.parse_args()
    if asked.rows < 2 or asked.rows % 2 or asked.steps < 1:
        parser.error("--rows is an even number of at least 2, and --steps at least 1")
    gaps = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        simulate = ["-m", "votecast", "simulate", "--rows", "160", "--out", str(folder / "votes.jsonl")]
        subprocess.run([sys.executable, *simulate], check=True, capture_output=True)
        for judge in asked.judges:
            began = time.perf_counter()
            gaps.append(show(judge, {name: curve(train(judge, file, folder, asked)) for name, file in RUNS.items()}))
            print(f"  {time.perf_counter() - began:.0f} s", flush=True)
    print(f"\nlosses and predictions differ by at most {max(gaps):.1e}, allowed {ALLOWED:.0e}: ", end="")
    print("fine" if max(gaps) <= ALLOWED else "DIFFERENT")
    return int(max(gaps) > ALLOWED)


if __name__ == "__main__":
    raise SystemExit(main())
