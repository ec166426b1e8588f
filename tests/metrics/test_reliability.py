"""Calibration error against scikit-learn's curve, and the perfectly calibrated judge beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from sklearn.calibration import calibration_curve
from tests.metrics.votes import drawn, files, forecasts, one_hot

from votecast.errors import DataError
from votecast.metrics import calibration_error, perfect_calibration_error
from votecast.metrics.reliability import coupling, events
from votecast.types import swap_columns


@pytest.mark.parametrize(("event", "column"), [("a", 0), ("b", 1), ("tie", 2)])
def test_classes_are_binned_as_in_scikit_learns_reliability_curve(event, column):
    p = forecasts(5000, spread=2.0)
    y = drawn(p)
    hit, confidence = calibration_curve(y == column, p[:, column], n_bins=15, strategy="uniform")
    size = np.histogram(p[:, column], np.linspace(0, 1, 16))[0]
    expected = size[size > 0] @ np.abs(hit - confidence) / len(y)
    assert calibration_error(one_hot(y), p, event=event) == pytest.approx(expected, rel=1e-12)


def test_top_label_by_hand():
    p = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    t = one_hot(np.array([0, 1, 0, 0]))
    assert calibration_error(t, p) == pytest.approx((2 * 0.4 + 2 * 0.5) / 4)
    assert calibration_error(t, p, [1, 0, 1, 1]) == pytest.approx((0.1 + 2 * 0.5) / 3)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    p = np.array([[6 / 15, 5 / 15, 4 / 15], [0.39, 0.33, 0.28]])
    t = one_hot(np.array([0, 2]))
    assert calibration_error(t, p) == pytest.approx(abs(6 / 15 - 1 + 0.39) / 2)


@given(files())
def test_exchanging_the_answers_exchanges_the_errors_of_a_and_b(file):
    t, p, w = file
    for event, other in (("a", "b"), ("tie", "tie"), ("top", "top")):
        error = calibration_error(swap_columns(t), swap_columns(p), w, event=other)
        assert calibration_error(t, p, w, event=event) == pytest.approx(error, rel=1e-9, abs=1e-12)


def test_exchanging_the_answers_exchanges_the_errors_of_the_perfect_judge():
    p = forecasts(500)
    t, groups = one_hot(drawn(p)), np.arange(500) // 3
    of_a = perfect_calibration_error(t, p, groups=groups, event="a")
    assert of_a == perfect_calibration_error(swap_columns(t), swap_columns(p), groups=groups, event="b")


@pytest.mark.parametrize("event", ["top", "a", "b", "tie"])
def test_a_calibrated_judge_shows_about_the_error_of_the_perfect_one(event):
    p = forecasts(4000)
    own = np.mean([calibration_error(one_hot(drawn(p, seed)), p, event=event) for seed in range(150)])
    assert perfect_calibration_error(one_hot(drawn(p)), p, event=event) == pytest.approx(own, rel=0.1)


def test_the_error_of_the_perfect_judge_falls_with_the_root_of_the_rows():
    p = forecasts(16000)
    t = one_hot(drawn(p))
    few, many = perfect_calibration_error(t[:1000], p[:1000]), perfect_calibration_error(t, p)
    assert few / many == pytest.approx(4, rel=0.2)


def clustered(clusters: int, size: int, share: float, seed: int):
    """Forecasts that are calibrated, with votes of which a share hangs together within a cluster."""
    rng = np.random.default_rng(seed)
    p = forecasts(clusters * size, seed)
    groups = np.repeat(np.arange(clusters), size)
    confidence = np.sort(p, axis=1)[:, ::-1]
    u = np.where(rng.random(len(p)) < share, rng.random(clusters)[groups], rng.random(len(p)))
    rank = np.minimum((u[:, None] > confidence.cumsum(axis=1)).sum(axis=1), 2)
    return one_hot(np.argsort(-p, axis=1)[np.arange(len(p)), rank]), p, groups


def test_votes_that_hang_together_raise_the_error_of_the_perfect_judge_as_much_as_of_a_calibrated_one():
    files = [clustered(100, 50, 0.7, seed) for seed in range(20)]
    own = np.mean([calibration_error(t, p) for t, p, _ in files])
    perfect = np.mean([perfect_calibration_error(t, p, groups=g, draws=50) for t, p, g in files])
    alone = np.mean([perfect_calibration_error(t, p, draws=50) for t, p, _ in files])
    assert perfect == pytest.approx(own, rel=0.15)
    assert alone < 0.5 * own


def test_the_coupling_finds_the_correlation_that_was_put_in():
    t, p, groups = clustered(3000, 4, 0.6, 0)
    assert coupling(events(t, p), np.ones(len(p)), groups).correlation[0] == pytest.approx(0.36, abs=0.03)


def test_miscalibration_is_not_taken_for_dependence():
    p = forecasts(6000)
    bold = p**3 / (p**3).sum(axis=1, keepdims=True)
    t, groups = one_hot(drawn(p)), np.arange(6000) // 2
    assert coupling(events(t, bold), np.ones(6000), groups).correlation.max() < 0.1
    assert calibration_error(t, bold) > 5 * perfect_calibration_error(t, bold, groups=groups)


def test_soft_votes_scatter_less_than_single_ones():
    p = forecasts(3000)
    soft = np.mean([one_hot(drawn(p, seed)) for seed in range(10)], axis=0)
    own = calibration_error(soft, p, event="tie")
    assert perfect_calibration_error(soft, p, event="tie") == pytest.approx(own, rel=0.5)
    assert coupling(events(soft, p), np.ones(3000), np.arange(3000)).spread[3] == pytest.approx(0.1**0.5, rel=0.1)


def test_an_event_that_does_not_exist_is_refused():
    with pytest.raises(DataError, match="allowed are top, a, b, tie"):
        calibration_error(np.eye(3), np.eye(3), event="c")
