"""The tie link: curves it reads exactly, and the least log loss on the better of the two."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from tests.metrics.votes import drawn, one_hot, predictions

from votecast.calibration.link_curves import CURVES, on_curve
from votecast.calibration.tie_link import TieLink
from votecast.metrics import log_loss

LEAD = np.random.default_rng(0).normal(size=4000) * 2


@pytest.mark.parametrize("curve", ["davidson", "rao_kupper"])
@pytest.mark.parametrize("tie", [0.3, 1.2])
def test_on_its_curve_it_changes_nothing_and_undoes_a_scale(curve, tie):
    p = on_curve(CURVES[curve], LEAD, tie)
    assert TieLink(curve, np.array([1.0, 1.0, 0.0])).transform(p) == pytest.approx(p, abs=1e-12)
    far = on_curve(CURVES[curve], 2 * LEAD, 2 * tie + 0.1)
    assert TieLink(curve, np.array([2.0, 2.0, 0.1])).transform(p) == pytest.approx(far, abs=1e-9)


@pytest.mark.parametrize("curve", ["davidson", "rao_kupper"])
def test_the_curve_that_votes_were_drawn_from_is_found(curve):
    ties = 0.4 + np.random.default_rng(1).random(4000)
    p = np.exp(CURVES[curve].logs(LEAD, ties))
    p = p / p.sum(axis=1, keepdims=True)
    truth = np.exp(CURVES[curve].logs(0.5 * LEAD, 0.5 * ties + 0.3))
    truth = truth / truth.sum(axis=1, keepdims=True)
    fitted = TieLink().fit(p, truth)
    assert fitted.curve == curve
    assert fitted.numbers == pytest.approx([0.5, 0.5, 0.3], abs=1e-3)
    assert fitted.transform(p) == pytest.approx(truth, abs=1e-4)


def test_it_is_the_least_log_loss_that_another_solver_finds():
    p = predictions(1500, 5)
    votes = one_hot(drawn(predictions(1500, 5, spread=0.5), 5))
    fitted = TieLink().fit(p, votes)

    def loss(theta):
        return log_loss(votes, TieLink("davidson", theta).transform(p))

    other = minimize(loss, [0.7, 0.7, 0.1], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12})
    assert log_loss(votes, fitted.transform(p)) <= other.fun + 1e-8
