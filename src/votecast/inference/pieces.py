"""What stands between the matrix products of a causal layer: norm, rotary positions, gate; lean on memory in training.

Each computes what transformers computes, keeps only its inputs for the backward pass, and trains no weights of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

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
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, scale)
        ctx.from_one = from_one
        if from_one:
            return (wide * scale * (1 + weight.float())).to(x.dtype)
        return (wide * scale).to(x.dtype) * weight.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale = ctx.saved_tensors
        given = grads[0].float() * (1 + weight.float() if ctx.from_one else weight.float())
        normal = x.float().mul_(scale)
        along = (given * normal).mean(-1, keepdim=True)
        return given.sub_(normal.mul_(along)).mul_(scale).to(x.dtype), None, None, None


class _Rotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return _turn(grads[0], cos, -sin), None, None


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, kind: str) -> Tensor:
        ctx.save_for_backward(gate, up)
        ctx.kind = kind
        return _activated(gate, kind).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
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
