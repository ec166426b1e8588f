"""Attention with a soft cap on CUDA: torch's flexible attention, where it compiles and proves right; else blocks."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from votecast.inference.blocks import Shape, attend_in_blocks
from votecast.text.sequences import offsets_of

logger = logging.getLogger(__name__)

SIZE = 128
"""Tokens of one block of the mask."""

Ints = NDArray[np.int64]


def attend_flexibly(q: Tensor, k: Tensor, v: Tensor, mask: BlockMask, shape: Shape, *, compiled: bool = True) -> Tensor:
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
def works(device: torch.device, dtype: torch.dtype, heads: int, keys: int, size: int) -> bool:
    """Whether flexible attention compiles here and agrees with attention in blocks, forwards and backwards."""
    generator = torch.Generator(device).manual_seed(0)
    shape, lengths = Shape(size**-0.5, softcap=5.0), (SIZE + 9, 40)
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
