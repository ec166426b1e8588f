"""In which arithmetic a network is trained."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from votecast.errors import ConfigError

Name = Literal["fp32", "bf16", "fp16"]
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_precision(wanted: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device) -> Name:
    """The arithmetic to use on a device.

    Args:
        wanted: "auto" takes bf16 where the hardware computes in it, else fp32.
        device: Where the network is.

    Raises:
        ConfigError: If fp16 is asked for without a GPU.
    """
    if wanted == "fp16" and device.type != "cuda":
        raise ConfigError(
            f"precision is 'fp16' on {device.type}; fp16 needs a CUDA GPU, allowed here are bf16 and fp32"
        )
    if wanted != "auto":
        return wanted
    return "bf16" if _computes_bf16(device) else "fp32"


def autocast(precision: Name, device: torch.device) -> AbstractContextManager[object]:
    """Within this, matrix products run in `precision`; weights stay in fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=_TYPES[precision])


def _computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # there is no public way to ask
        return bool(asked and asked())
    return False
