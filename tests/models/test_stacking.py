import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.calibration.tie_models import davidson_loss as loss
from votecast.calibration.tie_models import davidson_probabilities as link
from votecast.models.stacking import Blend, hold_out, inner_folds


def scores(seed: int, n: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    s, t = rng.normal(size=n), 0.5 * rng.normal(size=n)
    p = link(s, t - 0.3)
    return s, t, np.eye(3)[(rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(max=2)]


def test_the_informative_model_gets_the_weight() -> None:
    s, t, votes = scores(0)
    noise = np.random.default_rng(1).normal(size=s.size)
    blend = Blend.fit(((s, t), (noise, noise)), votes, np.ones(s.size), base=0.0)
    assert blend.strength[0] == pytest.approx(1.0, abs=0.15)
    assert blend.closeness[0] == pytest.approx(1.0, abs=0.3)
    assert blend.strength[1] < 0.1
    assert blend.base == pytest.approx(-0.3, abs=0.15)


def test_blending_is_at_least_as_good_as_either() -> None:
    s, t, votes = scores(2)
    rng = np.random.default_rng(3)
    one, two = (s + rng.normal(size=s.size), t), (s + rng.normal(size=s.size), t)
    ones = np.ones(s.size)
    blended = loss(Blend.fit((one, two), votes, ones, base=-0.3).predict(one, two), votes, ones)
    assert blended < min(loss(link(*part), votes, ones) for part in (one, two))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=80), st.integers(2, 5), st.integers(0, 3))
def test_groups_stay_together_in_folds_of_like_size(groups: list[int], n: int, seed: int) -> None:
    group = np.array(groups)
    fold = inner_folds(group, n, seed)
    assert all(len(set(fold[group == g].tolist())) == 1 for g in set(groups))
    sizes = np.bincount(fold)
    assert len(sizes) == min(n, len(set(groups)))
    assert sizes.max() - sizes.min() <= np.bincount(group).max()
    assert np.array_equal(fold, inner_folds(group, n, seed))


def test_rows_of_one_prompt_stay_on_one_side() -> None:
    groups = np.arange(80) // 4
    train, held = hold_out(groups, 0.2, seed=1)
    assert len(held) == pytest.approx(16, abs=4)
    assert not set(groups[train]) & set(groups[held])
    assert hold_out(np.zeros(5, np.int64), 0.2, seed=1)[1].size == 0
    assert hold_out(groups, 0.0, seed=1)[1].size == 0
