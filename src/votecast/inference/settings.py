"""How a network is run: how much at once, how exactly, and where."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from votecast.config import Settings

Precision = Literal["auto", "fp32", "bf16", "int8"]


class InferenceSettings(Settings):
    """How sequences are scored. Nothing here changes what a judge has learnt.

    Args:
        max_tokens: Tokens of one batch, padding included. 0 takes 4096 on a CPU and 131072 on CUDA. Halved by itself
            when CUDA runs out of memory.
        precision: auto is fp32 on a CPU, where forecasts move by less than 1e-6 with the rows beside them, and bf16 on
            CUDA devices that have it. bf16 and int8 (CPU) are faster and round: measure the log loss with
            `votecast.inference.precision.check_precision` before using them.
        last_layer_only: Compute in the last layer only what the pooled token needs. Exact.
        devices: Names of devices such as "cpu" or "cuda:0", one replica on each; empty takes every CUDA device, else
            the CPU.
        threads: Threads of the CPU; 0 takes the cores this process may use.

    Example:
        >>> InferenceSettings().precision
        'auto'
    """

    max_tokens: int = Field(default=0, ge=0)
    precision: Precision = "auto"
    last_layer_only: bool = True
    devices: tuple[str, ...] = ()
    threads: int = Field(default=0, ge=0)
