"""How the weights of a causal backbone are held: full, half, 8 bits or 4."""

from __future__ import annotations

from typing import Any

_TYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def load_options(weights: str, double_quantization: bool, compute: str, config: Any) -> dict[str, Any]:  # noqa: ARG001
    """Keywords of `from_pretrained` for a way of holding weights."""
    return {"dtype": _TYPES[weights]}
