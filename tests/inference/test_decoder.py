"""Test decoders with packed weights, adapters and shared prefixes."""

from __future__ import annotations

import pytest
import torch
from tests.inference.decoders import ROUNDING, Scorer, adapted, backbone_of, padded, pairs, rows
from tests.tolerances import assert_rounds_to

from votecast.inference.causal_layer import TYPES
from votecast.inference.decoder_pass import DecoderStack
from votecast.inference.engine import Engine
from votecast.inference.fast import fast_network
from votecast.inference.settings import InferenceSettings
from votecast.text.sequences import Sequences

pytestmark = pytest.mark.filterwarnings("ignore:`.*gradient_checkpointing.*` is deprecated:FutureWarning")


@torch.no_grad()
@pytest.mark.parametrize("last_layer_only", [True, False])
@pytest.mark.parametrize("kind", TYPES)
def test_the_stack_gives_the_same_outputs(kind: str, last_layer_only: bool) -> None:
    network, (ids, mask) = Scorer(backbone_of(kind)), rows()
    fast = fast_network(network, last_layer_only=last_layer_only)
    assert fast is not network
    assert_rounds_to(fast.encode(ids, mask), network.encode(ids, mask), ROUNDING)


@torch.no_grad()
@pytest.mark.parametrize("kind", TYPES)
def test_adapters_stay_beside_the_weights(kind: str) -> None:
    network, (ids, mask) = (
        Scorer(adapted(backbone_of(kind), names=("q_proj", "k_proj", "v_proj", "o_proj")).eval()),
        rows(),
    )
    fast = fast_network(network)
    assert fast is not network
    assert_rounds_to(fast.encode(ids, mask), network.encode(ids, mask), ROUNDING)


@torch.no_grad()
def test_disabled_adapters_have_no_effect() -> None:
    model, (ids, mask) = adapted(backbone_of("llama")).eval(), rows()
    with model.disable_adapter():
        network = Scorer(model)
        assert_rounds_to(fast_network(network).encode(ids, mask), network.encode(ids, mask), ROUNDING)


@torch.no_grad()
@pytest.mark.parametrize("kind", TYPES)
def test_shared_prefixes_change_nothing(kind: str) -> None:
    sequences = pairs()
    ids, mask = padded(sequences)
    stack = DecoderStack(backbone_of(kind), dtype=torch.float32)
    _, packed = stack.pack(ids, mask.bool(), sequences.lengths)
    assert packed.source is not None
    assert sum(packed.queries) < 0.8 * len(sequences.ids)
    alone = DecoderStack(backbone_of(kind), dtype=torch.float32, sharing=False)
    assert_rounds_to(stack.last_states(ids, mask), alone.last_states(ids, mask), ROUNDING)


def test_sequences_that_share_little_are_not_divided() -> None:
    ids, mask = rows()
    stack = DecoderStack(backbone_of("llama"), dtype=torch.float32)
    _, packed = stack.pack(ids, mask.bool(), mask.sum(1).numpy())
    assert packed.source is None


@pytest.mark.parametrize("max_tokens", [0, 60, 7])
def test_the_engine_gives_rows_in_the_order_of_the_input(max_tokens: int) -> None:
    network, sequences = Scorer(adapted(backbone_of("llama")).eval()), pairs()
    sequences = Sequences.concat([sequences, sequences.take([3, 3, 0])])
    with torch.no_grad():
        wanted = network.encode(*padded(sequences))
    settings = InferenceSettings(precision="fp32", threads=1, max_tokens=max_tokens)
    for shares in (True, False):
        asked = settings.model_copy(update={"shared_prefixes": shares})
        engine = Engine(network, asked)
        found = engine.encode(sequences, pad_id=0)
        assert_rounds_to(torch.from_numpy(found), wanted, ROUNDING)
        assert found.tobytes() == engine.encode(sequences, pad_id=0).tobytes()


def test_other_linear_modules_are_left_to_transformers() -> None:
    class Rounded(torch.nn.Linear):
        """Stand-in for 4-bit weights."""

    model = backbone_of("llama")
    model.layers[0].self_attn.q_proj = Rounded(32, 32, bias=False)
    network = Scorer(model)
    assert not DecoderStack.serves(model)
    assert fast_network(network) is network


@torch.no_grad()
def test_bf16_is_close() -> None:
    network, (ids, mask) = Scorer(backbone_of("llama")), rows()
    found, wanted = fast_network(network, dtype=torch.bfloat16).encode(ids, mask), network.encode(ids, mask)
    torch.testing.assert_close(found, wanted, atol=0.1, rtol=0)
