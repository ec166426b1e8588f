"""Layer normalisation of a network that no longer learns."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from votecast.inference.dense import states_dtype


class Norm:
    """A layer normalisation that no longer learns.

    Args:
        module: The `torch.nn.LayerNorm`.
        dtype: What is computed with.
    """

    def __init__(self, module: Any, dtype: torch.dtype) -> None:
        self.shape, self.eps = tuple(module.normalized_shape), float(module.eps)
        self.weight = None if module.weight is None else module.weight.detach().to(states_dtype(dtype))
        self.bias = None if module.bias is None else module.bias.detach().to(states_dtype(dtype))

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        return layer_norm(x, self.shape, self.weight, self.bias, self.eps)
