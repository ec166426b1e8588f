"""Attend over sequences of different lengths: padded with a mask, unpadded, or packed end to end.

The passes of encoders and decoders call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import scaled_dot_product_attention

from votecast.inference.block_attention import (
    AttentionShape,
    attend_flexibly,
    attend_in_blocks,
    flexible_attention_works,
    mask_of,
)
from votecast.text.batching import SharedPrefixes
from votecast.text.sequences import offsets_of, ranges

varlen_attn: Any = None
if torch.cuda.is_available():  # it takes a second to import
    with suppress(ImportError):  # since torch 2.10
        from torch.nn.attention import varlen

        varlen_attn = varlen.varlen_attn


@dataclass(frozen=True)
class PaddedTokens:
    """Sequences in a rectangle; what is no token is masked out of the keys.

    Args:
        bias: 0 for a token and -inf for padding, shape (m, 1, 1 or L, L); None where all are tokens.
    """

    bias: Tensor | None

    @classmethod
    def of(cls, mask: Tensor | None, dtype: torch.dtype, *, queries: int = 1) -> PaddedTokens:
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
        """Build from a mask of shape (m, L) that is true at tokens."""
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
        q: AttentionShape (tokens of q, heads, d).
        k: AttentionShape (tokens of k, heads, d).
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


@dataclass(frozen=True)
class Packed:
    """Pieces of text end to end: a whole sequence each, or what follows a prefix that several sequences share.

    The prefixes themselves are pieces too and lie behind all others.

    Args:
        queries: Tokens of each piece.
        keys: Tokens that its last token sees: its own, and those of its prefix.
        positions: Place of every token in its sequence, shape (T,), int64.
        source: Which of the T tokens are the keys of the pieces, end to end; None where these are the pieces.
        count: How many sequences there are, which are the first pieces.
        masks: What flexible attention reads, by window; made when first needed.
    """

    queries: tuple[int, ...]
    keys: tuple[int, ...]
    positions: Tensor
    source: Tensor | None
    count: int
    masks: dict[int | None, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> Packed:
        """Whole sequences of these lengths."""
        known = tuple(int(length) for length in lengths)
        positions = torch.cat([torch.arange(length) for length in known])
        return cls(known, known, positions.to(device), None, len(known))

    @classmethod
    def sharing(cls, shared: SharedPrefixes, lengths: NDArray[np.int64], device: torch.device) -> Packed:
        """Sequences of these lengths whose shared prefixes come once."""
        before, group, m = shared.prefix[shared.group], shared.group, len(lengths)
        queries = np.concatenate([lengths - before, shared.prefix])
        keys = np.concatenate([lengths, shared.prefix])
        starts = offsets_of(queries)[:-1]
        own = ranges(starts, queries)
        positions = own - np.repeat(starts, queries) + np.repeat(np.append(before, 0 * shared.prefix), queries)
        parts = np.stack([np.append(starts[m:][group], starts[m:] * 0), np.append(before, shared.prefix * 0)])
        sides = np.stack([parts, np.stack([starts, queries])], axis=-1).reshape(2, -1)  # prefix, own, prefix, own ...
        source = torch.from_numpy(ranges(sides[0], sides[1])).to(device)
        some = queries > 0  # a sequence alone has no prefix
        return cls(
            tuple(queries[some].tolist()), tuple(keys[some].tolist()), torch.from_numpy(positions).to(device), source, m
        )

    @property
    def last(self) -> Tensor:
        """Where the last token of each sequence lies, shape (count,)."""
        ends = np.cumsum(self.queries[: self.count]) - 1
        return torch.from_numpy(ends).to(self.positions.device)

    def of_last(self) -> Packed:
        """The same where of each sequence only the last token asks."""
        source = None if self.source is None else self.source[: sum(self.keys[: self.count])]
        keys = self.keys[: self.count]
        return Packed((1,) * self.count, keys, self.positions[self.last], source, self.count)


def attend_packed(
    q: Tensor, k: Tensor, v: Tensor, packed: Packed, shape: AttentionShape, *, dropout: float = 0.0
) -> Tensor:
    """Each token sees those before it in its own sequence, and itself.

    Args:
        q: AttentionShape (T, heads, d), of the tokens that ask.
        k: AttentionShape (all tokens, heads of keys, d); its heads divide those of q.
        v: As k.
        packed: Where the sequences are.
        shape: How scores become weights.
        dropout: Of the weights.

    Returns:
        AttentionShape (T, heads, d).
    """
    q, k = q.to(v.dtype), k.to(v.dtype)  # autocast leaves them in fp32 after the rotation
    if packed.source is not None:
        k, v = k[packed.source], v[packed.source]
    longest = max(packed.keys)
    if shape.window is not None and shape.window >= longest:
        shape = replace(shape, window=None)
    if shape.softcap is None and not dropout and unpadded_attention_works(q):
        return _flash(q, k, v, packed, shape)
    if q.is_cuda and not dropout and flexible_attention_works(q.device, q.dtype, q.shape[1], k.shape[1], q.shape[2]):
        if shape.window not in packed.masks:
            packed.masks[shape.window] = mask_of(packed.queries, packed.keys, shape.window, q.device)
        return attend_flexibly(q, k, v, packed.masks[shape.window], shape)
    parts = zip(q.split(packed.queries), k.split(packed.keys), v.split(packed.keys), strict=True)
    return torch.cat([_attend(q, k, v, shape, dropout) for q, k, v in parts])


def _flash(q: Tensor, k: Tensor, v: Tensor, packed: Packed, shape: AttentionShape) -> Tensor:
    sides = (-1 if shape.window is None else shape.window - 1, 0)
    starts = [torch.from_numpy(offsets_of(np.array(x)).astype(np.int32)) for x in (packed.queries, packed.keys)]
    starts = [x.to(q.device, non_blocking=True) for x in starts]
    most = max(packed.queries), max(packed.keys)
    options: dict[str, Any] = {"scale": shape.scale, "window_size": sides, "enable_gqa": q.shape[1] != k.shape[1]}
    found: Any = varlen_attn(q, k, v, *starts, *most, **options)
    return found if isinstance(found, Tensor) else found[0]


def _attend(q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape, dropout: float) -> Tensor:
    """One piece: q of shape (Q, heads, d), k and v of shape (L, heads of keys, d)."""
    if shape.window is not None and shape.window >= len(k):
        shape = replace(shape, window=None)
    if dropout:
        return _attend_plainly(q, k, v, shape, dropout)
    rounds = q.dtype == torch.bfloat16 and q.device.type == "cpu"
    if rounds or shape.window is not None or shape.softcap is not None or len(q) != len(k):
        return attend_in_blocks(q, k, v, shape)
    shared = q.shape[1] != k.shape[1]
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=shape.scale, enable_gqa=shared)
    return mixed[0].transpose(0, 1)


def _attend_plainly(q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape, dropout: float) -> Tensor:
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))
    scores = torch.einsum("qhd,khd->hqk", q, k) * shape.scale
    if shape.softcap is not None:
        scores = torch.tanh(scores / shape.softcap) * shape.softcap
    at = torch.arange(len(k) - len(q), len(k), device=q.device)[:, None]
    key = torch.arange(len(k), device=q.device)
    hidden = key > at if shape.window is None else (key > at) | (key <= at - shape.window)
    weights = functional.dropout(torch.softmax(scores.masked_fill(hidden, -torch.inf), -1), dropout)
    return torch.einsum("hqk,khd->qhd", weights, v)
