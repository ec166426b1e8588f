"""Test tie models: derivatives, exact swaps, bounded maxima by Newton."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.calibration.tie_likelihood import LinearLikelihood, maximise
from votecast.calibration.tie_models import (
    TIE_MODELS,
    BradleyTerry,
    davidson_curvatures,
    davidson_gradients,
    davidson_loss,
    davidson_probabilities,
    prior_closeness,
)

NUMBER = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=9))
def test_the_sign_of_the_strength_is_the_order_of_the_answers(pairs: list[tuple[float, float]]) -> None:
    s, t = np.array(pairs).T
    p = davidson_probabilities(s, t)
    assert np.array_equal(davidson_probabilities(-s, t)[:, [1, 0, 2]], p)
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-12
    assert (p >= 0).all()


def test_gradients_and_curvatures_are_those_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    s, t, y = rng.normal(size=6), rng.normal(size=6), rng.dirichlet(np.ones(3), 6)
    step, one = 1e-4, np.ones(1)
    ds, dt = davidson_gradients(davidson_probabilities(s, t), y)
    dss, dtt = davidson_curvatures(davidson_probabilities(s, t))
    for i in range(6):

        def at(a: float, b: float, i: int = i) -> float:
            return davidson_loss(davidson_probabilities(s[i : i + 1] + a, t[i : i + 1] + b), y[i : i + 1], one)

        assert ds[i] == pytest.approx((at(step, 0) - at(-step, 0)) / (2 * step), abs=1e-6)
        assert dt[i] == pytest.approx((at(0, step) - at(0, -step)) / (2 * step), abs=1e-6)
        assert dss[i] == pytest.approx((at(step, 0) - 2 * at(0, 0) + at(-step, 0)) / step**2, abs=1e-5)
        assert dtt[i] == pytest.approx((at(0, step) - 2 * at(0, 0) + at(0, -step)) / step**2, abs=1e-5)


def test_the_prior_closeness_predicts_the_share_of_ties() -> None:
    targets = np.eye(3)[[0, 1, 2, 2] * 5000]
    p = davidson_probabilities(np.zeros(1), np.array([prior_closeness(targets, np.ones(20_000))]))
    assert p[0, 2] == pytest.approx(0.5, abs=1e-4)
    assert np.isfinite(prior_closeness(np.eye(3)[[0, 1]], np.ones(2)))


@pytest.mark.parametrize("model", [BradleyTerry(), *TIE_MODELS.values()], ids=lambda model: type(model).__name__)
def test_gradients_and_hessians_are_those_of_the_likelihood(model) -> None:
    rng = np.random.default_rng(0)
    step = 1e-5
    d, votes = rng.normal(size=50) * 2, rng.uniform(size=(50, 3))

    def at(by_d, by_t):
        return model.terms(d + by_d, 0.4 + by_t, votes)

    found = at(0, 0)
    assert found.d == pytest.approx((at(step, 0).value - at(-step, 0).value) / (2 * step), abs=1e-8)
    assert found.t == pytest.approx((at(0, step).value - at(0, -step).value) / (2 * step), abs=1e-8)
    assert found.dd == pytest.approx((at(-step, 0).d - at(step, 0).d) / (2 * step), abs=1e-8)
    assert found.dt == pytest.approx((at(0, -step).d - at(0, step).d) / (2 * step), abs=1e-8)
    assert found.tt == pytest.approx((at(0, -step).t - at(0, step).t) / (2 * step), abs=1e-8)
    rate = model.rate(d, 0.4)
    assert rate.by_d == pytest.approx((model.rate(d + step, 0.4).value - model.rate(d - step, 0.4).value) / (2 * step))
    by_t = (model.rate(d, 0.4 + step).value - model.rate(d, 0.4 - step).value) / (2 * step)
    assert rate.by_t == pytest.approx(by_t, abs=1e-9)
    p = np.exp(model.logs(d, 0.4))
    assert rate.value == pytest.approx(p[:, 0] + p[:, 2] / 2)
    if model.tie:
        assert found.value == pytest.approx((votes * model.logs(d, 0.4)).sum(axis=1))


@pytest.mark.parametrize("name", TIE_MODELS)
def test_a_parameter_that_would_leave_its_bounds_stays_there_and_the_others_are_fitted(name) -> None:
    rng = np.random.default_rng(1)
    model, n = TIE_MODELS[name], 400
    x, votes = rng.normal(size=n), np.eye(3)[rng.integers(0, 3, n)]
    zeros, ones = np.zeros(n), np.ones(n)
    against = votes * 0.5 + 0.5 * np.eye(3)[np.where(x > 0, 1, 0)]  # votes follow -x
    lead, ties = np.column_stack([x, zeros]), np.column_stack([zeros, ones])
    bounded = LinearLikelihood(
        model, lead, ties, against, np.zeros(2), np.array([0.0, model.bounds[0]]), np.array([100.0, 30.0])
    )
    alone = LinearLikelihood(model, zeros[:, None], ones[:, None], against, np.zeros(1))
    found, known = maximise(bounded, np.array([1.0, 0.5])), maximise(alone, np.array([0.5]))
    assert found[0] == 0.0
    assert found[1] == pytest.approx(known[0], abs=1e-9)
