"""Test stackers: gains where possible, otherwise the pool."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from tests.judges.worlds import world

from votecast.judges.combiners import Mean, Weights, logs
from votecast.judges.logistic_stack import PULLS, LogisticStack
from votecast.judges.tree_stack import TreeStack
from votecast.metrics import log_loss

BIG, TEST = world(3000, seed=1), world(3000, seed=2)


def bent(predictions: np.ndarray) -> np.ndarray:
    """Return overconfident predictions with too few ties."""
    p = predictions**2.5 * np.array([1.0, 1.0, 0.3])
    return p / p.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("kind", [LogisticStack, TreeStack])
def test_shared_errors_are_corrected(kind: type) -> None:
    stack = kind().fit(bent(BIG.predictions), *BIG.parts[1:], 0)
    mean = Mean().fit(*BIG.parts, 0)
    losses = [log_loss(TEST.targets, one.predict(bent(TEST.predictions)), TEST.weights) for one in (stack, mean)]
    assert losses[0] < losses[1] - 0.05
    straight = Mean().fit(*BIG.parts, 0).predict(TEST.predictions)
    assert losses[0] < log_loss(TEST.targets, straight, TEST.weights) + 0.02


@pytest.mark.parametrize("kind", [LogisticStack, TreeStack])
def test_few_votes_give_the_pool_of_the_judges(kind: type) -> None:
    few = world(80, noise=(0.5, 0.5, 0.5), seed=3)
    p, pool = (one().fit(*few.parts, 0).predict(few.predictions) for one in (kind, Weights))
    assert np.abs(p - pool).max() < 0.02


def test_the_regression_is_the_one_that_scipy_finds_among_all_tied_ones() -> None:
    stack = LogisticStack().fit(*BIG.parts, 0)
    log, mean = logs(BIG.predictions), BIG.weights / BIG.weights.sum()

    def objective(z: np.ndarray) -> float:
        own, other, even, third = z[:3], z[3:6], z[6:9], z[9:12]  # coefficients of a class, of its rival, of the tie
        a = np.tensordot(own, log[..., 0], 1) + np.tensordot(other, log[..., 1], 1) + np.tensordot(even, log[..., 2], 1)
        b = np.tensordot(own, log[..., 1], 1) + np.tensordot(other, log[..., 0], 1) + np.tensordot(even, log[..., 2], 1)
        tie = z[12] + np.tensordot(third, log[..., 2], 1)
        logits = np.stack([a, b, tie], axis=1)
        norm = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return float(-mean @ (BIG.targets * (logits - norm)).sum(axis=1))

    free = minimize(objective, np.concatenate([np.full(3, 1 / 3), np.zeros(6), np.full(3, 1 / 3), [0.0]])).fun
    loss = log_loss(BIG.targets, stack.predict(BIG.predictions), BIG.weights)
    assert free - 1e-6 <= loss <= free + 0.004


def test_pulls_are_weak_only_where_many_votes_ask_for_it() -> None:
    assert LogisticStack().fit(bent(BIG.predictions), *BIG.parts[1:], 0).pull < PULLS[0]
    one_prompt = np.zeros(len(BIG.groups), dtype=np.int64)
    assert LogisticStack().fit(*BIG.parts[:3], one_prompt, 0).pull == PULLS[0]
    assert TreeStack().fit(*BIG.parts[:3], one_prompt, 0).rounds == 0


def test_trees_are_not_grown_from_rows_that_cannot_be_split() -> None:
    same = np.tile([[[0.5, 0.3, 0.2]]], (2, 40, 1))
    few = world(40)
    stack = TreeStack().fit(same, *few.parts[1:], 0)
    assert stack.rounds == 0
    assert np.allclose(stack.predict(same), same[0])
