"""Attend over sequences of different lengths: padded with a mask, unpadded, or packed for causal models.

The encoder passes, the decoder pass and the training of decoders call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask

from votecast.inference.block_attention import AttentionShape, attend_in_blocks, attend_with_dropout
from votecast.inference.flex_attention import attend_flexibly, block_mask, flex_attention_works
from votecast.text.batching import SharedPrefixes
from votecast.text.sequences import offsets_of, ranges


def padding_bias(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Convert the mask that transformers passes to a layer: 0 where a query sees a key, else the lowest number.

    Args:
        mask: True, or 0, where a query sees a key, shape (m, 1, L, L), the same for all queries; None for all keys.
        dtype: Precision of the states.

    Returns:
        Shape (m, 1, 1, L).
    """
    if mask is None:
        return None
    mask = mask[:, :, :1]
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    bias = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return bias.masked_fill_(~mask, torch.finfo(dtype).min)


def attend_padded(q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor | None, heads: int, scale: float) -> Tensor:
    """Mix values for q of shape (m, Q, h), and k and v of shape (m, L, h); Q is L, or 1 for the first token."""
    return mix_values(*(split_heads(x, heads) for x in (q, k, v)), bias=bias, scale=scale)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Turn states of shape (m, L, h) into (m, heads, L, d)."""
    return x.view(*x.shape[:-1], heads, -1).transpose(1, 2)


def mix_values(q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor | None, scale: float) -> Tensor:
    """Compute softmax(scale q k' + bias) v (Vaswani et al. 2017, eq. 1), shape (m, Q, heads d).

    q has the shape (m, heads, Q, d), k and v (m, heads, L, d), and bias (m, 1 or heads, 1 or Q, L).
    """
    bias = None if bias is None else bias.expand(-1, -1, q.shape[2], -1)
    if q.dtype != torch.bfloat16 or q.device.type != "cpu":
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    else:
        # torch's fused kernel computes bf16 in fp32 on a CPU; these three steps are 1.5x as fast.
        scores = (q * scale) @ k.transpose(2, 3)  # (m, heads, Q, L)
        if bias is not None:
            scores += bias
        mixed = scores.softmax(-1) @ v
    return mixed.transpose(1, 2).flatten(2)


@dataclass(frozen=True)
class Unpadded:
    """Sequences end to end without padding, as flash attention (Dao 2023) reads them.

    Args:
        starts: Where each sequence starts, and where the last ends, shape (m + 1,), int32.
        longest: Tokens of the longest sequence.
    """

    starts: Tensor
    longest: int

    def attend(self, q: Tensor, k: Tensor, v: Tensor, heads: int, scale: float) -> Tensor:
        """Mix values for k and v of shape (tokens, h), and q of the same shape, or (m, h) for the first tokens."""
        q, k, v = (x.unflatten(-1, (heads, -1)) for x in (q, k, v))  # (tokens or m, heads, d)
        queries = self
        if len(q) != len(k):
            queries = Unpadded(torch.arange(len(self.starts), dtype=torch.int32, device=q.device), 1)
        if unpadded_attention_works(q):
            return _flash(q, k, v, queries, self, scale).flatten(1)
        asked, seen = queries.starts.diff().tolist(), self.starts.diff().tolist()
        mixed = []
        for piece in zip(q.split(asked), k.split(seen), v.split(seen), strict=True):
            one, two, three = (x.transpose(0, 1)[None] for x in piece)  # (1, heads, tokens, d)
            mixed.append(functional.scaled_dot_product_attention(one, two, three, scale=scale)[0].transpose(0, 1))
        return torch.cat(mixed).flatten(1)


def unpadded_attention_works(x: Tensor) -> bool:
    """Return whether torch has flash attention for this tensor: bf16 or fp16 on CUDA of capability 8.0 or later."""
    half = x.dtype in (torch.bfloat16, torch.float16)
    return x.is_cuda and half and torch.cuda.get_device_capability(x.device) >= (8, 0)


def _flash(
    q: Tensor, k: Tensor, v: Tensor, queries: Unpadded, keys: Unpadded, scale: float, sides: tuple[int, int] = (-1, -1)
) -> Tensor:
    """Run flash attention; sides are the keys that a query sees before and after itself, -1 for all."""
    from torch.nn.attention.varlen import varlen_attn  # takes a second to import

    sizes = (queries.starts, keys.starts, queries.longest, keys.longest)
    shares_keys = q.shape[1] != k.shape[1]
    return cast("Tensor", varlen_attn(q, k, v, *sizes, scale=scale, window_size=sides, enable_gqa=shares_keys))


@dataclass(frozen=True)
class Packed:
    """Pieces of causal sequences end to end: whole sequences, or what follows a prefix that several of them share.

    The shared prefixes are pieces too, after all others.

    Args:
        queries: Tokens of each piece.
        keys: Tokens that the last token of each piece sees: its own, and those of its prefix.
        positions: Place of every token in its sequence, shape (T,), int64.
        source: Which of the T tokens are the keys of the pieces, end to end; None where all pieces are sequences.
        count: Number of sequences, which are the first pieces.
        masks: Masks of flexible attention by window, computed when first needed.
    """

    queries: tuple[int, ...]
    keys: tuple[int, ...]
    positions: Tensor
    source: Tensor | None
    count: int
    masks: dict[int | None, BlockMask] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> Packed:
        """Pack whole sequences of these lengths."""
        pieces = tuple(int(length) for length in lengths)
        positions = torch.cat([torch.arange(length) for length in pieces])
        return cls(pieces, pieces, positions.to(device), None, len(pieces))

    @classmethod
    def sharing(cls, shared: SharedPrefixes, lengths: NDArray[np.int64], device: torch.device) -> Packed:
        """Pack sequences of these lengths, each shared prefix once."""
        m, none = len(lengths), np.zeros_like(shared.prefix)
        prefix = shared.prefix[shared.group]  # (m,)
        # First the m sequences without their prefixes, then the prefixes, which have none themselves.
        before = np.append(prefix, none)  # (pieces,), tokens that each piece follows
        queries = np.append(lengths - prefix, shared.prefix)
        starts = offsets_of(queries)[:-1]
        positions = np.arange(queries.sum()) + np.repeat(before - starts, queries)  # (T,)
        # The keys of a piece are two ranges of tokens: its prefix, then its own.
        first = np.stack([np.append(starts[m:][shared.group], none), starts], axis=1)  # (pieces, 2)
        source = ranges(first.ravel(), np.stack([before, queries], axis=1).ravel())
        some = queries > 0  # the group of a single sequence has an empty prefix
        pieces = tuple(queries[some].tolist()), tuple((before + queries)[some].tolist())
        return cls(*pieces, torch.from_numpy(positions).to(device), torch.from_numpy(source).to(device), m)

    @property
    def last(self) -> Tensor:
        """Place of the last token of each sequence, shape (count,)."""
        ends = np.cumsum(self.queries[: self.count]) - 1
        return torch.from_numpy(ends).to(self.positions.device)

    def of_last(self) -> Packed:
        """Return the packing with only the last token of each sequence as a query."""
        source = None if self.source is None else self.source[: sum(self.keys[: self.count])]
        keys = self.keys[: self.count]
        return Packed((1,) * self.count, keys, self.positions[self.last], source, self.count)


def attend_packed(
    q: Tensor, k: Tensor, v: Tensor, packed: Packed, shape: AttentionShape, *, dropout: float = 0.0
) -> Tensor:
    """Attend from each token to itself and to those before it in its own sequence.

    Args:
        q: Shape (T, heads, d), of the tokens that ask.
        k: Shape (all tokens, heads of keys, d); the heads of keys divide those of q (Ainslie et al. 2023).
        v: As k.
        packed: Where the sequences are.
        shape: How scores become weights.
        dropout: Share of the weights to drop.

    Returns:
        Shape (T, heads, d).
    """
    q, k = q.to(v.dtype), k.to(v.dtype)  # under autocast the rotation leaves them in fp32
    if packed.source is not None:
        k, v = k[packed.source], v[packed.source]  # (sum of keys, heads of keys, d): shared keys once per piece
    shape = shape.within(max(packed.keys))
    if not dropout and shape.softcap is None and unpadded_attention_works(q):
        starts = (offsets_of(np.array(lengths)).astype(np.int32) for lengths in (packed.queries, packed.keys))
        queries, keys = (torch.from_numpy(x).to(q.device, non_blocking=True) for x in starts)
        # A window of n tokens is the token itself and n - 1 before it.
        sides = (-1 if shape.window is None else shape.window - 1, 0)
        ends = Unpadded(queries, max(packed.queries)), Unpadded(keys, max(packed.keys))
        return _flash(q, k, v, *ends, shape.scale, sides)
    if not dropout and q.is_cuda and flex_attention_works(q.device, q.dtype, q.shape[1], k.shape[1], q.shape[2]):
        if shape.window not in packed.masks:
            packed.masks[shape.window] = block_mask(packed.queries, packed.keys, shape.window, q.device)
        return attend_flexibly(q, k, v, packed.masks[shape.window], shape)
    parts = zip(q.split(packed.queries), k.split(packed.keys), v.split(packed.keys), strict=True)
    return torch.cat([_attend_piece(*part, shape.within(len(part[1])), dropout) for part in parts])


def _attend_piece(q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape, dropout: float) -> Tensor:
    """Attend within one piece: q of shape (Q, heads, d), the last Q of the L tokens of k and v."""
    if dropout:
        return attend_with_dropout(q, k, v, shape, dropout)
    # torch's fused kernel has no windows and caps, aligns its causal mask with the first key, and is slow in bf16.
    slow = q.dtype == torch.bfloat16 and q.device.type == "cpu"
    if slow or shape.window is not None or shape.softcap is not None or len(q) != len(k):
        return attend_in_blocks(q, k, v, shape)
    one, two, three = (x.transpose(0, 1)[None] for x in (q, k, v))  # (1, heads, L, d)
    mixed = functional.scaled_dot_product_attention(
        one, two, three, is_causal=True, scale=shape.scale, enable_gqa=q.shape[1] != k.shape[1]
    )
    return mixed[0].transpose(0, 1)
