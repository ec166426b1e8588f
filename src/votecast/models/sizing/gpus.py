"""Graphics cards by name, such as "T4 x2", "A100-80" or "24GB": memory, precision and speed."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from importlib import resources

import yaml

from votecast.config import leaves_gpus
from votecast.config.extras import need
from votecast.config.precision import Precision, arithmetic_of
from votecast.errors import ConfigError

GPUS = yaml.safe_load((resources.files("votecast.models.sizing") / "gpus.yaml").read_text("utf-8"))
RESERVED, LOST = 0.6e9, 0.1
"""Bytes that CUDA itself takes, and the share that its allocator cannot use: assumed."""

_COUNT = re.compile(r"(?:(\d+) ?X )?(.+?)(?:(?: |(?<=[\dB]))X ?(\d+))?")  # the X of RTX 4090 counts nothing
_MEMORY = re.compile(r"(\d+(?:\.\d+)?) ?GB")


@dataclass(frozen=True)
class Gpu:
    """One or more cards of a kind.

    Args:
        name: Of the card, or its memory.
        memory: Bytes of one card that programs can use.
        bf16: Whether it computes in bf16.
        tflops: Dense TFLOPS in half precision; None where only the memory is known.
        count: How many there are.
    """

    name: str
    memory: float
    bf16: bool = True
    tflops: float | None = None
    count: int = 1

    @property
    def precision(self) -> Precision:
        """What it trains in where the settings say auto."""
        return "bf16" if self.bf16 else "fp16"

    @property
    def usable(self) -> float:
        """Bytes for tensors: what CUDA and its allocator take is off."""
        return (1 - LOST) * self.memory - RESERVED

    def __str__(self) -> str:
        """Name the cards."""
        return self.name if self.count == 1 else f"{self.name} x{self.count}"


def local_gpu() -> Gpu | None:
    """Return the CUDA devices of this machine as cards like the largest of them; None without one, or if left alone."""
    torch = need("torch")
    if leaves_gpus() or not torch.cuda.is_available():
        return None
    every = [torch.device("cuda", at) for at in range(torch.cuda.device_count())]
    device = max(every, key=lambda each: torch.cuda.get_device_properties(each).total_memory)
    found = torch.cuda.get_device_properties(device)
    return Gpu(found.name, found.total_memory, arithmetic_of(device).bf16, count=len(every))


def find_gpu(text: str) -> Gpu:
    """Find a card by name or memory, and how many.

    Raises:
        ConfigError: If there is no such card.

    Example:
        >>> gpu = find_gpu("T4 x2")
        >>> gpu.count, gpu.memory, gpu.precision
        (2, 15000000000.0, 'fp16')
        >>> find_gpu("24GB").name, find_gpu("rtx 4090").name, find_gpu("A100 80GB").name
        ('24GB', 'RTX4090', 'A100-80')
    """
    asked = _COUNT.fullmatch(" ".join(text.upper().split()))
    before, name, after = asked.groups() if asked else (None, "", None)
    count = int(before or after or 1)
    if count and (memory := _MEMORY.fullmatch(name)) and float(memory[1]) > 0:
        return Gpu(f"{memory[1]}GB", float(memory[1]) * 1e9, count=count)
    key = re.sub(r"^(NVIDIA|TESLA|RTX)|[ _-]|GB$", "", name)
    known = {re.sub(r"^RTX|-", "", known): known for known in GPUS}
    if not count or key not in known:
        near = difflib.get_close_matches(key, known, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(known[each] for each in near)}? " if near else ""
        raise ConfigError(
            f"--gpu is {text!r}; {hint}allowed are {', '.join(GPUS)}, or a memory such as 24GB, with a number of cards "
            "such as x2 behind it"
        )
    facts = GPUS[known[key]]
    return Gpu(known[key], facts["memory"] * 1e9, facts["bf16"], facts["tflops"], count)
