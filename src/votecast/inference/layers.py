"""Compute dense layers, norms, rotary positions and gates without the overhead of modules of torch.

The passes of encoders and decoders consist of them; those of decoders have gradients, for training.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

GELUS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
"""Approximation of each kind of GELU, by its name in transformers."""

GATES = {"silu": "silu", "swish": "silu", "gelu": "none", "gelu_pytorch_tanh": "tanh"}
"""Activations of gates, by their names in transformers: silu, or the approximation of GELU."""

# Operators behind torch's own CPU compiler: a GELU or a sum costs no second pass over the result of the product.
_mkldnn, _onednn = torch.ops.mkldnn, torch.ops.onednn


class Dense:
    """A dense layer x W' + b with an optional GELU, its weights packed by oneDNN where this build of torch can.

    Args:
        linears: Linear modules over the same input, whose outputs lie side by side; all have a bias, or none has.
        dtype: Precision of the product; int8 takes and returns bf16.
        rows: The outputs to compute.
        gelu: Approximation of the GELU that follows, "none" or "tanh"; None for no activation.
    """

    def __init__(
        self, *linears: nn.Linear, dtype: torch.dtype, rows: slice = slice(None), gelu: str | None = None
    ) -> None:
        weight = linears[0].weight if len(linears) == 1 else torch.cat([linear.weight for linear in linears])
        weight, self.gelu = weight[rows].detach(), gelu  # (outputs, inputs)
        self.bias: Tensor | None = None
        if linears[0].bias is not None:
            bias = torch.cat([linear.bias for linear in linears])[rows].detach()
            self.bias = bias.to(torch.float32 if dtype == torch.int8 else dtype)
        self.scales: Tensor | None = None
        self.is_packed = weight.device.type == "cpu" and dtype in (torch.float32, torch.bfloat16) and packing_works()
        if dtype == torch.int8:
            # One scale per output: the largest weight of each row becomes 127. Inputs are scaled in every call.
            self.scales = weight.abs().amax(dim=1).float().clamp(min=1e-8) / 127  # (outputs,)
            self.weight = _onednn.qlinear_prepack((weight / self.scales[:, None]).round().to(torch.int8), None)
        elif self.is_packed:
            self.weight = _mkldnn._reorder_linear_weight(weight.to(dtype).contiguous(), None)
        else:
            self.weight = weight.to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """Map x of shape (..., inputs) to shape (..., outputs)."""
        name, algorithm = ("none", "") if self.gelu is None else ("gelu", self.gelu)
        if self.scales is not None:
            return self._multiply_int8(x, self.scales, name, algorithm)
        if self.is_packed:
            return cast("Tensor", _mkldnn._linear_pointwise(x, self.weight, self.bias, name, [], algorithm))
        y = functional.linear(x, self.weight, self.bias)
        return y if self.gelu is None else functional.gelu(y, approximate=self.gelu)

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """Return residual + x W' + b, without activation."""
        if self.scales is not None:
            return self._multiply_int8(x, self.scales, "none", "") + residual
        if self.is_packed:
            return cast("Tensor", _mkldnn._linear_pointwise.binary(x, residual, self.weight, self.bias, "add"))
        return functional.linear(x, self.weight, self.bias) + residual

    def _multiply_int8(self, x: Tensor, scales: Tensor, name: str, algorithm: str) -> Tensor:
        # oneDNN takes unsigned inputs: 128 stands for zero, and the largest input of this call becomes 1 or 255.
        scale = max(float(x.abs().amax()), 1e-8) / 127
        inputs = ((x.float() / scale).round_().add_(128).to(torch.uint8), scale, 128)
        weights = (self.weight, scales, torch.zeros_like(scales, dtype=torch.int32), self.bias)
        return cast("Tensor", _onednn.qlinear_pointwise(*inputs, *weights, 1.0, 0, torch.bfloat16, name, [], algorithm))


class SharedPacks:
    """Packed layers of frozen weights, for the engines of all networks around these weights.

    Args:
        weights: The frozen weights.
    """

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self._frozen = {id(weight) for weight in weights}
        self._packed: dict[tuple[object, ...], Dense] = {}

    def __deepcopy__(self, memo: dict[int, object]) -> SharedPacks:
        """Return no packs: a copy of a network has weights of its own."""
        return SharedPacks(())

    def dense(self, *linears: nn.Linear, dtype: torch.dtype) -> Dense:
        """Return the dense layer of some linear modules, packed once where all their weights are frozen."""
        tensors = [tensor for linear in linears for tensor in linear.parameters()]
        if any(id(tensor) not in self._frozen for tensor in tensors):
            return Dense(*linears, dtype=dtype)
        key = (dtype, *map(id, tensors))
        if key not in self._packed:
            self._packed[key] = Dense(*linears, dtype=dtype)
        return self._packed[key]

    def free(self) -> None:
        """Forget the packed layers, which engines in use keep."""
        self._packed.clear()


