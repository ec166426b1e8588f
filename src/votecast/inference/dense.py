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
        dtype: What is computed with. int8 takes and gives bf16: weights have a scale for each output, inputs one that
            is measured in every call.
        activation: What follows.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, *, dtype: torch.dtype, activation: Activation = "none"
    ) -> None:
        self.activation = activation
        self.weight: Tensor | None = weight.detach()
        self.bias = None if bias is None else bias.detach().to(torch.float32 if dtype == torch.int8 else dtype)
        self.packed: Tensor | None = None
        self.scales: Tensor | None = None  # of 8 bits
        if dtype == torch.int8:
            self.scales = self.weight.abs().amax(dim=1).float().clamp(min=1e-8) / 127
            rounded = (self.weight / self.scales[:, None]).round().to(torch.int8)
            self.packed = torch.ops.onednn.qlinear_prepack(rounded, None)
        elif weight.device.type == "cpu" and dtype in (torch.float32, torch.bfloat16) and packing_works():
            self.packed = _OPS._reorder_linear_weight(self.weight.to(dtype).contiguous(), None)
        self.weight = self.weight.to(dtype) if self.packed is None else None

    def __call__(self, x: Tensor) -> Tensor:
        """Shape (..., inputs) to (..., outputs)."""
        name, algorithm = _FUSED[self.activation]
        if self.scales is not None:
            return self._of_8_bits(x, name, algorithm)
        if self.packed is not None:
            return cast("Tensor", _OPS._linear_pointwise(x, self.packed, self.bias, name, [], algorithm))
        y = functional.linear(x, cast("Tensor", self.weight), self.bias)
        return y if self.activation == "none" else functional.gelu(y, approximate=algorithm)

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The residual and x W' + b, without activation."""
        if self.scales is not None:
            return self._of_8_bits(x, "none", "") + residual
        if self.packed is not None:
            return cast("Tensor", _OPS._linear_pointwise.binary(x, residual, self.packed, self.bias, "add"))
        return functional.linear(x, cast("Tensor", self.weight), self.bias) + residual

    def _of_8_bits(self, x: Tensor, name: str, algorithm: str) -> Tensor:
        scale = max(float(x.abs().amax()), 1e-8) / 127
        rounded = (x.float() / scale).round_().add_(128).to(torch.uint8)
        zeros = torch.zeros_like(cast("Tensor", self.scales), dtype=torch.int32)
        weights = (self.packed, self.scales, zeros, self.bias)
        found: Tensor = torch.ops.onednn.qlinear_pointwise(
            rounded, scale, 128, *weights, 1.0, 0, torch.bfloat16, name, [], algorithm
        )
        return found


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


def states_dtype(dtype: torch.dtype) -> torch.dtype:
    """What the states between dense layers are kept in."""
    return torch.bfloat16 if dtype == torch.int8 else dtype


def int8_works() -> bool:
    """Whether this build of torch computes with 8 bits through oneDNN."""
    return packing_works() and hasattr(torch.ops.onednn, "qlinear_pointwise")


_works: list[bool] = []


def packing_works() -> bool:
    """Whether this build of torch packs weights and computes with them as torch.nn.functional.linear does."""
    if not _works:
        _works.append(_try_packing())
    return _works[0]


def _try_packing() -> bool:
    if not torch.backends.mkldnn.is_available():
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
