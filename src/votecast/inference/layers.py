"""Layers of a network that no longer learns: dense, norm, rotary positions, gates.

The passes of encoders and decoders are built of them.
"""

from __future__ import annotations

import copy
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import layer_norm

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


GATES = {"silu": "silu", "gelu": "none", "gelu_pytorch_tanh": "tanh"}
"""Activations of gates: silu, or GELU with or without the approximation."""


def rms_norm(x: Tensor, weight: Tensor, eps: float, *, from_one: bool) -> Tensor:
    """Root mean square normalisation (Zhang and Sennrich 2019) over the last dimension, in fp32.

    Args:
        x: Shape (..., h).
        weight: Shape (h,); gets no gradient.
        eps: Added to the mean square.
        from_one: Weights count from 1, and multiply before rounding (Gemma).
    """
    found: Tensor = _Norm.apply(x, weight, eps, from_one)  # type: ignore[no-untyped-call]
    return found


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021): x of shape (T, heads, d), cos and sin of shape (T, 1, d / 2)."""
    found: Tensor = _Rotation.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return found


def gated(gate: Tensor, up: Tensor, activation: str) -> Tensor:
    """activation(gate) up, as in Shazeer (2020); the activation is one of `GATES`."""
    found: Tensor = _Gate.apply(gate, up, GATES[activation])  # type: ignore[no-untyped-call]
    return found


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, from_one: bool) -> Tensor:
        """Compute the result; see the class."""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, scale)
        ctx.from_one = from_one
        if from_one:
            return (wide * scale * (1 + weight.float())).to(x.dtype)
        return (wide * scale).to(x.dtype) * weight.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients; see the class."""
        x, weight, scale = ctx.saved_tensors
        given = grads[0].float() * (1 + weight.float() if ctx.from_one else weight.float())
        normal = x.float().mul_(scale)
        along = (given * normal).mean(-1, keepdim=True)
        return given.sub_(normal.mul_(along)).mul_(scale).to(x.dtype), None, None, None


class _Rotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Compute the result; see the class."""
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients; see the class."""
        cos, sin = ctx.saved_tensors
        return _turn(grads[0], cos, -sin), None, None


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, kind: str) -> Tensor:
        """Compute the result; see the class."""
        ctx.save_for_backward(gate, up)
        ctx.kind = kind
        return _activated(gate, kind).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients; see the class."""
        gate, up = ctx.saved_tensors
        for_gate = grads[0] * up
        if ctx.kind == "silu":
            for_gate = torch.ops.aten.silu_backward(for_gate, gate)
        else:
            for_gate = torch.ops.aten.gelu_backward(for_gate, gate, approximate=ctx.kind)
        return for_gate, _activated(gate, ctx.kind).mul_(grads[0]), None


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    out = torch.empty(x.shape, dtype=torch.promote_types(x.dtype, cos.dtype), device=x.device)
    (one, two), (low, high) = x.chunk(2, dim=-1), out.chunk(2, dim=-1)
    torch.mul(one, cos, out=low)
    low.addcmul_(two, sin, value=-1)
    torch.mul(two, cos, out=high)
    high.addcmul_(one, sin)
    return out


def _activated(x: Tensor, kind: str) -> Tensor:
    return functional.silu(x) if kind == "silu" else functional.gelu(x, approximate=kind)


def is_spread(backbone: object) -> bool:
    """Whether accelerate has laid the layers of a model on several devices, between which it moves what passes.

    Such a model is run as transformers has it: its layers are neither moved, copied nor taken apart.

    Args:
        backbone: A model of transformers, perhaps inside adapters of peft.
    """
    base = backbone.get_base_model() if hasattr(backbone, "get_base_model") else backbone
    return len(set((getattr(base, "hf_device_map", None) or {}).values())) > 1


N = TypeVar("N")


def beside_backbone(network: N) -> N:
    """A copy of a network that shares its backbone."""
    backbone = network.backbone  # type: ignore[attr-defined]
    return copy.deepcopy(network, {id(backbone): backbone})
