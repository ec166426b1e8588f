"""Stand-ins for what a device computes in, so that the choices for GPUs are tested on a CPU."""

from __future__ import annotations

import pytest
import torch

from votecast.config import precision
from votecast.config.precision import Arithmetic

T4 = Arithmetic("cuda:0 (Tesla T4)", bf16=False, fp16=True)
A100 = Arithmetic("cuda:0 (A100)", bf16=True, fp16=True)


def compute_as(kind: Arithmetic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every device, the CPU too, compute in what another one does: torch has fp16 for CPUs, slowly."""
    monkeypatch.setattr(precision, "arithmetic_of", lambda device: kind)


CUDA = torch.device("cuda")
