"""Compute causal attention in plain steps, one block of queries at a time, with windows and capped scores.

`attention.attend_packed` chooses it where no fused kernel of torch fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 128
"""Queries of one block: the scores of a block stay in the cache of a core."""


@dataclass(frozen=True)
class AttentionShape:
    """How scores become weights.

    Args:
        scale: Factor of the scores.
        window: Most tokens that a token sees, itself included; None for all.
        softcap: Limit c of the scores, which become c tanh(s / c) (Gemma 2); None for no limit.
    """

    scale: float
    window: int | None = None
    softcap: float | None = None

    def within(self, length: int) -> AttentionShape:
        """Return the shape for this many tokens: without a window that covers all of them."""
        return replace(self, window=None) if self.window is not None and self.window >= length else self


# Sizes: Q queries, L keys, heads of size d; each of g heads of keys serves e heads of queries, so that heads = g e.


def attend_in_blocks(q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape) -> Tensor:
    """Attend from the last Q tokens of one sequence to all its L tokens, with gradients.

    Args:
        q: Shape (Q, heads, d), as the result.
        k: Shape (L, g, d).
        v: As k.
        shape: How scores become weights.
    """
    return cast("Tensor", _BlockAttention.apply(q, k, v, shape))  # type: ignore[no-untyped-call]


class _BlockAttention(torch.autograd.Function):
    """Keeps q, k and v for the backward pass, which computes the weights of each block again."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape) -> Tensor:
        """Compute the mixed values, shape (Q, heads, d)."""
        ctx.save_for_backward(q, k, v)
        ctx.shape = shape
        queries = _by_head(q * shape.scale, k.shape[1])  # (g, Q, e, d)
        keys, values = (x.transpose(0, 1).contiguous() for x in (k, v))  # (g, L, d)
        out = torch.empty_like(queries)
        for rows, seen in _blocks(len(q), len(k), shape):
            weights, _ = _weights(queries[:, rows], keys[:, seen], rows, seen, len(k) - len(q), shape)
            out[:, rows] = (weights @ values[:, seen]).view_as(out[:, rows])
        return _by_token(out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of q, k and v."""
        q, k, v = ctx.saved_tensors
        shape: AttentionShape = ctx.shape
        queries = _by_head(q * shape.scale, k.shape[1])  # (g, Q, e, d)
        keys, values = (x.transpose(0, 1).contiguous() for x in (k, v))  # (g, L, d)
        d_out = _by_head(grads[0], k.shape[1])
        d_queries, d_keys, d_values = torch.empty_like(queries), torch.zeros_like(keys), torch.zeros_like(values)
        for rows, seen in _blocks(len(q), len(k), shape):
            weights, capped = _weights(queries[:, rows], keys[:, seen], rows, seen, len(k) - len(q), shape)
            d_block = d_out[:, rows].flatten(1, 2)  # (g, rows e, d)
            d_values[:, seen] += weights.transpose(1, 2) @ d_block
            d_weights = d_block @ values[:, seen].transpose(1, 2)
            d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
            if capped is not None:
                d_scores *= 1 - capped * capped  # the derivative of c tanh(s / c)
            d_queries[:, rows] = (d_scores @ keys[:, seen]).view_as(d_queries[:, rows])
            d_keys[:, seen] += d_scores.transpose(1, 2) @ queries[:, rows].flatten(1, 2)
        return _by_token(d_queries) * shape.scale, d_keys.transpose(0, 1), d_values.transpose(0, 1), None


def _weights(
    q: Tensor, k: Tensor, rows: slice, seen: slice, before: int, shape: AttentionShape
) -> tuple[Tensor, Tensor | None]:
    """Compute the weights of one block, shape (g, rows e, keys), and tanh(s / c) where scores are capped."""
    count, each = q.shape[1:3]  # q is (g, rows, e, d), k is (g, keys, d)
    scores = q.flatten(1, 2) @ k.transpose(1, 2)
    capped = None
    if shape.softcap is not None:
        capped = torch.tanh(scores / shape.softcap)
        scores = capped * shape.softcap
    first = before + rows.start  # the key of the block's first query
    by_row = scores.view(len(k), count, each, -1)
    if shape.window is None:
        # Every query sees all keys before the block, so that only its last square needs a mask.
        hidden = torch.ones(count, count, dtype=torch.bool, device=q.device).triu(1)
        by_row[..., first - seen.start :].masked_fill_(hidden[:, None], -torch.inf)
    else:
        at = torch.arange(first, seen.stop, device=q.device)[:, None]
        key = torch.arange(seen.start, seen.stop, device=q.device)
        by_row.masked_fill_(((key > at) | (key <= at - shape.window))[:, None], -torch.inf)
    return scores.softmax(-1), capped


def _blocks(queries: int, length: int, shape: AttentionShape) -> Iterator[tuple[slice, slice]]:
    """Yield the queries of each block, and the keys that at least one of them sees."""
    before = length - queries
    for start in range(0, queries, BLOCK):
        stop = min(start + BLOCK, queries)
        lowest = 0 if shape.window is None else max(0, before + start + 1 - shape.window)
        yield slice(start, stop), slice(lowest, before + stop)


def _by_head(x: Tensor, groups: int) -> Tensor:
    """Turn (Q, heads, d) into (g, Q, e, d)."""
    return x.reshape(len(x), groups, -1, x.shape[2]).transpose(0, 1).contiguous()


def _by_token(x: Tensor) -> Tensor:
    """Turn (g, Q, e, d) into (Q, heads, d)."""
    return x.transpose(0, 1).flatten(1, 2)


def attend_with_dropout(q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape, dropout: float) -> Tensor:
    """Attend as `attend_in_blocks` does, all queries at once, and drop a share of the weights."""
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))  # (L, heads, d)
    scores = torch.einsum("qhd,khd->hqk", q, k) * shape.scale
    if shape.softcap is not None:
        scores = torch.tanh(scores / shape.softcap) * shape.softcap
    at = torch.arange(len(k) - len(q), len(k), device=q.device)[:, None]
    key = torch.arange(len(k), device=q.device)
    hidden = key > at if shape.window is None else (key > at) | (key <= at - shape.window)  # (Q, L)
    weights = functional.dropout(torch.softmax(scores.masked_fill(hidden, -torch.inf), -1), dropout)
    return torch.einsum("hqk,khd->qhd", weights, v)
