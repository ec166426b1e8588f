"""Causal attention of one sequence in plain steps, a block of queries at a time, with a backward pass of its own.

Scores beyond the diagonal are computed within a block alone, and nothing of the size of the scores is kept for the
backward pass, which computes them again (as in Dao et al. 2022). In bf16 on a CPU this takes
half the time of torch's fused attention, which computes in fp32 there; and it knows the soft cap of Gemma 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

BLOCK = 128
"""Queries of one block."""


@dataclass(frozen=True)
class Shape:
    """How scores become weights.

    Args:
        scale: Factor of the scores.
        window: A token sees at most this many, itself counted; None does not limit it.
        softcap: Scores s become softcap tanh(s / softcap); None leaves them.
    """

    scale: float
    window: int | None = None
    softcap: float | None = None


def attend_in_blocks(q: Tensor, k: Tensor, v: Tensor, shape: Shape) -> Tensor:
    """Attention of the last tokens of one sequence over all of it.

    Args:
        q: Shape (Q, heads, d), of the last Q of L tokens.
        k: Shape (L, heads of keys, d), a divisor of the heads.
        v: As k.
        shape: How scores become weights.

    Returns:
        Shape (Q, heads, d).
    """
    found: Tensor = _Attention.apply(q, k, v, shape)  # type: ignore[no-untyped-call]
    return found


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, shape: Shape) -> Tensor:
        ctx.save_for_backward(q, k, v)
        ctx.shape = shape
        queries, keys, values = _by_head(q * shape.scale, k.shape[1]), _keys(k), _keys(v)
        out = torch.empty_like(queries)
        for rows, seen in _blocks(len(q), len(k), shape):
            weights, _ = _weights(queries[:, rows], keys[:, seen], rows, seen, len(k) - len(q), shape)
            out[:, rows] = (weights @ values[:, seen]).view_as(out[:, rows])
        return _by_token(out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v = ctx.saved_tensors
        shape: Shape = ctx.shape
        queries, keys, values = _by_head(q * shape.scale, k.shape[1]), _keys(k), _keys(v)
        given = _by_head(grads[0], k.shape[1])
        d_queries, d_keys, d_values = torch.empty_like(queries), torch.zeros_like(keys), torch.zeros_like(values)
        for rows, seen in _blocks(len(q), len(k), shape):
            weights, bent = _weights(queries[:, rows], keys[:, seen], rows, seen, len(k) - len(q), shape)
            block = given[:, rows].flatten(1, 2)
            d_values[:, seen] += weights.transpose(1, 2) @ block
            d_weights = block @ values[:, seen].transpose(1, 2)
            d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
            if bent is not None:
                d_scores *= 1 - bent * bent
            d_queries[:, rows] = (d_scores @ keys[:, seen]).view_as(d_queries[:, rows])
            d_keys[:, seen] += d_scores.transpose(1, 2) @ queries[:, rows].flatten(1, 2)
        return _by_token(d_queries) * shape.scale, d_keys.transpose(0, 1), d_values.transpose(0, 1), None


def _weights(q: Tensor, k: Tensor, rows: slice, seen: slice, before: int, shape: Shape) -> tuple[Tensor, Tensor | None]:
    """Weights of a block, shape (heads of keys, rows x queries of a key, keys), and tanh(s / softcap) if capped."""
    count, each = q.shape[1:3]
    scores = q.flatten(1, 2) @ k.transpose(1, 2)
    bent = None
    if shape.softcap is not None:
        bent = torch.tanh(scores / shape.softcap)
        scores = bent * shape.softcap
    first = before + rows.start
    by_row = scores.view(len(k), count, each, -1)
    if shape.window is None:
        hidden = torch.ones(count, count, dtype=torch.bool, device=q.device).triu(1)
        by_row[..., first - seen.start :].masked_fill_(hidden[:, None], -torch.inf)
    else:
        at = torch.arange(first, seen.stop, device=q.device)[:, None]
        key = torch.arange(seen.start, seen.stop, device=q.device)
        by_row.masked_fill_(((key > at) | (key <= at - shape.window))[:, None], -torch.inf)
    return torch.softmax(scores, -1), bent


def _blocks(queries: int, length: int, shape: Shape) -> Iterator[tuple[slice, slice]]:
    """Queries of each block, and the keys that at least one of them sees."""
    before = length - queries
    for start in range(0, queries, BLOCK):
        stop = min(start + BLOCK, queries)
        lowest = 0 if shape.window is None else max(0, before + start + 1 - shape.window)
        yield slice(start, stop), slice(lowest, before + stop)


def _keys(x: Tensor) -> Tensor:
    """(L, heads of keys, d) to (heads of keys, L, d)."""
    return x.transpose(0, 1).contiguous()


def _by_head(x: Tensor, keys: int) -> Tensor:
    """(Q, heads, d) to (heads of keys, Q, heads of one key, d)."""
    return x.reshape(len(x), keys, -1, x.shape[2]).transpose(0, 1).contiguous()


def _by_token(x: Tensor) -> Tensor:
    """(heads of keys, Q, heads of one key, d) to (Q, heads, d)."""
    return x.transpose(0, 1).flatten(1, 2)
