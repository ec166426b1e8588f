"""Test weights of the logarithmic pool: equal, fitted and greedy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from tests.judges.worlds import world

from votecast.judges.combiners import GAP, Greedy, Mean, Weights, best_weights, logs, pool
from votecast.metrics import log_loss

WORLD = world(soft=True)
LOGS, SHARE = logs(WORLD.predictions), WORLD.weights / WORLD.weights.sum()


def loss(weights: np.ndarray) -> float:
    return log_loss(WORLD.targets, pool(LOGS, np.asarray(weights)), WORLD.weights)


def test_the_mean_is_the_geometric_one() -> None:
    p = Mean().fit(*WORLD.parts, 0).predict(WORLD.predictions)
    bare = np.exp(np.log(WORLD.predictions).mean(axis=0))
    assert np.allclose(p, bare / bare.sum(axis=1, keepdims=True), rtol=0, atol=1e-12)


def test_the_pool_is_at_least_as_good_as_the_mean_judge() -> None:
    each = [log_loss(WORLD.targets, p, WORLD.weights) for p in WORLD.predictions]
    for weights in np.random.default_rng(0).dirichlet(np.ones(3), 50):
        assert loss(weights) <= float(weights @ each) + 1e-12


def test_weights_are_those_of_a_search_over_the_simplex() -> None:
    found, gap = best_weights(LOGS, WORLD.targets, SHARE)
    free = minimize(
        lambda z: loss(np.exp(z) / np.exp(z).sum()),
        np.zeros(3),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 5000},
    )
    assert loss(found) <= free.fun + 1e-8
    assert 0 <= gap <= GAP
    grid = [(a / 40, b / 40, (40 - a - b) / 40) for a in range(41) for b in range(41 - a)]
    assert loss(found) <= min(map(loss, grid)) + 1e-8


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_weights_are_proven_to_be_the_best(seed: int, judges: int) -> None:
    made = world(80, noise=tuple(np.linspace(0.2, 2, judges)), seed=seed)
    found, gap = best_weights(logs(made.predictions), made.targets, made.weights / made.weights.sum())
    assert gap <= GAP
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)


def test_similar_judges_share_weight_and_useless_ones_get_none() -> None:
    twice = WORLD.predictions[[0, 0]]
    assert best_weights(logs(twice), WORLD.targets, SHARE)[0] == pytest.approx([0.5, 0.5], abs=1e-3)
    against = np.stack([WORLD.targets * 0.9 + 0.1 / 3, WORLD.predictions[0][:, [1, 0, 2]]])
    kept = Weights().fit(against, *WORLD.parts[1:], 0)
    assert kept.shares() == [1.0, 0.0]
    assert np.array_equal(kept.only([0]).predict(against[:1]), kept.predict(against))


def test_greedy_selection_comes_close_to_the_best_weights_and_takes_judges_repeatedly() -> None:
    found = Greedy().fit(*WORLD.parts, 0)
    best, _ = best_weights(LOGS, WORLD.targets, SHARE)
    assert loss(np.array(found.shares())) <= loss(best) + 1e-4
    assert loss(np.array(found.shares())) <= min(loss(one) for one in np.eye(3))
    only = Greedy().fit(np.stack([WORLD.targets * 0.9 + 0.1 / 3, WORLD.predictions[2]]), *WORLD.parts[1:], 0)
    assert only.shares() == [1.0, 0.0]


def test_weights_are_proven_where_the_solver_stops_too_early() -> None:
    rng = np.random.default_rng(265)
    for _ in range(60):
        z = rng.normal(size=(1, 200, 3)) + rng.normal(size=(5, 200, 3)) * 5
        p = np.exp(z - z.max(axis=2, keepdims=True))
        votes = np.eye(3)[rng.integers(3, size=200)]
        weights, gap = best_weights(logs(p / p.sum(axis=2, keepdims=True)), votes, np.full(200, 1 / 200))
        assert gap <= GAP
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1, abs=1e-12)
