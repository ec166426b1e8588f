"""Test matrix, Dirichlet and shift scaling against other solvers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from tests.metrics.votes import drawn, one_hot, predictions

from votecast.calibration.logit_scalers import UNCHANGED, Dirichlet, Matrix, PenalisedLogLoss, Shift, logits
from votecast.metrics import log_loss
from votecast.metrics.checks import Checked
from votecast.metrics.scores import log_losses
from votecast.types import swap_columns

P = predictions(3000, 3)
FAR = np.array([0.6, 1.4, 1.0, 0.5])
"""Distortion of a judge on a very different population."""


def put(p, numbers):
    z = np.exp(logits(np.log(p), np.asarray(numbers)))
    return z / z.sum(axis=1, keepdims=True)


VOTES = one_hot(drawn(put(P, FAR), 3))


def test_matrix_is_the_multinomial_logistic_regression_on_both_orders():
    x, y = np.log(np.concatenate([P, swap_columns(P)])), np.concatenate([VOTES, swap_columns(VOTES)]).argmax(axis=1)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(x, y).predict_proba(np.log(P))
    assert Matrix().fit(P, VOTES).transform(P) == pytest.approx(oracle, abs=2e-4)


def test_matrix_scaling_recovers_its_parameters():
    fitted = Matrix().fit(P, put(P, FAR))
    assert fitted.numbers == pytest.approx(FAR, abs=1e-3)


def test_dirichlet_is_the_least_penalised_log_loss_that_another_solver_finds():
    p, t = P[:300], VOTES[:300]

    def loss(theta):
        gap = (theta - UNCHANGED) / Dirichlet.spread
        return log_losses(t, put(p, theta)).sum() + 0.5 * gap @ gap

    other = minimize(loss, UNCHANGED, method="BFGS", options={"gtol": 1e-6})
    assert Dirichlet().fit(p, t).numbers == pytest.approx(other.x, abs=1e-4)


def test_the_off_diagonal_part_is_kept_small_and_gives_way_to_many_votes():
    few, many = (Dirichlet().fit(P[:n], VOTES[:n]).numbers for n in (60, 3000))
    free = Matrix().fit(P, VOTES).numbers
    assert abs(few[3]) < abs(many[3]) <= abs(free[3]) + 0.01
    assert np.abs(put(P, many) - put(P, free)).mean() < 0.01


def test_separable_votes_keep_the_scaler_finite():
    sure = 0.01 + 0.97 * VOTES[:90]
    for kind in (Matrix, Dirichlet, Shift):
        q = kind().fit(sure, VOTES[:90]).transform(sure)
        assert np.isfinite(q).all()
        assert log_loss(VOTES[:90], q) < 0.03


def test_evidence_is_the_integral_over_the_prior():
    rows = Checked(VOTES[:40], P[:40], np.ones(40))
    bias = np.array([[0.0], [0.0], [1.0], [0.0]])
    found = PenalisedLogLoss(rows, bias).minimise(np.array([0.7]))

    def density(x):
        gap = log_losses(VOTES[:40], put(P[:40], UNCHANGED + bias[:, 0] * x)).sum()
        return np.exp(-gap - 0.5 * (x / 0.7) ** 2) / (0.7 * np.sqrt(2 * np.pi))

    assert found[1] == pytest.approx(np.log(quad(density, -5, 5)[0]), abs=0.02)
    nothing = PenalisedLogLoss(rows, bias[:, :0]).minimise(np.zeros(0))
    assert nothing[1] == pytest.approx(-log_losses(VOTES[:40], P[:40]).sum())


def test_a_hundred_calibrated_votes_change_little():
    truth = predictions(20_000, 11)
    lost = []
    for seed in range(30):
        p = predictions(100, 100 + seed)
        q = Shift().fit(p, one_hot(drawn(p, seed))).transform(truth)
        lost.append(float(np.mean((truth * (np.log(truth) - np.log(q))).sum(axis=1))))
    assert np.mean(lost) < 0.006


@pytest.mark.parametrize("change", [[0.4, 0.4, 0.8, 0], [1, 1, -1.5, 0], [1.0, 0.2, 0.8, 0.3]])
def test_a_hundred_votes_recover_most_of_the_gain(change):
    gained, possible = [], []
    for seed in range(15):
        p = predictions(1100, seed)
        truth = put(p, np.array(change))
        q = Shift().fit(p[:100], one_hot(drawn(truth[:100], seed))).transform(p[100:])
        gained.append(float(np.mean((truth[100:] * (np.log(q) - np.log(p[100:]))).sum(axis=1))))
        possible.append(float(np.mean((truth * (np.log(truth) - np.log(p))).sum(axis=1))))
    assert np.mean(gained) > (2 / 3) * np.mean(possible)


def test_more_votes_are_followed_further():
    truth = put(P, FAR)
    losses = [log_loss(truth, Shift().fit(P[:n], VOTES[:n]).transform(P)) for n in (30, 300, 3000)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < log_loss(truth, truth) + 0.003


def test_groups_without_a_vote_for_a_tie_make_ties_rare_not_impossible():
    kept = VOTES[:, 2] == 0
    q = Shift.of_rows(Checked(VOTES[kept], P[kept], np.ones(kept.sum()))).transform(P)
    assert 0 < q[:, 2].min() < q[:, 2].mean() < 0.1
