"""Dense layers of a network that no longer learns: weights laid out once for the processor, activations fused."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional

Activation = Literal["none", "gelu", "gelu_tanh"]

_FUSED: dict[Activation, tuple[str, str]] = {
    "none": ("none", ""),
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
}
_OPS: Any = torch.ops.mkldnn


class Dense:
    """x -> activation(x W' + b), the weights packed by oneDNN where torch was built with it.

    Args:
        weight: Shape (outputs, inputs).
        bias: Shape (outputs,), or None.
        dtype: What is computed with.
        activation: What follows.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, *, dtype: torch.dtype, activation: Activation = "none"
    ) -> None:
        self.weight = weight.detach().to(dtype)
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.activation = activation
        self.packed: Tensor | None = None
        if packing_works() and weight.device.type == "cpu" and dtype in (torch.float32, torch.bfloat16):
            self.packed = _OPS._reorder_linear_weight(self.weight.contiguous(), None)
            self.weight = self.weight[:0]

    def __call__(self, x: Tensor) -> Tensor:
        """Shape (..., inputs) to (..., outputs)."""
        if self.packed is not None:
            name, algorithm = _FUSED[self.activation]
            return cast("Tensor", _OPS._linear_pointwise(x, self.packed, self.bias, name, [], algorithm))
        y = functional.linear(x, self.weight, self.bias)
        if self.activation == "none":
            return y
        return functional.gelu(y, approximate="none" if self.activation == "gelu" else "tanh")

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The residual and x W' + b, without activation."""
        if self.packed is not None:
            return cast("Tensor", _OPS._linear_pointwise.binary(x, residual, self.packed, self.bias, "add"))
        return functional.linear(x, self.weight, self.bias) + residual


def dense(*modules: Any, dtype: torch.dtype, activation: Activation = "none") -> Dense:
    """One dense layer from several `torch.nn.Linear` over the same input, their outputs side by side."""
    biases = [module.bias for module in modules]
    if len(modules) == 1:
        return Dense(modules[0].weight, biases[0], dtype=dtype, activation=activation)
    bias = None if biases[0] is None else torch.cat(biases)
    return Dense(torch.cat([module.weight for module in modules]), bias, dtype=dtype, activation=activation)


def activation_of(name: object) -> Activation | None:
    """The fused form of an activation of transformers; None where there is none."""
    known: dict[object, Activation] = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
    return known.get(name) if isinstance(name, str) else None


_works: list[bool] = []


def packing_works() -> bool:
    """Whether this build of torch packs weights and computes with them as torch.nn.functional.linear does."""
    if not _works:
        _works.append(_try_packing())
    return _works[0]


def _try_packing() -> bool:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in ((3, 8), (4, 8), (4,)))
    wanted = functional.gelu(functional.linear(x, weight, bias))
    try:
        with torch.no_grad():
            packed = _OPS._reorder_linear_weight(weight, None)
            found = _OPS._linear_pointwise(x, packed, bias, "gelu", [], "none")
            summed = _OPS._linear_pointwise.binary(x, wanted, packed, bias, "add")
    except (RuntimeError, AttributeError, NotImplementedError, TypeError):  # operators of torch's own compiler
        return False
    return torch.allclose(found, wanted, atol=1e-5) and torch.allclose(
        summed, functional.linear(x, weight, bias) + wanted, atol=1e-5
    )