def states_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the precision of the states between dense layers of this precision."""
    return torch.bfloat16 if dtype == torch.int8 else dtype


def int8_works() -> bool:
    """Return whether this build of torch multiplies int8 through oneDNN."""
    return packing_works() and hasattr(_onednn, "qlinear_pointwise")


@functools.cache
def packing_works() -> bool:
    """Return whether this build of torch packs weights and then agrees with `torch.nn.functional.linear`."""
    if not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in ((3, 8), (4, 8), (4,)))
    product = functional.linear(x, weight, bias)
    activated = functional.gelu(product)
    try:
        with torch.no_grad():
            packed = _mkldnn._reorder_linear_weight(weight, None)
            found = _mkldnn._linear_pointwise(x, packed, bias, "gelu", [], "none")
            summed = _mkldnn._linear_pointwise.binary(x, activated, packed, bias, "add")
    # The operators are private: any release of torch may change them.
    except (RuntimeError, AttributeError, NotImplementedError, TypeError):
        return False
    return torch.allclose(found, activated, atol=1e-5) and torch.allclose(summed, product + activated, atol=1e-5)


def frozen_norm(module: nn.LayerNorm, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Copy a layer norm in the precision of the states between dense layers of this precision."""
    return copy.deepcopy(module).requires_grad_(False).to(states_dtype(dtype))


def rms_norm(x: Tensor, weight: Tensor, eps: float, *, from_one: bool) -> Tensor:
    """Divide x of shape (..., h) by its root mean square, in fp32 (Zhang and Sennrich 2019, eq. 4).

    The weight, of shape (h,), gets no gradient. With `from_one` 1 is added to it, and it multiplies before rounding.
    """
    return cast("Tensor", _RmsNorm.apply(x, weight, eps, from_one))  # type: ignore[no-untyped-call]


class _RmsNorm(torch.autograd.Function):
    """Keeps x, the weight and one scale per row for the backward pass; autograd would keep five arrays of x's size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, from_one: bool) -> Tensor:
        """Normalise x."""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)  # (..., 1)
        ctx.save_for_backward(x, weight, scale)
        ctx.from_one = from_one
        if from_one:
            return (wide * scale * (1 + weight.float())).to(x.dtype)
        return (wide * scale).to(x.dtype) * weight.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradient of x."""
        x, weight, scale = ctx.saved_tensors
        d_normal = grads[0].float() * (1 + weight.float() if ctx.from_one else weight.float())
        normal = x.float().mul_(scale)
        # With n = x s and s = (mean(x^2) + eps)^(-1/2): dx = s (dn - n mean(dn n)).
        along = (d_normal * normal).mean(-1, keepdim=True)
        return d_normal.sub_(normal.mul_(along)).mul_(scale).to(x.dtype), None, None, None


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary positions (Su et al. 2021, eq. 34) to x of shape (T, heads, d); cos and sin are (T, 1, d / 2)."""
    return cast("Tensor", _Rotation.apply(x, cos, sin))  # type: ignore[no-untyped-call]


class _Rotation(torch.autograd.Function):
    """Keeps the angles alone for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotate x."""
        ctx.save_for_backward(cos, sin)
        return _rotate_halves(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Rotate the gradient by the opposite angles."""
        cos, sin = ctx.saved_tensors
        return _rotate_halves(grads[0], cos, -sin), None, None


def _rotate_halves(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    # Pairs are (i, i + d / 2), as in transformers, not (2 i, 2 i + 1) as in the paper.
    out = torch.empty(x.shape, dtype=torch.promote_types(x.dtype, cos.dtype), device=x.device)
    (one, two), (low, high) = x.chunk(2, dim=-1), out.chunk(2, dim=-1)
    torch.mul(one, cos, out=low)
    low.addcmul_(two, sin, value=-1)
    torch.mul(two, cos, out=high)
    high.addcmul_(one, sin)
    return out


def glu(gate: Tensor, up: Tensor, activation: str) -> Tensor:
    """Return activation(gate) * up, the gated linear unit of Shazeer (2020); the activation is one of `GATES`."""
    return cast("Tensor", _Glu.apply(gate, up, GATES[activation]))  # type: ignore[no-untyped-call]


class _Glu(torch.autograd.Function):
    """Computes the activation again in the backward pass, so that only its two inputs are kept."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, kind: str) -> Tensor:
        """Multiply the activated gate with the other input."""
        ctx.save_for_backward(gate, up)
        ctx.kind = kind
        return _activate(gate, kind).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of both inputs."""
        gate, up = ctx.saved_tensors
        d_gate = grads[0] * up
        if ctx.kind == "silu":
            d_gate = torch.ops.aten.silu_backward(d_gate, gate)
        else:
            d_gate = torch.ops.aten.gelu_backward(d_gate, gate, approximate=ctx.kind)
        return d_gate, _activate(gate, ctx.kind).mul_(grads[0]), None


def _activate(x: Tensor, kind: str) -> Tensor:
    return functional.silu(x) if kind == "silu" else functional.gelu(x, approximate=kind)
