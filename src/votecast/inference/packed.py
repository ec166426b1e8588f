"""Causal attention over sequences laid end to end in one row, each of them blind to the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from votecast.inference import flex
from votecast.inference.attention import unpadded_attention_works, varlen_attn
from votecast.inference.blocks import Shape, attend_in_blocks
from votecast.text.prefixes import Shared
from votecast.text.sequences import offsets_of, ranges


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
    def sharing(cls, shared: Shared, lengths: NDArray[np.int64], device: torch.device) -> Packed:
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


def attend_packed(q: Tensor, k: Tensor, v: Tensor, packed: Packed, shape: Shape, *, dropout: float = 0.0) -> Tensor:
    """Each token sees those before it in its own sequence, and itself.

    Args:
        q: Shape (T, heads, d), of the tokens that ask.
        k: Shape (all tokens, heads of keys, d); its heads divide those of q.
        v: As k.
        packed: Where the sequences are.
        shape: How scores become weights.
        dropout: Of the weights.

    Returns:
        Shape (T, heads, d).
    """
    q, k = q.to(v.dtype), k.to(v.dtype)  # autocast leaves them in fp32 after the rotation
    if packed.source is not None:
        k, v = k[packed.source], v[packed.source]
    longest = max(packed.keys)
    if shape.window is not None and shape.window >= longest:
        shape = replace(shape, window=None)
    if shape.softcap is None and not dropout and unpadded_attention_works(q):
        return _flash(q, k, v, packed, shape)
    if q.is_cuda and not dropout and flex.works(q.device, q.dtype, q.shape[1], k.shape[1], q.shape[2]):
        if shape.window not in packed.masks:
            packed.masks[shape.window] = flex.mask_of(packed.queries, packed.keys, shape.window, q.device)
        return flex.attend_flexibly(q, k, v, packed.masks[shape.window], shape)
    parts = zip(q.split(packed.queries), k.split(packed.keys), v.split(packed.keys), strict=True)
    return torch.cat([_attend(q, k, v, shape, dropout) for q, k, v in parts])


def _flash(q: Tensor, k: Tensor, v: Tensor, packed: Packed, shape: Shape) -> Tensor:
    sides = (-1 if shape.window is None else shape.window - 1, 0)
    starts = [torch.from_numpy(offsets_of(np.array(x)).astype(np.int32)) for x in (packed.queries, packed.keys)]
    starts = [x.to(q.device, non_blocking=True) for x in starts]
    most = max(packed.queries), max(packed.keys)
    options: dict[str, Any] = {"scale": shape.scale, "window_size": sides, "enable_gqa": q.shape[1] != k.shape[1]}
    found: Any = varlen_attn(q, k, v, *starts, *most, **options)
    return found if isinstance(found, Tensor) else found[0]


def _attend(q: Tensor, k: Tensor, v: Tensor, shape: Shape, dropout: float) -> Tensor:
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


def _attend_plainly(q: Tensor, k: Tensor, v: Tensor, shape: Shape, dropout: float) -> Tensor:
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))
    scores = torch.einsum("qhd,khd->hqk", q, k) * shape.scale
    if shape.softcap is not None:
        scores = torch.tanh(scores / shape.softcap) * shape.softcap
    at = torch.arange(len(k) - len(q), len(k), device=q.device)[:, None]
    key = torch.arange(len(k), device=q.device)
    hidden = key > at if shape.window is None else (key > at) | (key <= at - shape.window)
    weights = functional.dropout(torch.softmax(scores.masked_fill(hidden, -torch.inf), -1), dropout)
    return torch.einsum("hqk,khd->qhd", weights, v)
