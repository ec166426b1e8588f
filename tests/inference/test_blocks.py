"""Test blockwise attention and its gradients against plain attention."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from votecast.inference import block_attention
from votecast.inference.block_attention import AttentionShape, attend_in_blocks


def plain(q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape) -> Tensor:
    each = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(each, 1), v.repeat_interleave(each, 1)
    scores = torch.einsum("qhd,khd->hqk", q, k) * shape.scale
    if shape.softcap is not None:
        scores = shape.softcap * torch.tanh(scores / shape.softcap)
    at, key = torch.arange(len(k) - len(q), len(k))[:, None], torch.arange(len(k))
    hidden = key > at
    if shape.window is not None:
        hidden = hidden | (key <= at - shape.window)
    return torch.einsum("hqk,khd->qhd", torch.softmax(scores.masked_fill(hidden, -torch.inf), -1), v)


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 23),
    read=st.integers(1, 23),
    keys=st.integers(1, 2),
    each=st.integers(1, 3),
    window=st.none() | st.integers(1, 30),
    softcap=st.none() | st.floats(0.5, 30),
    block=st.integers(1, 9),
)
def test_values_and_gradients(
    length: int, read: int, keys: int, each: int, window: int | None, softcap: float | None, block: int
) -> None:
    torch.manual_seed(length)
    shape, read = AttentionShape(0.4, window, softcap), min(read, length)
    q = torch.randn(read, keys * each, 4, dtype=torch.float64, requires_grad=True)
    k, v = (torch.randn(length, keys, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_attention, "BLOCK", block)
        found, wanted = attend_in_blocks(q, k, v, shape), plain(q, k, v, shape)
        torch.testing.assert_close(found, wanted)
        d_found = torch.randn_like(found)
        ours = torch.autograd.grad(found, (q, k, v), d_found)
    theirs = torch.autograd.grad(wanted, (q, k, v), d_found)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
