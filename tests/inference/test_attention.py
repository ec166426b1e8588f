"""Attention without padding gives what attention with padding gives."""

from __future__ import annotations

import pytest
import torch
from tests.inference.networks import batch, network_of

from votecast.inference import encoder_passes as bert
from votecast.inference.attention import unpadded_attention_works
from votecast.inference.fast import fast_network


@torch.no_grad()
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("widths", [(40, 40, 33, 7, 1), (5,), (3, 9)])
def test_sequences_laid_end_to_end_give_the_same_states(
    pooling: str, widths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, (ids, mask) = network_of("bert", pooling), batch(widths)
    mask[0, -1:] = mask[0, -1:] if len(widths) > 1 else 0  # some padding, without which there is nothing to leave out
    monkeypatch.setattr(bert, "unpadded_attention_works", lambda _: True)
    torch.testing.assert_close(fast_network(network).encode(ids, mask), network.encode(ids, mask), atol=1e-5, rtol=0)


def test_the_cpu_takes_the_padded_way() -> None:
    assert not unpadded_attention_works(torch.zeros(1, dtype=torch.bfloat16))
