"""Test the null baselines: symmetry and values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metrics.votes import drawn, files, one_hot, predictions

from votecast.errors import DataError
from votecast.metrics import class_prior, group_folds, log_loss, longer_wins, uniform
from votecast.types import swap_columns


def test_uniform_gives_every_outcome_the_same():
    assert log_loss(np.eye(3), uniform(3)) == pytest.approx(np.log(3))
    assert uniform(2, binary=True).tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0]]


@given(st.lists(st.integers(0, 8), min_size=1, max_size=60), st.integers(1, 6))
def test_folds_keep_groups_whole_and_even(groups, folds):
    fold = group_folds(groups, folds)
    for group in set(groups):
        assert len({int(f) for f, g in zip(fold, groups, strict=True) if g == group}) == 1
    sizes = np.bincount(fold)
    assert len(sizes) == min(folds, len(set(groups)))
    assert sizes.max() - sizes.min() <= max(map(groups.count, groups))


def test_the_prior_of_a_row_comes_from_the_other_folds():
    t = one_hot(np.array([0, 0, 0, 1, 2, 2]))
    p = class_prior(t, [1, 1, 1, 2, 1, 1], folds=np.array([0, 0, 0, 1, 1, 1]))
    assert p[0] == pytest.approx(np.array([1, 3, 3]) / 7)
    assert p[5] == pytest.approx(np.array([4, 1, 1]) / 6)


def test_the_prior_of_a_large_file_is_its_class_shares():
    t = one_hot(np.random.default_rng(0).choice(3, 5000, p=[0.5, 0.2, 0.3]))
    p = class_prior(t, folds=group_folds(np.arange(5000)))
    assert p == pytest.approx(np.tile(t.mean(axis=0), (5000, 1)), abs=0.01)
    assert log_loss(t, p) == pytest.approx(-(t.mean(axis=0) @ np.log(t.mean(axis=0))), abs=1e-3)


@given(files(), st.integers(0, 99))
def test_no_row_is_predicted_from_its_own_vote(file, seed):
    t, _, w = file
    folds = group_folds(np.arange(len(w)) // 2)
    lengths = np.random.default_rng(seed).integers(0, 3, (len(w), 2))
    changed = t.copy()
    changed[0] = [0, 0, 1]
    mine = folds == folds[0]
    for baseline in (
        lambda votes: class_prior(votes, w, folds=folds),
        lambda votes: longer_wins(votes, lengths, w, folds=folds),
    ):
        assert np.array_equal(baseline(t)[mine], baseline(changed)[mine])


@given(files(), st.integers(0, 99))
def test_longer_wins_swaps_with_the_answers_exactly(file, seed):
    t, _, w = file
    folds = group_folds(np.arange(len(w)))
    lengths = np.random.default_rng(seed).integers(0, 3, (len(w), 2))
    p = longer_wins(t, lengths, w, folds=folds)
    assert np.array_equal(longer_wins(swap_columns(t), lengths[:, ::-1], w, folds=folds), swap_columns(p))
    assert p.sum(axis=1) == pytest.approx(1)
    assert (p > 0).all()


def test_longer_wins_uses_the_rate_of_the_longer_response():
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 1000, (20_000, 2))
    outcome = rng.choice(3, 20_000, p=[0.5, 0.3, 0.2])
    longer = (lengths[:, 1] > lengths[:, 0]).astype(int)
    label = np.where(outcome == 2, 2, np.where(outcome == 0, longer, 1 - longer))
    p = longer_wins(one_hot(label), lengths, folds=group_folds(np.arange(20_000)))
    row = int(np.argmax(lengths[:, 1] > lengths[:, 0]))
    assert p[row] == pytest.approx([0.3, 0.5, 0.2], abs=0.02)
    same = np.full((20_000, 2), 7)
    assert longer_wins(one_hot(label), same, folds=group_folds(np.arange(20_000)))[0] == pytest.approx(
        [0.4, 0.4, 0.2], abs=0.02
    )


def test_baselines_of_binary_files_predict_no_ties():
    t = one_hot(np.array([0, 1, 0, 1]))
    folds = np.array([0, 0, 1, 1])
    assert (class_prior(t, folds=folds, binary=True)[:, 2] == 0).all()
    assert (longer_wins(t, [[1, 2]] * 4, folds=folds, binary=True)[:, 2] == 0).all()


def test_lengths_and_folds_must_fit_the_rows():
    t = one_hot(drawn(predictions(4)))
    with pytest.raises(DataError, match=r"lengths have shape \(3, 2\)"):
        longer_wins(t, np.ones((3, 2)), folds=np.zeros(4, dtype=np.int64))
    with pytest.raises(DataError, match=r"folds have shape \(3,\)"):
        class_prior(t, folds=np.zeros(3, dtype=np.int64))
