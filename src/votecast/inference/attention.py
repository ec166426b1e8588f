"""Attention over sequences of different lengths: padded with a mask everywhere, unpadded on CUDA where torch has it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

varlen_attn: Any = None
if torch.cuda.is_available():  # it takes a second to import
    with suppress(ImportError):  # since torch 2.10
        from torch.nn.attention import varlen

        varlen_attn = varlen.varlen_attn


@dataclass(frozen=True)
class Padding:
    """Sequences in a rectangle; what is no token is masked out of the keys.

    Args:
        bias: 0 for a token and -inf for padding, shape (m, 1, 1 or L, L); None where all are tokens.
    """

    bias: Tensor | None

    @classmethod
    def of(cls, mask: Tensor | None, dtype: torch.dtype, *, queries: int = 1) -> Padding:
        """From the mask that transformers gives a layer.

        Args:
            mask: True or 0 where a query sees a key, shape (m, 1, L, L); None where all see all.
            dtype: What is computed with.
            queries: The first queries whose rows are kept; 1 where all queries see the same keys.
        """
        if mask is None:
            return cls(None)
        mask = mask[:, :, :queries]
        if mask.dtype != torch.bool:
            return cls(mask.to(dtype))
        bias = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
        return cls(bias.masked_fill_(~mask, torch.finfo(dtype).min))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, heads: int, scale: float) -> Tensor:
        """Mix values: q of shape (m, Q, h), k and v of shape (m, L, h); Q is L, or 1 for the first token alone."""
        split = [x.view(*x.shape[:-1], heads, -1).transpose(1, 2) for x in (q, k, v)]
        bias = None if self.bias is None else self.bias.expand(-1, -1, q.shape[1], -1)
        mixed = mix(split[0], split[1], split[2], bias, scale)
        return mixed.transpose(1, 2).flatten(2)


def mix(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """softmax(scale q k' + bias) v for tensors of shape (m, heads, Q or L, d).

    In bf16 on a CPU three plain steps are half as fast again as torch's fused ones, which compute in fp32 there.
    """
    if q.dtype != torch.bfloat16 or q.device.type != "cpu":
        return scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    scores = (q * scale) @ k.transpose(2, 3)
    if bias is not None:
        scores += bias
    return scores.softmax(-1) @ v


@dataclass(frozen=True)
class Unpadded:
    """Sequences end to end, without padding, as flash attention reads them.

    Args:
        starts: Where each sequence starts, and the end of the last, shape (m + 1,), int32.
        longest: Tokens of the longest sequence.
    """

    starts: Tensor
    longest: int

    @classmethod
    def of(cls, mask: Tensor) -> Unpadded:
        """From a mask of shape (m, L) that is true for tokens."""
        lengths = mask.sum(1)
        starts = torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
        return cls(starts, int(lengths.max()))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, heads: int, scale: float) -> Tensor:
        """Mix values: q, k and v of shape (tokens, h); q of shape (m, h) holds the first tokens alone."""
        split = [x.view(*x.shape[:-1], heads, -1) for x in (q, k, v)]
        ends, longest = self.starts, self.longest
        if q.shape[0] != k.shape[0]:
            ends, longest = torch.arange(len(self.starts), dtype=torch.int32, device=q.device), 1
        return attend_unpadded(split[0], split[1], split[2], ends, self.starts, longest, self.longest, scale).flatten(1)


def attend_unpadded(
    q: Tensor, k: Tensor, v: Tensor, q_starts: Tensor, k_starts: Tensor, q_longest: int, k_longest: int, scale: float
) -> Tensor:
    """Flash attention over sequences laid end to end; the same, one sequence at a time, where torch has none.

    Args:
        q: Shape (tokens of q, heads, d).
        k: Shape (tokens of k, heads, d).
        v: As k.
        q_starts: Where each sequence starts in q, shape (m + 1,), int32.
        k_starts: The same in k.
        q_longest: Tokens of the longest sequence in q.
        k_longest: The same in k.
        scale: Factor of the scores.
    """
    if unpadded_attention_works(q):
        found: Any = varlen_attn(q, k, v, q_starts, k_starts, q_longest, k_longest, scale=scale)
        return found if isinstance(found, Tensor) else found[0]
    parts = []
    for i in range(len(q_starts) - 1):
        rows, keys = slice(int(q_starts[i]), int(q_starts[i + 1])), slice(int(k_starts[i]), int(k_starts[i + 1]))
        one = [x.transpose(0, 1).unsqueeze(0) for x in (q[rows], k[keys], v[keys])]
        parts.append(scaled_dot_product_attention(one[0], one[1], one[2], scale=scale)[0].transpose(0, 1))
    return torch.cat(parts)


def unpadded_attention_works(x: Tensor) -> bool:
    """Whether torch has flash attention for these tensors: CUDA of capability 8.0 or later, bf16 or fp16."""
    return (
        varlen_attn is not None
        and x.is_cuda
        and x.dtype in (torch.bfloat16, torch.float16)
        and torch.cuda.get_device_capability(x.device) >= (8, 0)
    )
