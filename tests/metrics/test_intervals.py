"""Test intervals: coverage, clusters, pairing and reproducibility."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from tests.metrics.votes import drawn, one_hot, predictions

from votecast.errors import ConfigError
from votecast.metrics import auc, evaluate_probabilities, log_loss, macro_f1, paired_gain
from votecast.metrics.intervals import MAX_BLOCKS, ClusterDraws, interval, wilson_interval


def test_every_drawn_file_has_as_many_clusters():
    counts = ClusterDraws(np.repeat(np.arange(40), 3), 200, seed=0).counts
    assert counts.shape == (200, 40)
    assert (counts.sum(axis=1) == 40).all()
    assert counts.var() == pytest.approx(1 - 1 / 40, rel=0.1)


def test_many_clusters_are_put_together_into_blocks_of_one_size():
    drawn_files = ClusterDraws(np.arange(5 * MAX_BLOCKS), 2, seed=0)
    assert (np.bincount(drawn_files.blocks) == 5).all()


def test_blocks_leave_the_interval_as_wide_as_single_rows_would():
    p = predictions(4 * MAX_BLOCKS)
    t = one_hot(drawn(p))
    figure = evaluate_probabilities(t, p, draws=2000).metrics["log_loss"]
    losses = -np.log((t * p).sum(axis=1))
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * losses.std() / len(p) ** 0.5, rel=0.1)


def test_the_interval_of_the_log_loss_covers_the_truth():
    hits, truth = 0, log_loss(one_hot(drawn(p := predictions(400_000, 99))), p)
    for seed in range(200):
        p = predictions(300, seed)
        gain = paired_gain(one_hot(drawn(p, seed)), p, np.full((300, 3), 1 / 3), draws=300, seed=seed)
        hits += gain[1] <= np.log(3) - truth <= gain[2]
    assert 0.90 <= hits / 200 <= 0.99


def test_rows_of_one_cluster_count_as_one():
    p = predictions(200)
    t = one_hot(drawn(p))
    alone = evaluate_probabilities(t, p, draws=500).metrics
    rows = np.repeat(np.arange(200), 5)
    five = evaluate_probabilities(t[rows], p[rows], groups=rows, draws=500).metrics
    for name in ("log_loss", "accuracy", "macro_f1", "ece", "recall_tie", "auc"):
        assert list(five[name]) == pytest.approx(list(alone[name]), rel=5e-3 if name == "auc" else 1e-9)


@pytest.mark.parametrize("spread", [1.0, 0.0], ids=["many scores", "few scores"])
def test_the_interval_of_the_auc_is_that_of_files_drawn_one_by_one(spread):
    p = predictions(400, spread=1.0)
    if spread == 0:
        p = np.round(p * 3) + 1
        p /= p.sum(axis=1, keepdims=True)
    t, groups = one_hot(drawn(p)), np.arange(400) // 4
    counts = ClusterDraws(groups, 400, seed=5).counts[:, groups]
    one_by_one = np.quantile([auc(t, p, count) for count in counts], [0.025, 0.975])
    figure = evaluate_probabilities(t, p, groups=groups, draws=400, seed=5).metrics["auc"]
    assert figure.value == auc(t, p)
    assert list(figure[1:]) == pytest.approx(list(one_by_one), abs=1e-12 if spread == 0 else 2e-3)


def test_the_interval_of_macro_f1_is_that_of_files_drawn_one_by_one():
    p = predictions(300)
    t = one_hot(drawn(p))
    counts = ClusterDraws(np.arange(300), 300, seed=2).counts
    one_by_one = np.quantile([macro_f1(t, p, count) for count in counts], [0.025, 0.975])
    figure = evaluate_probabilities(t, p, draws=300, seed=2).metrics["macro_f1"]
    assert list(figure[1:]) == pytest.approx(list(one_by_one), rel=1e-9)


def test_a_gain_in_pairs_is_sharper_than_two_intervals():
    p = predictions(1000)
    t, worse = one_hot(drawn(p)), 0.9 * p + 0.1 / 3
    value, low, high = paired_gain(t, p, worse)
    assert value == pytest.approx(log_loss(t, worse) - log_loss(t, p))
    assert low < value < high
    alone = evaluate_probabilities(t, p).metrics["log_loss"]
    assert high - low < 0.3 * (alone.high - alone.low)


def test_a_gain_over_itself_is_zero():
    p = predictions(50)
    assert paired_gain(one_hot(drawn(p)), p, p) == (0, 0, 0)


def test_one_cluster_has_no_interval():
    p = predictions(50)
    value, low, high = paired_gain(one_hot(drawn(p)), p, np.full((50, 3), 1 / 3), groups=np.zeros(50))
    assert np.isfinite(value)
    assert np.isnan([low, high]).all()


def test_intervals_depend_on_the_seed():
    p = predictions(100)
    t = one_hot(drawn(p))
    first, again, other = (evaluate_probabilities(t, p, draws=100, seed=seed).to_dict() for seed in (1, 1, 2))
    assert first == again
    assert first["metrics"]["log_loss"]["low"] != other["metrics"]["log_loss"]["low"]


def test_an_interval_ignores_draws_without_a_value_and_can_be_centred():
    draws = np.array([[1.0, np.nan], [2.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    low, high = interval(draws)
    assert low[0] == pytest.approx(1.05)
    assert high[0] == pytest.approx(2.95)
    assert np.isnan([low[1], high[1]]).all()
    low, high = interval(draws[:3, 0], around=np.asarray(10.0))
    assert (low, high) == (pytest.approx(9.05), pytest.approx(10.95))


@pytest.mark.parametrize("options", [{"draws": -1}, {"seed": -1}])
def test_negative_draws_and_seeds_raise(options):
    with pytest.raises(ConfigError, match="allowed are whole numbers from 0 up"):
        evaluate_probabilities(np.eye(3), np.eye(3), **options)


@pytest.mark.parametrize(("hits", "votes"), [(0, 7), (110, 200), (3, 3)])
def test_wilson_intervals_are_those_of_scipy(hits, votes):
    ends = binomtest(hits, votes).proportion_ci(method="wilson")
    assert wilson_interval(hits / votes, votes) == (pytest.approx(ends.low), pytest.approx(ends.high))
