"""Test attention without padding against padded attention."""

from __future__ import annotations

import pytest
import torch
from tests.inference.networks import ROUNDING, batch, network_of
from tests.tolerances import assert_rounds_to

from votecast.inference import encoder_passes
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
    monkeypatch.setattr(encoder_passes, "unpadded_attention_works", lambda _: True)
    assert_rounds_to(fast_network(network).encode(ids, mask), network.encode(ids, mask), ROUNDING)


def test_the_cpu_takes_the_padded_way() -> None:
    assert not unpadded_attention_works(torch.zeros(1, dtype=torch.bfloat16))
