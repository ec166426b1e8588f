"""Test networks: links, swaps, frozen layers and layer groups."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.tolerances import assert_rounds_to, rounding

from votecast.features.style import FORM
from votecast.models.cross_encoder import CrossNetwork
from votecast.models.neural.backbone import TINY_ENCODERS, Source
from votecast.models.neural.pair_network import freeze, layers_of
from votecast.models.siamese import ConcatNetwork, LinkedNetwork

FINITE = st.floats(-8, 8, width=32)
PAIRS = arrays(np.float64, (5, 2, 2), elements=FINITE)
FORMS = arrays(np.float32, (5, 2, len(FORM)), elements=st.floats(0, 9, width=32))


def linked(link="davidson", form=True, bound=None):
    torch.manual_seed(0)
    network = LinkedNetwork(
        Source.of("tiny:bert").load("encoder"), pooling="mean", link=link, form=form, form_bound=bound
    )
    if form:
        with torch.no_grad():
            network.form_score.normal_()
            network.form_closeness.normal_()
    return network


@pytest.mark.parametrize("link", ["davidson", "rao_kupper"])
@settings(max_examples=30, deadline=None)
@given(outputs=PAIRS, form=FORMS)
def test_swapping_responses_swaps_a_and_b(link, outputs, form):
    network = linked(link)
    p, q = (
        network.decide(torch.tensor(o), torch.tensor(f)).exp().detach().numpy()[:, 0]
        for o, f in ((outputs, form), (outputs[:, ::-1].copy(), form[:, ::-1].copy()))
    )
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-9
    assert np.array_equal(p[:, [1, 0, 2]], q)


def test_davidson_is_its_formula():
    network = linked(form=False)
    s = torch.tensor([[[1.5, 0.2], [-0.5, 0.3]]], dtype=torch.float64)
    p = network.decide(s, None).exp().detach().numpy()[0, 0]
    pi, nu = np.exp([1.5, -0.5]), np.exp(0.5)  # Davidson: tie = nu sqrt(pi_a pi_b)
    total = pi.sum() + nu * np.sqrt(pi.prod())
    assert np.allclose(p, [*pi / total, nu * np.sqrt(pi.prod()) / total], atol=1e-12)


def test_rao_kupper_is_its_formula():
    network = linked("rao_kupper", form=False)
    s = torch.tensor([[[1.5, 0.2], [-0.5, 0.3]]], dtype=torch.float64)
    p = network.decide(s, None).exp().detach().numpy()[0, 0]
    pi, theta = np.exp([1.5, -0.5]), np.exp(np.log1p(np.exp(0.5)))
    a, b = pi[0] / (pi[0] + theta * pi[1]), pi[1] / (pi[1] + theta * pi[0])
    assert np.allclose(p, [a, b, 1 - a - b], atol=1e-12)


def test_the_form_moves_the_odds_by_no_more_than_its_bound():
    same = torch.zeros(1, 2, 2, dtype=torch.float64)
    form = torch.zeros(1, 2, len(FORM))
    form[:, 0] = 50
    free, bounded = (linked(bound=bound).decide(same, form)[0, 0] for bound in (None, 0.5))
    assert abs(free[0] - free[1]) > 10
    assert abs(bounded[0] - bounded[1]) <= 0.5 + 1e-9


@settings(max_examples=20, deadline=None)
@given(outputs=arrays(np.float64, (4, 2, 8), elements=FINITE))
def test_a_concatenation_is_read_in_both_orders(outputs):
    torch.manual_seed(0)
    network = ConcatNetwork(Source.of("tiny:bert").load("encoder"), pooling="mean")
    outputs = np.tile(outputs, 4)
    p, q = (network.decide(torch.tensor(o), None).exp().mean(1) for o in (outputs, outputs[:, ::-1].copy()))
    assert_rounds_to(p[:, [1, 0, 2]], q, rounding(width=64, layers=1))


@pytest.mark.parametrize("kind", TINY_ENCODERS)
def test_every_parameter_has_its_place_among_the_layers(kind):
    network = CrossNetwork(Source.of(f"tiny:{kind}").load("classifier"), both_orders=True)
    groups = network.layer_groups()
    named = [id(p) for group in groups for p in group]
    assert len(named) == len(set(named)) == len(list(network.parameters()))
    assert len(groups) == 2 + 2
    assert all(groups)


@pytest.mark.parametrize("kind", TINY_ENCODERS)
def test_frozen_embeddings_and_layers_do_not_learn(kind):
    model = Source.of(f"tiny:{kind}").load("classifier")
    freeze(model, embeddings=True, layers=1)
    first, second = layers_of(model.base_model)
    assert not any(p.requires_grad for p in first.parameters())
    assert all(p.requires_grad for p in second.parameters())
    assert not any(p.requires_grad for p in model.base_model.embeddings.parameters())


@pytest.mark.parametrize("kind", TINY_ENCODERS)
def test_a_cross_encoder_is_the_classifier_of_transformers(kind):
    source = Source.of(f"tiny:{kind}")
    model = source.load("classifier").eval()
    network = CrossNetwork(model, both_orders=False).eval()
    ids = torch.randint(6, 200, (3, 16), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, 9:] = 0
    with torch.no_grad():
        ours = network(ids, mask, torch.zeros_like(ids))
        theirs = torch.log_softmax(model(input_ids=ids, attention_mask=mask).logits, -1)
    assert_rounds_to(ours[:, 0], theirs, rounding(width=32, layers=2))
