import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.models.davidson import curvatures, gradients, link, loss, prior_closeness

NUMBER = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=9))
def test_the_sign_of_the_strength_is_the_order_of_the_answers(pairs: list[tuple[float, float]]) -> None:
    s, t = np.array(pairs).T
    p = link(s, t)
    assert np.array_equal(link(-s, t)[:, [1, 0, 2]], p)
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-12
    assert (p >= 0).all()


def test_gradients_and_curvatures_are_those_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    s, t, y = rng.normal(size=6), rng.normal(size=6), rng.dirichlet(np.ones(3), 6)
    step, one = 1e-4, np.ones(1)
    ds, dt = gradients(link(s, t), y)
    dss, dtt = curvatures(link(s, t))
    for i in range(6):

        def at(a: float, b: float, i: int = i) -> float:
            return loss(link(s[i : i + 1] + a, t[i : i + 1] + b), y[i : i + 1], one)

        assert ds[i] == pytest.approx((at(step, 0) - at(-step, 0)) / (2 * step), abs=1e-6)
        assert dt[i] == pytest.approx((at(0, step) - at(0, -step)) / (2 * step), abs=1e-6)
        assert dss[i] == pytest.approx((at(step, 0) - 2 * at(0, 0) + at(-step, 0)) / step**2, abs=1e-5)
        assert dtt[i] == pytest.approx((at(0, step) - 2 * at(0, 0) + at(0, -step)) / step**2, abs=1e-5)


def test_the_prior_closeness_forecasts_the_share_of_ties() -> None:
    targets = np.eye(3)[[0, 1, 2, 2] * 5000]
    p = link(np.zeros(1), np.array([prior_closeness(targets, np.ones(20_000))]))
    assert p[0, 2] == pytest.approx(0.5, abs=1e-4)
    assert np.isfinite(prior_closeness(np.eye(3)[[0, 1]], np.ones(2)))
