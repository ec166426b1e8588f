"""Train a small network: python -m tests.training.trained FOLDER[:FOLDER ...] [setting=value ...]."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file
from tests.training.networks import Small, numbers

from votecast.training.loop import train_network
from votecast.training.settings import TrainingSettings
from votecast.types import Run

SETTINGS = {"epochs": 2, "batch_size": 8, "max_tokens": 64, "learning_rate": 1e-2, "log_every": 1, "precision": "fp32"}


def join(folder: Path) -> None:
    """Join the other processes through a file."""
    if "WORLD_SIZE" in os.environ:
        rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        torch.distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=count)


def die_at(point: str) -> None:
    """SIGKILL this process at "step N" or "fsync N"."""
    kind, count = point.split()
    left = [int(count)]

    def tick() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    if kind == "fsync":
        inner = os.fsync
        os.fsync = lambda handle: (tick(), inner(handle))[1]
    else:
        inner = torch.optim.AdamW.step
        torch.optim.AdamW.step = lambda self, *args, **kwargs: (tick(), inner(self, *args, **kwargs))[1]


def train(folder: Path, given: Mapping[str, str]) -> None:
    """Train into a folder, or resume there, and save the weights beside."""
    folder.mkdir(exist_ok=True)
    settings = SETTINGS | {key: yaml.safe_load(value) for key, value in given.items()}
    network = Small(dropout=settings.pop("dropout", 0.0))
    train_network(network, numbers(), numbers(30, seed=1), TrainingSettings(**settings), seed=1, run=Run(folder))
    save_file(network.state_dict(), folder / f"weights-{os.environ.get('RANK', 0)}.safetensors")


if __name__ == "__main__":
    folders = [Path(name) for name in sys.argv[1].split(os.pathsep)]
    given = dict(word.split("=", 1) for word in sys.argv[2:])
    if "die" in given:
        die_at(given.pop("die"))
    join(folders[0])
    for folder in folders:
        train(folder, given)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        os._exit(0)  # torch's own threads race with its destructors here, and may abort a process that is done
