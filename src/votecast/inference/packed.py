"""Causal attention over sequences laid end to end in one row, each of them blind to the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from votecast.inference.attention import unpadded_attention_works, varlen_attn


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


def attend_packed(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    packed: Packed,
    *,
    scale: float,
    window: int | None = None,
    softcap: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Each token sees those before it in its own sequence, and itself.

    Args:
        q: Shape (T, heads, d).
        k: Shape (T, heads of keys, d), a divisor of the heads.
        v: As k.
        packed: Where the sequences are.
        scale: Factor of the scores.
        window: A token sees at most this many, itself counted; None does not limit it.
        softcap: Scores s become softcap tanh(s / softcap) (Gemma 2); None leaves them.
        dropout: Of the weights.

    Returns:
        Shape (T, heads, d).
    """
    q, k = q.to(v.dtype), k.to(v.dtype)  # autocast leaves them in fp32 after the rotation
    if window is not None and window >= packed.longest:
        window = None
    if softcap is None and not dropout and unpadded_attention_works(q):
        sides = (-1 if window is None else window - 1, 0)
        starts, longest = packed.starts, packed.longest
        options: dict[str, Any] = {"scale": scale, "window_size": sides, "enable_gqa": q.shape[1] != k.shape[1]}
        found: Any = varlen_attn(q, k, v, starts, starts, longest, longest, **options)
        return found if isinstance(found, Tensor) else found[0]
    parts = zip(*(x.split(packed.lengths) for x in (q, k, v)), strict=True)
    options = {"scale": scale, "window": window, "softcap": softcap, "dropout": dropout}
    mixed = [_attend(*(x.transpose(0, 1)[None] for x in part), **options) for part in parts]
    return torch.cat([one[0].transpose(0, 1) for one in mixed])


def _attend(
    q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None, softcap: float | None, dropout: float
) -> Tensor:
    """One sequence: tensors of shape (1, heads, L, d)."""
    length, shared = q.shape[2], q.shape[1] != k.shape[1]
    limited = window is not None and window < length
    if softcap is None:
        mask = causal_mask(length, window, q.device) if limited else None
        return scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, dropout_p=dropout, scale=scale, enable_gqa=shared
        )
    if shared:
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    scores = torch.tanh(q @ k.transpose(2, 3) * scale / softcap) * softcap
    scores = scores.masked_fill(~causal_mask(length, window, q.device), torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(q.dtype)
    return torch.nn.functional.dropout(weights, dropout) @ v


def causal_mask(length: int, window: int | None, device: torch.device) -> Tensor:
    """True where a query (row) sees a key (column), shape (length, length)."""
    seen = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    return seen if window is None else seen.triu(1 - window)
