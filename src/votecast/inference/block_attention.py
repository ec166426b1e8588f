"""Causal attention in plain steps, a block of queries at a time, and torch's flexible attention on CUDA.

`attend_packed` chooses them where no fused kernel fits.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from votecast.text.sequences import offsets_of

BLOCK = 128
"""Queries of one block."""


@dataclass(frozen=True)
class AttentionShape:
    """How scores become weights.

    Args:
        scale: Factor of the scores.
        window: A token sees at most this many, itself counted; None does not limit it.
        softcap: Scores s become softcap tanh(s / softcap); None leaves them.
    """

    scale: float
    window: int | None = None
    softcap: float | None = None


def attend_in_blocks(q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape) -> Tensor:
    """Attention of the last tokens of one sequence over all of it.

    Args:
        q: AttentionShape (Q, heads, d), of the last Q of L tokens.
        k: AttentionShape (L, heads of keys, d), a divisor of the heads.
        v: As k.
        shape: How scores become weights.

    Returns:
        AttentionShape (Q, heads, d).
    """
    found: Tensor = _Attention.apply(q, k, v, shape)  # type: ignore[no-untyped-call]
    return found


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape) -> Tensor:
        """Compute the result; see the class."""
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
        """Compute the gradients; see the class."""
        q, k, v = ctx.saved_tensors
        shape: AttentionShape = ctx.shape
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


def _weights(
    q: Tensor, k: Tensor, rows: slice, seen: slice, before: int, shape: AttentionShape
) -> tuple[Tensor, Tensor | None]:
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


def _blocks(queries: int, length: int, shape: AttentionShape) -> Iterator[tuple[slice, slice]]:
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


logger = logging.getLogger(__name__)

SIZE = 128
"""Tokens of one block of the mask."""

Ints = NDArray[np.int64]


def attend_flexibly(
    q: Tensor, k: Tensor, v: Tensor, mask: BlockMask, shape: AttentionShape, *, compiled: bool = True
) -> Tensor:
    """Attention of pieces end to end; q of shape (T, heads, d), k and v of shape (keys, heads of keys, d)."""
    run: Any = _compiled() if compiled else flex_attention
    found: Tensor = run(
        *(x.transpose(0, 1)[None] for x in (q, k, v)),
        score_mod=None if shape.softcap is None else _capped(shape.softcap),
        block_mask=mask,
        scale=shape.scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return found[0].transpose(0, 1)


def mask_of(queries: Sequence[int], keys: Sequence[int], window: int | None, device: torch.device) -> BlockMask:
    """Which keys each query sees: those of its piece up to itself, at most `window` of them.

    Args:
        queries: Tokens of each piece that ask, which are its last.
        keys: Keys of each piece.
        window: Keys that a token sees, itself counted; None does not limit it.
        device: Where the mask lies.
    """
    asked, seen = np.array(queries), np.array(keys)
    place = np.arange(asked.sum()) - np.repeat(offsets_of(asked)[:-1], asked) + np.repeat(seen - asked, asked)
    start = np.repeat(offsets_of(seen)[:-1], asked)
    last = start + place
    first = start if window is None else np.maximum(start, last - window + 1)
    low, high = (torch.from_numpy(x).to(device) for x in (first, last))

    def sees(_: Tensor, __: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key >= low[query]) & (key <= high[query])

    some, whole = _block_ranges(first, last)
    columns = -(-int(seen.sum()) // SIZE)
    left, right = _without(some, whole)
    partly, fully = _listed(left, right, columns), _listed(whole, (whole[1], whole[1]), columns)
    return BlockMask.from_kv_blocks(
        partly[0].to(device),
        partly[1].to(device),
        fully[0].to(device),
        fully[1].to(device),
        BLOCK_SIZE=SIZE,
        mask_mod=sees,
        seq_lengths=(len(first), int(seen.sum())),
    )


@functools.cache
def flexible_attention_works(device: torch.device, dtype: torch.dtype, heads: int, keys: int, size: int) -> bool:
    """Whether flexible attention compiles here and agrees with attention in blocks, forwards and backwards."""
    generator = torch.Generator(device).manual_seed(0)
    shape, lengths = AttentionShape(size**-0.5, softcap=5.0), (SIZE + 9, 40)
    made = [torch.randn(sum(lengths), n, size, generator=generator, device=device) for n in (heads, keys, keys)]
    q, k, v = (x.to(dtype).requires_grad_() for x in made)
    try:
        with torch.enable_grad():
            found = attend_flexibly(q, k, v, mask_of(lengths, lengths, None, device), shape)
            ours = torch.autograd.grad(found.float().square().sum(), (q, k, v))
            parts = zip(*(x.split(lengths) for x in (q, k, v)), strict=True)
            wanted = torch.cat([attend_in_blocks(one, two, three, shape) for one, two, three in parts])
            theirs = torch.autograd.grad(wanted.float().square().sum(), (q, k, v))
    except (RuntimeError, NotImplementedError, ImportError, OSError, ValueError, TypeError) as error:
        logger.info("flexible attention does not work here: %s", str(error).splitlines()[:1])
        return False
    pairs = zip((found, *ours), (wanted, *theirs), strict=True)
    return all(torch.allclose(one.float(), other.float(), atol=0.1, rtol=0.1) for one, other in pairs)


@functools.cache
def _compiled() -> Callable[..., Any]:
    compiled: Callable[..., Any] = torch.compile(flex_attention, dynamic=True)
    return compiled


@functools.cache
def _capped(softcap: float) -> Callable[..., Tensor]:
    def capped(score: Tensor, *_: Tensor) -> Tensor:
        return softcap * torch.tanh(score / softcap)

    return capped


def _block_ranges(first: Ints, last: Ints) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
    """For each block of queries the blocks of keys (from, to) that some query sees, and that every query sees whole."""
    edges = np.arange(0, len(first), SIZE)
    some = np.minimum.reduceat(first, edges) // SIZE, np.maximum.reduceat(last, edges) // SIZE + 1
    start = -(-np.maximum.reduceat(first, edges) // SIZE)
    return some, (start, np.maximum(start, (np.minimum.reduceat(last, edges) + 1) // SIZE))


def _without(some: tuple[Ints, Ints], whole: tuple[Ints, Ints]) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
    """What is left of one range on both sides of another within it."""
    empty = whole[0] >= whole[1]
    left = np.where(empty, some[1], whole[0])
    right = np.where(empty, some[1], whole[1])
    return (some[0], left), (right, some[1])


def _listed(left: tuple[Ints, Ints], right: tuple[Ints, Ints], columns: int) -> tuple[Tensor, Tensor]:
    """Two ranges of blocks a row as counts of shape (1, 1, rows) and indices of shape (1, 1, rows, columns)."""
    counts = [np.maximum(stop - start, 0) for start, stop in (left, right)]
    at = np.arange(columns)[None]
    indices = np.where(at < counts[0][:, None], left[0][:, None] + at, right[0][:, None] + at - counts[0][:, None])
    total = counts[0] + counts[1]
    indices = np.where(at < total[:, None], indices, 0)
    return (
        torch.from_numpy(total.astype(np.int32))[None, None],
        torch.from_numpy(indices.astype(np.int32))[None, None],
    )
