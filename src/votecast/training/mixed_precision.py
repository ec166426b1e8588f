"""The arithmetic a network is trained in, and bitsandbytes, the package behind weights and moments of few bits."""

from __future__ import annotations

import logging
import warnings
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Literal

import torch

from votecast.config.extras import need
from votecast.errors import ConfigError

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_precision(wanted: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device) -> Precision:
    """Choose the arithmetic on a device: "auto" takes bf16 where the hardware computes in it, else fp32.

    Raises:
        ConfigError: If fp16 is asked for without a GPU.
    """
    if wanted == "fp16" and device.type != "cuda":
        raise ConfigError(
            f"precision is 'fp16' on {device.type}; fp16 needs a CUDA GPU, allowed here are bf16 and fp32"
        )
    if wanted != "auto":
        return wanted
    # emulated bf16 is slower than fp32
    has_bf16 = False
    if device.type == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu" and hasattr(torch.cpu, "_is_avx512_bf16_supported"):  # torch has no public function
        has_bf16 = torch.cpu._is_avx512_bf16_supported()
    return "bf16" if has_bf16 else "fp32"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Run matrix products in `precision` within this context; weights stay in fp32."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, dtype=DTYPES[precision])


def bitsandbytes() -> ModuleType:
    """Import bitsandbytes without its messages.

    Raises:
        MissingExtraError: If it is not installed; the message holds the command.
    """
    silence_bitsandbytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return need("bitsandbytes")


def silence_bitsandbytes() -> None:
    """Silence what the package, which peft imports where it is installed, logs of kernels it could download."""
    for name in ("bitsandbytes.backends.cpu.ops", "bitsandbytes.autograd._functions"):
        logging.getLogger(name).setLevel(logging.ERROR)
