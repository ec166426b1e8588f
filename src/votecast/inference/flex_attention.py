"""Run torch's flexible attention on CUDA over packed causal sequences with capped scores.

`attention.attend_packed` chooses it where flash attention does not fit: it knows no caps, and no fp32.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from votecast.inference.block_attention import AttentionShape, attend_in_blocks
from votecast.text.sequences import offsets_of

logger = logging.getLogger(__name__)

SIZE = 128
"""Tokens of one side of a block of the mask, the default of torch."""

Blocks = tuple[NDArray[np.int64], NDArray[np.int64]]
"""A range of blocks of keys for each block of queries: the first, and the end."""


def attend_flexibly(
    q: Tensor, k: Tensor, v: Tensor, mask: BlockMask, shape: AttentionShape, *, compiled: bool = True
) -> Tensor:
    """Attend over pieces end to end.

    Args:
        q: Shape (T, heads, d), as the result.
        k: Shape (keys, heads of keys, d).
        v: As k.
        mask: From `block_mask`.
        shape: Scale and cap of the scores; the window is in the mask.
        compiled: Run the compiled kernel, not the slow reference of torch.
    """
    kernel, shares_keys = _kernel(shape.softcap, compiled), q.shape[1] != k.shape[1]
    one, two, three = (x.transpose(0, 1)[None] for x in (q, k, v))  # (1, heads, tokens, d)
    return kernel(one, two, three, block_mask=mask, scale=shape.scale, enable_gqa=shares_keys)[0].transpose(0, 1)


@functools.cache
def _kernel(softcap: float | None, compiled: bool) -> Callable[..., Tensor]:
    """Return the kernel for a cap, always the same one: torch compiles again for every new closure."""
    run = torch.compile(flex_attention, dynamic=True) if compiled else flex_attention
    if softcap is None:
        return run

    def cap(score: Tensor, *_: Tensor) -> Tensor:
        """Limit a score to c tanh(s / c)."""
        return softcap * torch.tanh(score / softcap)

    return functools.partial(run, score_mod=cap)


def block_mask(queries: Sequence[int], keys: Sequence[int], window: int | None, device: torch.device) -> BlockMask:
    """Build the mask under which each query sees the keys of its piece up to itself, at most `window` of them.

    Args:
        queries: Queries of each piece, which are its last tokens.
        keys: Keys of each piece.
        window: Most keys that a query sees, itself included; None for all.
        device: Device of the mask.
    """
    asked, seen = np.array(queries), np.array(keys)
    # The last query of a piece is its last key: both ends move from piece to piece.
    last = np.arange(asked.sum()) + np.repeat(offsets_of(seen)[1:] - offsets_of(asked)[1:], asked)  # (T,)
    first = np.repeat(offsets_of(seen)[:-1], asked)
    first = first if window is None else np.maximum(first, last - window + 1)
    low, high = (torch.from_numpy(x).to(device) for x in (first, last))

    def sees(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Return where queries see keys."""
        return (key >= low[query]) & (key <= high[query])

    # Blocks of keys that some query of a block of queries sees, and those that all of them see whole.
    edges = np.arange(0, len(first), SIZE)
    some = np.minimum.reduceat(first, edges) // SIZE, np.maximum.reduceat(last, edges) // SIZE + 1
    from_whole = -(-np.maximum.reduceat(first, edges) // SIZE)
    whole = from_whole, np.maximum(from_whole, (np.minimum.reduceat(last, edges) + 1) // SIZE)
    # torch takes the blocks that need a mask and the whole ones apart; the former are on both sides of the latter.
    empty = whole[0] >= whole[1]
    left = some[0], np.where(empty, some[1], whole[0])
    right = np.where(empty, some[1], whole[1]), some[1]
    columns = -(-int(seen.sum()) // SIZE)
    partly = _list_blocks(left, right, columns, device)
    wholly = _list_blocks(whole, (whole[1], whole[1]), columns, device)
    sizes = (len(first), int(seen.sum()))
    return BlockMask.from_kv_blocks(*partly, *wholly, BLOCK_SIZE=SIZE, mask_mod=sees, seq_lengths=sizes)


def _list_blocks(left: Blocks, right: Blocks, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """List two ranges of blocks per row: counts of shape (1, 1, rows), and indices of shape (1, 1, rows, columns)."""
    (start, stop), (start_right, stop_right), at = left, right, np.arange(columns)
    count = np.maximum(stop - start, 0)[:, None]  # (rows, 1)
    total = count + np.maximum(stop_right - start_right, 0)[:, None]
    indices = np.where(at < count, start[:, None] + at, start_right[:, None] + at - count)
    tables = total[:, 0], np.where(at < total, indices, 0)
    counts, listed = (torch.from_numpy(table.astype(np.int32))[None, None].to(device) for table in tables)
    return counts, listed


@functools.cache
def flex_attention_works(device: torch.device, dtype: torch.dtype, heads: int, key_heads: int, size: int) -> bool:
    """Return whether flexible attention compiles here and agrees with attention in blocks, forward and backward."""
    generator = torch.Generator(device).manual_seed(0)
    shape, lengths = AttentionShape(size**-0.5, softcap=5.0), (SIZE + 9, 40)
    sizes = [(sum(lengths), count, size) for count in (heads, key_heads, key_heads)]
    q, k, v = (torch.randn(x, generator=generator, device=device).to(dtype).requires_grad_() for x in sizes)
    try:
        with torch.enable_grad():
            found = attend_flexibly(q, k, v, block_mask(lengths, lengths, None, device), shape)
            found_grads = torch.autograd.grad(found.float().square().sum(), (q, k, v))
            parts = zip(q.split(lengths), k.split(lengths), v.split(lengths), strict=True)
            wanted = torch.cat([attend_in_blocks(*part, shape) for part in parts])
            wanted_grads = torch.autograd.grad(wanted.float().square().sum(), (q, k, v))
    # Without a compiler, or on a device that the kernel does not support, torch raises any of these.
    except (RuntimeError, NotImplementedError, ImportError, OSError, ValueError, TypeError) as error:
        logger.debug("flexible attention does not work on %s: %s", device, str(error).splitlines()[:1])
        return False
    pairs = zip((found, *found_grads), (wanted, *wanted_grads), strict=True)
    return all(torch.allclose(one.float(), other.float(), atol=0.1, rtol=0.1) for one, other in pairs)
