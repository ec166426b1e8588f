"""Settings of inference: batch size, precision, devices."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from votecast.config import Settings

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]


class InferenceSettings(Settings):
    """How sequences are encoded. Nothing here changes a fitted judge.

    Args:
        max_tokens: Tokens of one batch, padding included; 0 takes 1024 on a CPU, which keeps a batch in its cache, and
            131072 on CUDA. Halved automatically when CUDA runs out of memory.
        precision: auto is fp32 on a CPU, where a prediction changes by less than 1e-6 with the rows beside it, and bf16
            on CUDA devices that have it, fp16 on those that do not, such as a T4. bf16 on a CPU with avx512_bf16 is
            1.5x as fast and changes predictions in the third decimal. fp16 (GPU) is compared with fp32 on the first
            rows, and fp32 is taken, with a warning, where they differ or fp16 overflows. int8 (CPU) computes dense
            layers with 8 bits and changes predictions in the second decimal. `votecast predict --precision` and
            `votecast evaluate` on votes measure what each costs in log loss.
        last_layer_only: Compute in the last layer only the tokens that are read. Exact.
        shared_prefixes: Compute a prefix that several sequences of a causal model share once, such as a prompt before
            both orders of the responses, where that saves more than 5 % of all tokens. Exact.
        devices: Names of devices such as "cpu" or "cuda:0", which share the work; empty takes every CUDA device, else
            the CPU.
        threads: Threads of the CPU; 0 takes one for each core this process may use.

    Example:
        >>> InferenceSettings().precision
        'auto'
    """

    max_tokens: int = Field(default=0, ge=0)
    precision: Precision = "auto"
    last_layer_only: bool = True
    shared_prefixes: bool = True
    devices: tuple[str, ...] = ()
    threads: int = Field(default=0, ge=0)
