"""The arithmetic a network is trained in, and bitsandbytes, the package behind weights and moments of few bits."""

from __future__ import annotations

import logging
import warnings
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Literal

import torch

from votecast.config.extras import need
from votecast.config.precision import Precision, choose_precision

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def training_precision(
    wanted: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device, *, is_sharded: bool = False
) -> Precision:
    """Choose the arithmetic of training on a device: "auto" is bf16 where the hardware has it, else fp16 on GPUs.

    A sharded network, whose loss cannot be scaled, learns in fp32 instead of fp16.

    Raises:
        ConfigError: If the device does not compute in what is asked for.
    """
    found = choose_precision(wanted, device, setting="model.training.precision")
    return "fp32" if is_sharded and wanted == "auto" and found == "fp16" else found


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
