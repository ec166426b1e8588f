"""Rehearse a reference system at its true size, without its weights and without a GPU.

    python benchmarks/full_size.py gemma2_9b --work FOLDER [--layers 12] [--length 256]
    python benchmarks/full_size.py gemma2_9b --work FOLDER --try     # the same path with a small model
    python benchmarks/full_size.py gemma2_9b --work FOLDER --weights bf16 --layers 8 --rows 512    # minutes, on a GPU

A checkpoint in the layout and size of the hub is written from seeded random bytes. The shipped recipe then runs on it
as a user runs it, by the command line: two steps of training on each of two folds, killed after the first checkpoint
and resumed, averaged, ten rows predicted, and merged where there are adapters. Printed are seconds, peak memory (all of
it, and without pages of files, which the system can take back), that of the GPU, disk of every step, and the rows a
second of training.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from _checkpoints import published_config, write_checkpoint

SYSTEMS = {
    "deberta_v3_large": ("deberta_v3_large", "microsoft/deberta-v3-large"),
    "internlm2_1_8b": ("internlm2_reward", "internlm/internlm2-1_8b-reward"),
    "internlm2_7b": ("internlm2_reward", "internlm/internlm2-7b-reward"),
    "internlm2_20b": ("internlm2_reward", "internlm/internlm2-20b-reward"),
    "gemma2_9b": ("gemma2_9b_qlora", "google/gemma-2-9b-it"),
    "llama31_8b": ("llama31_8b_lora", "meta-llama/Llama-3.1-8B"),
}
"""Recipe and model of each system."""
SMALL = {
    "hidden_size": 64,
    "pooler_hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 128,
}
PREDICTED = 10
REWARD = "internlm2_reward"


@dataclass(frozen=True)
class Step:
    """What a step took: seconds, GB of memory at its peak, GB on disk afterwards."""

    name: str
    seconds: float
    peak: float
    peak_own: float
    peak_gpu: float
    disk: float


class Rehearsal:
    """The steps of one system, in a folder."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked, self.work, self.steps = asked, asked.work / asked.system, list[Step]()
        (self.recipe, name), self.has_gpu = SYSTEMS[asked.system], bool(shutil.which("nvidia-smi"))
        self.published = published_config(name)
        small = {key: value for key, value in SMALL.items() if asked.try_small and key in self.published}
        self.config = self.published | small
        if asked.layers:
            self.config["num_hidden_layers"] = asked.layers
        self.estimate: dict[str, Any] = {}
        self.model, self.votes, self.judge = (self.work / name for name in ("model", "votes.csv", "judge"))

    def run(self) -> None:
        """Run all steps, and print each as it ends."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        began = time.monotonic()
        size = write_checkpoint(self.config, self.model)
        self._add(Step("write the checkpoint", time.monotonic() - began, 0, 0, 0, size / 1e9))
        self._votecast("simulate", f"--rows={max(16, self.asked.rows)}", "--out", self.votes, quiet=True)
        predict = ["predict", "--input", self.votes, f"--limit={PREDICTED}", "--out", self.work / "p.csv", "--judge"]
        if self.recipe == REWARD:
            # as published: no votes; fp16, its own arithmetic, is for GPUs
            self._votecast(
                *predict, f"recipe:{REWARD}", *self._shared(), "--model.compute=auto", name="predict 10 rows"
            )
            return
        train = ["train", self.recipe, *self._shared(), *self._training(), "--train", self.votes, "--out", self.judge]
        self._estimate()
        self._votecast(*train, name="train, killed after a checkpoint", until=self._has_checkpoint)
        self._votecast(*train, "--resume", name="resume, two folds, average")
        self._print_speed()
        self._votecast(*predict, self.judge, name="predict 10 rows")
        if self.recipe != "deberta_v3_large":
            merged = self.work / "merged"
            self._votecast("merge", "--judge", self.judge, "--out", merged, name="merge the adapters")

    def _shared(self) -> list[str]:
        found = [f"--model.name={self.model}", f"--model.text.max_length={self.asked.length}"]
        return [*found, f"--model.weights={self.asked.weights}"] if self.asked.weights else found

    def _training(self) -> list[str]:
        """Two steps on each of two folds, and adapters on the upper layers that there are."""
        learn = {"batch_size": self.asked.rows // 4, "save_every": 1, "eval_every": 1, "log_every": 1}
        found = [
            "--folds.n=2",
            f"--rows={self.asked.rows}",
            *(f"--model.training.{key}={value}" for key, value in learn.items()),
        ]
        layers, first = self.config["num_hidden_layers"], 16
        if self.recipe != "deberta_v3_large" and layers != self.published["num_hidden_layers"]:
            found.append(f"--model.adapter.layers=[{min(first, layers // 2)},{layers - 1}]")
        return found

    def _estimate(self) -> None:
        """Print what `votecast estimate` says of the same training."""
        found = self.work / "estimate.json"
        words = ["estimate", self.recipe, *self._shared(), *self._training(), "--train", self.votes, "--json", found]
        self._votecast(*words, quiet=True)
        self.estimate = json.loads(found.read_text())
        memory = {key: f"{value / 1e9:.2f} GB" for key, value in self.estimate["memory"].items()}
        print("estimate: " + ", ".join(f"{key} {value}" for key, value in memory.items()), flush=True)

    def _print_speed(self) -> None:
        """Print what training logged of its speed, in rows."""
        curves = self.judge / "members" / "0" / "metrics.jsonl"
        lines = [json.loads(line) for line in curves.read_text("utf-8").splitlines()]
        last = max((line for line in lines if "tokens" in line), key=lambda line: line["step"])
        row = last["tokens"] / last["step"] / (self.asked.rows // 4)
        logged = re.findall(r"steps in \S+ ([\d,]+) tokens/s", (self.work / "log.txt").read_text())
        speeds = ", ".join(f"{int(speed.replace(',', '')) / row:.2f}" for speed in logged)
        print(f"training: {speeds} rows/s of {row:.0f} tokens, both orders counted", flush=True)

    def _has_checkpoint(self) -> bool:
        return any(self.work.glob(".judge.work/**/checkpoints/step-*"))

    def _votecast(
        self, *words: object, name: str = "", until: Callable[[], bool] | None = None, quiet: bool = False
    ) -> None:
        """Run a command to its end, or kill it as soon as `until` holds, and record what it took."""
        command = [sys.executable, "-m", "votecast", *map(str, words)]
        began, peak, own, gpu = time.monotonic(), 0.0, 0.0, 0.0
        log = self.work / "log.txt"
        with log.open("a") as out:
            out.write(f"\n$ {' '.join(command)}\n")
            out.flush()
            process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | {"HF_HUB_OFFLINE": "1"})
            killed = False
            while process.poll() is None:
                total, anonymous = _memory(process.pid)
                peak, own = max(peak, total), max(own, anonymous)
                gpu = max(gpu, _gpu_memory()) if self.has_gpu else 0.0
                if until is not None and until():
                    process.send_signal(signal.SIGKILL)
                    killed = True
                time.sleep(0.05)
        if process.returncode and not killed:
            raise SystemExit(f"{name or words[0]} failed; the end of {log}:\n{log.read_text()[-3000:]}")
        if until is not None and not killed:
            raise SystemExit(f"{name} ended before it wrote a checkpoint")
        if not quiet:
            self._add(Step(name, time.monotonic() - began, peak, own, gpu, _disk(self.work)))

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        gpu = f"   GPU {step.peak_gpu:6.2f} GB" if self.has_gpu else ""
        print(
            f"{step.name:36s} {step.seconds:8.0f} s   peak {step.peak:6.2f} GB, own {step.peak_own:6.2f} GB{gpu}   "
            f"disk {step.disk:6.1f} GB",
            flush=True,
        )


def _memory(process: int) -> tuple[float, float]:
    """GB that a process holds: all of it, and without pages of files."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    found = {key: value for key, _, value in (line.partition(":") for line in lines)}
    total, own = (int(found[key].split()[0]) / 1e6 if key in found else 0.0 for key in ("VmRSS", "RssAnon"))
    return total, own


def _gpu_memory() -> float:
    """GB in use on the fullest GPU."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return max(int(line) for line in listed.split()) * 1.048576e-3


def _disk(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoint and judges; it is kept")
    parser.add_argument("--layers", type=int, help="fewer layers of the true width")
    parser.add_argument("--length", type=int, default=256, help="tokens of a sequence")
    parser.add_argument("--rows", type=int, default=8, help="rows to train on, four batches in all; a multiple of 4")
    parser.add_argument("--weights", choices=("bf16", "nf4"), help="in place of what the recipe of a decoder says")
    parser.add_argument("--try", dest="try_small", action="store_true", help="a small model on the same path")
    asked = parser.parse_args()
    rehearsal = Rehearsal(asked)
    size = f"{rehearsal.config['num_hidden_layers']} layers of width {rehearsal.config['hidden_size']}"
    print(f"{asked.system}: {size}, {asked.length} tokens, {os.cpu_count()} processors", flush=True)
    rehearsal.run()
    found = {
        "system": asked.system,
        "config": rehearsal.config,
        "estimate": rehearsal.estimate,
        "steps": [asdict(s) for s in rehearsal.steps],
    }
    (rehearsal.work / "figures.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
