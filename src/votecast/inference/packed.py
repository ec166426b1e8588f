"""Causal attention over sequences laid end to end in one row, each of them blind to the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import pad, scaled_dot_product_attention

from votecast.inference.attention import unpadded_attention_works, varlen_attn
from votecast.inference.blocks import Shape, attend_in_blocks


@dataclass(frozen=True)
class Packed:
    """Where the sequences of a row start and end.

    Args:
        lengths: Tokens of each of the m sequences.
        starts: Where each starts, and the end of the last, shape (m + 1,), int32, on the device.
    """

    lengths: tuple[int, ...]
    starts: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> Packed:
        """From a mask of shape (m, L) that is 1 for tokens."""
        lengths = mask.sum(1)
        starts = pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
        return cls(tuple(lengths.tolist()), starts)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(self.lengths)

    @property
    def positions(self) -> Tensor:
        """Place of every token in its sequence, shape (T,)."""
        return torch.cat([torch.arange(length, device=self.starts.device) for length in self.lengths])

    @property
    def last(self) -> Tensor:
        """Where the last token of each sequence lies, shape (m,)."""
        return self.starts[1:].long() - 1


def attend_packed(q: Tensor, k: Tensor, v: Tensor, packed: Packed, shape: Shape, *, dropout: float = 0.0) -> Tensor:
    """Each token sees those before it in its own sequence, and itself.

    Args:
        q: Shape (T, heads, d).
        k: Shape (T, heads of keys, d), a divisor of the heads.
        v: As k.
        packed: Where the sequences are.
        shape: How scores become weights.
        dropout: Of the weights.

    Returns:
        Shape (T, heads, d).
    """
    q, k = q.to(v.dtype), k.to(v.dtype)  # autocast leaves them in fp32 after the rotation
    if shape.window is not None and shape.window >= packed.longest:
        shape = replace(shape, window=None)
    if shape.softcap is None and not dropout and unpadded_attention_works(q):
        sides = (-1 if shape.window is None else shape.window - 1, 0)
        starts, longest = packed.starts, packed.longest
        options: dict[str, Any] = {"scale": shape.scale, "window_size": sides, "enable_gqa": q.shape[1] != k.shape[1]}
        found: Any = varlen_attn(q, k, v, starts, starts, longest, longest, **options)
        return found if isinstance(found, Tensor) else found[0]
    parts = zip(*(x.split(packed.lengths) for x in (q, k, v)), strict=True)
    return torch.cat([_attend(q, k, v, shape, dropout) for q, k, v in parts])


def _attend(q: Tensor, k: Tensor, v: Tensor, shape: Shape, dropout: float) -> Tensor:
    """One sequence: tensors of shape (L, heads, d)."""
    rounds = q.dtype == torch.bfloat16 and q.device.type == "cpu"
    limited = shape.window is not None and shape.window < len(q)
    if not dropout and (rounds or limited or shape.softcap is not None):
        return attend_in_blocks(q, k, v, shape if limited else replace(shape, window=None))
    one, two, three = (x.transpose(0, 1)[None] for x in (q, k, v))
    options: dict[str, Any] = {"scale": shape.scale, "dropout_p": dropout, "enable_gqa": q.shape[1] != k.shape[1]}
    if shape.softcap is None:
        mask = causal_mask(len(q), shape.window, q.device) if limited else None
        mixed = scaled_dot_product_attention(one, two, three, attn_mask=mask, is_causal=mask is None, **options)
        return mixed[0].transpose(0, 1)
    two, three = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (two, three))
    scores = torch.tanh(one @ two.transpose(2, 3) * (shape.scale / shape.softcap)) * shape.softcap
    scores = scores.masked_fill(~causal_mask(len(q), shape.window, q.device), -torch.inf)
    mixed = functional.dropout(torch.softmax(scores, -1), dropout) @ three
    return mixed[0].transpose(0, 1)


def causal_mask(length: int, window: int | None, device: torch.device) -> Tensor:
    """True where a query (row) sees a key (column), shape (length, length)."""
    seen = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    return seen if window is None else seen.triu(1 - window)
