"""Test the fast form of every architecture against the plain one."""

from __future__ import annotations

import pytest
import torch
from tests.inference.networks import KINDS, ROUNDING, UNKNOWN, batch, network_of
from tests.tolerances import assert_rounds_to

from votecast.inference import layers
from votecast.inference.fast import fast_network, reads_first_token


@torch.no_grad()
@pytest.mark.parametrize("widths", [(40, 40, 33, 7, 1), (24, 24), (1,)])
@pytest.mark.parametrize("last_layer_only", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_gives_the_same_logits(kind: str, last_layer_only: bool, widths: tuple[int, ...]) -> None:
    network, (ids, mask) = network_of(kind), batch(widths)
    fast = fast_network(network, last_layer_only=last_layer_only)
    assert fast is not network
    wanted = network.encode(ids, mask)
    assert wanted.std() > 0.01
    assert_rounds_to(fast.encode(ids, mask), wanted, ROUNDING)


@torch.no_grad()
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "deberta-v3"])
def test_a_bare_encoder_gives_the_same_states(kind: str, pooling: str) -> None:
    network, (ids, mask) = network_of(kind, pooling), batch()
    fast = fast_network(network)
    assert fast is not network
    assert_rounds_to(fast.encode(ids, mask), network.encode(ids, mask), ROUNDING)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["bert", "deberta-v3"])
def test_without_packed_weights_the_answers_are_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, (ids, mask) = network_of(kind), batch()
    monkeypatch.setattr(layers, "packing_works", lambda: False)
    assert_rounds_to(fast_network(network).encode(ids, mask), network.encode(ids, mask), ROUNDING)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["bert", "deberta-v3"])
def test_bf16_stays_close_and_returns_fp32(kind: str) -> None:
    network, (ids, mask) = network_of(kind), batch()
    found = fast_network(network, dtype=torch.bfloat16).encode(ids, mask)
    wanted = network.encode(ids, mask)
    assert found.dtype == torch.float32
    assert (found - wanted).abs().max() < 0.1 * wanted.abs().max()


@pytest.mark.parametrize("kind", UNKNOWN)
def test_an_unknown_architecture_is_left_as_it_is(kind: str) -> None:
    network = network_of(kind)
    assert fast_network(network) is network


def test_the_network_itself_is_untouched() -> None:
    network = network_of("bert")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fast = fast_network(network)
    assert network.backbone.bert.encoder is not fast.backbone.bert.encoder
    assert {name: torch.equal(value, before[name]) for name, value in network.state_dict().items()} == dict.fromkeys(
        before, True
    )
    assert fast.backbone.bert.embeddings is network.backbone.bert.embeddings


def test_only_needed_states_are_computed() -> None:
    networks = [network_of("bert"), network_of("bert", "cls"), network_of("bert", "mean")]
    assert [reads_first_token(network, network.backbone) for network in networks] == [True, True, False]
    fast = fast_network(network_of("bert", "cls"))
    ids, mask = batch()
    assert fast.backbone(ids, attention_mask=mask).last_hidden_state.shape == (5, 1, 32)
