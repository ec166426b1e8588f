"""Test the mask of flexible attention."""

from __future__ import annotations

import pytest
import torch
from tests.tolerances import assert_rounds_to, rounding

from votecast.inference.block_attention import AttentionShape, attend_in_blocks
from votecast.inference.flex_attention import SIZE, attend_flexibly, block_mask

QUERIES, KEYS = (150, 1, 300, 40), (150, 200, 300, 90)


@pytest.mark.parametrize("window", [None, 60, 1000])
def test_mask_blocks_cover_all_visible_keys(window: int | None) -> None:
    mask = block_mask(QUERIES, KEYS, window, torch.device("cpu"))
    rows, columns = sum(QUERIES), sum(KEYS)
    query, key = torch.arange(rows)[:, None], torch.arange(columns)
    zero = torch.zeros(1, dtype=torch.int64)
    seen = mask.mask_mod(zero, zero, query, key)
    wanted = torch.zeros(rows, columns, dtype=torch.bool)
    row = column = 0
    for asked, there in zip(QUERIES, KEYS, strict=True):
        part = torch.ones(asked, there, dtype=torch.bool).tril(there - asked)
        wanted[row : row + asked, column : column + there] = (
            part if window is None else part.triu(there - asked + 1 - window)
        )
        row, column = row + asked, column + there
    assert torch.equal(seen, wanted)
    counted = mask.to_dense()[0, 0].bool()
    whole = torch.zeros_like(counted)
    for i, count in enumerate(mask.full_kv_num_blocks[0, 0].tolist()):
        whole[i, mask.full_kv_indices[0, 0, i, :count].long()] = True
    for i in range(counted.shape[0]):
        for j in range(counted.shape[1]):
            block = wanted[i * SIZE : (i + 1) * SIZE, j * SIZE : (j + 1) * SIZE]
            assert counted[i, j] or not block.any()
            assert not whole[i, j] or bool(block.all())


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("window", [None, 60])
def test_values(window: int | None) -> None:
    torch.manual_seed(0)
    shape = AttentionShape(0.3, window, 3.0)
    q = torch.randn(sum(QUERIES), 4, 16)
    k, v = torch.randn(sum(KEYS), 2, 16), torch.randn(sum(KEYS), 2, 16)
    mask = block_mask(QUERIES, KEYS, window, q.device)
    found = attend_flexibly(q, k, v, mask, shape, compiled=False)
    parts = zip(q.split(QUERIES), k.split(KEYS), v.split(KEYS), strict=True)
    wanted = torch.cat([attend_in_blocks(*part, shape) for part in parts])
    assert_rounds_to(found, wanted, rounding(width=max(KEYS), layers=1))
