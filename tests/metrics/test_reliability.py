"""Test calibration error and reliability curves against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from tests.metrics.votes import drawn, files, one_hot, predictions

from votecast.errors import DataError
from votecast.metrics import calibration_error, evaluate_probabilities, perfect_calibration_error
from votecast.metrics.reliability import coupling, events, reliability_curve
from votecast.types import swap_columns


@pytest.mark.parametrize(("event", "column"), [("a", 0), ("b", 1), ("tie", 2)])
def test_classes_are_binned_as_in_scikit_learns_reliability_curve(event, column):
    p = predictions(5000, spread=2.0)
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
def test_swapping_the_responses_swaps_the_errors_of_a_and_b(file):
    t, p, w = file
    for event, other in (("a", "b"), ("tie", "tie"), ("top", "top")):
        error = calibration_error(swap_columns(t), swap_columns(p), w, event=other)
        assert calibration_error(t, p, w, event=event) == pytest.approx(error, rel=1e-9, abs=1e-12)


def test_swapping_the_responses_swaps_the_errors_of_the_perfect_judge():
    p = predictions(500)
    t, groups = one_hot(drawn(p)), np.arange(500) // 3
    of_a = perfect_calibration_error(t, p, groups=groups, event="a")
    assert of_a == perfect_calibration_error(swap_columns(t), swap_columns(p), groups=groups, event="b")


@pytest.mark.parametrize("event", ["top", "a", "b", "tie"])
def test_a_calibrated_judge_shows_about_the_error_of_the_perfect_one(event):
    p = predictions(4000)
    own = np.mean([calibration_error(one_hot(drawn(p, seed)), p, event=event) for seed in range(150)])
    assert perfect_calibration_error(one_hot(drawn(p)), p, event=event) == pytest.approx(own, rel=0.1)


def test_the_error_of_the_perfect_judge_falls_with_the_root_of_the_rows():
    p = predictions(16000)
    t = one_hot(drawn(p))
    few, many = perfect_calibration_error(t[:1000], p[:1000]), perfect_calibration_error(t, p)
    assert few / many == pytest.approx(4, rel=0.2)


def clustered(clusters: int, size: int, share: float, seed: int):
    """Return calibrated predictions with votes that correlate within clusters."""
    rng = np.random.default_rng(seed)
    p = predictions(clusters * size, seed)
    groups = np.repeat(np.arange(clusters), size)
    confidence = np.sort(p, axis=1)[:, ::-1]
    u = np.where(rng.random(len(p)) < share, rng.random(clusters)[groups], rng.random(len(p)))
    rank = np.minimum((u[:, None] > confidence.cumsum(axis=1)).sum(axis=1), 2)
    return one_hot(np.argsort(-p, axis=1)[np.arange(len(p)), rank]), p, groups


def test_dependent_votes_raise_the_error_of_the_perfect_judge_as_much_as_of_a_calibrated_one():
    files = [clustered(100, 50, 0.7, seed) for seed in range(20)]
    own = np.mean([calibration_error(t, p) for t, p, _ in files])
    perfect = np.mean([perfect_calibration_error(t, p, groups=g, draws=50) for t, p, g in files])
    alone = np.mean([perfect_calibration_error(t, p, draws=50) for t, p, _ in files])
    assert perfect == pytest.approx(own, rel=0.15)
    assert alone < 0.5 * own


def test_the_coupling_finds_the_correlation_that_was_put_in():
    t, p, groups = clustered(3000, 4, 0.6, 0)
    assert coupling(events(t, p), np.ones(len(p)), groups)[0][0] == pytest.approx(0.36, abs=0.03)


def test_miscalibration_is_not_taken_for_dependence():
    p = predictions(6000)
    bold = p**3 / (p**3).sum(axis=1, keepdims=True)
    t, groups = one_hot(drawn(p)), np.arange(6000) // 2
    assert coupling(events(t, bold), np.ones(6000), groups)[0].max() < 0.1
    assert calibration_error(t, bold) > 5 * perfect_calibration_error(t, bold, groups=groups)


def coarse(rows):
    """Return predictions of few different values."""
    p = np.random.default_rng(rows).integers(1, 5, (rows, 3)).astype(float)
    return p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("event", ["top", "a", "b", "tie"])
@pytest.mark.parametrize("has_equal_rows", [True, False])
def test_a_perfect_judges_error_does_not_depend_on_the_order_of_rows(event, has_equal_rows):
    rng = np.random.default_rng(2)
    p = coarse(600) if has_equal_rows else predictions(600)
    t, w, groups = one_hot(drawn(p)), rng.integers(1, 4, 600) * 0.5, rng.integers(0, 150, 600)
    found = perfect_calibration_error(t, p, w, groups=groups, event=event, draws=20)
    order, names = rng.permutation(600), rng.permutation(150)
    args = (t[order], p[order], w[order])
    assert perfect_calibration_error(*args, groups=names[groups][order], event=event, draws=20) == found
    if not has_equal_rows:  # nor on which response is a; rows that mirror each other in one prompt keep an order
        other = {"a": "b", "b": "a"}.get(event, event)
        args = (swap_columns(t), swap_columns(p), w)
        assert perfect_calibration_error(*args, groups=groups, event=other, draws=20) == pytest.approx(found, rel=1e-9)


def test_slices_of_a_permuted_file_have_the_same_perfect_error():
    p = coarse(400)
    t, groups, language = one_hot(drawn(p)), np.arange(400) // 3, np.array(list("xyz"))[np.arange(400) % 3]
    order = np.random.default_rng(5).permutation(400)
    one, two = (
        evaluate_probabilities(t[o], p[o], groups=groups[o], slices={"language": language[o]}, draws=0)
        for o in (np.arange(400), order)
    )
    for name in one.metrics:
        if name.startswith("ece_perfect"):
            assert two.metrics[name] == one.metrics[name]
            for value, part in one.slices["language"].items():
                assert two.slices["language"][value].metrics[name] == part.metrics[name]


def test_soft_votes_scatter_less_than_single_ones():
    p = predictions(3000)
    soft = np.mean([one_hot(drawn(p, seed)) for seed in range(10)], axis=0)
    own = calibration_error(soft, p, event="tie")
    assert perfect_calibration_error(soft, p, event="tie") == pytest.approx(own, rel=0.5)
    assert coupling(events(soft, p), np.ones(3000), np.arange(3000))[1][3] == pytest.approx(0.1**0.5, rel=0.1)


def test_an_event_that_does_not_exist_is_rejected():
    with pytest.raises(DataError, match="allowed are top, a, b, tie"):
        calibration_error(np.eye(3), np.eye(3), event="c")


P = predictions(4000, 1)
VOTES = one_hot(drawn(P, 1))
EVENTS = ["top", "a", "b", "tie"]


@pytest.mark.parametrize("event", EVENTS)
@given(file=files())
def test_the_calibration_error_is_the_distance_from_the_diagonal(event, file):
    t, p, w = file
    curve = reliability_curve(t, p, w, event=event, draws=20)
    distance = curve.weight @ np.abs(curve.confidence - curve.share) / curve.weight.sum()
    assert distance == pytest.approx(calibration_error(t, p, w, event=event), abs=1e-9)
    assert (np.diff(curve.confidence) > 0).all()
    assert (curve.low <= curve.share).all() and (curve.share <= curve.high).all()
    assert (curve.low >= 0).all() and (curve.high <= 1).all()
    assert curve.rows.sum() == len(w)


def test_points_are_scikit_learns():
    curve = reliability_curve(VOTES, P, event="tie", draws=0)
    share, confidence = calibration_curve(VOTES[:, 2], P[:, 2], n_bins=15)
    assert curve.share == pytest.approx(share)
    assert curve.confidence == pytest.approx(confidence)


def test_swapping_the_responses_swaps_the_curves_of_a_and_b():
    one, two = (
        reliability_curve(t, p, event=e) for t, p, e in [(VOTES, P, "a"), (swap_columns(VOTES), swap_columns(P), "b")]
    )
    assert one.to_dict() == two.to_dict()


def test_single_votes_get_the_interval_of_wilson():
    p = np.tile([0.6, 0.2, 0.2], (200, 1))
    votes = one_hot(np.repeat([0, 2], [110, 90]))
    curve = reliability_curve(votes, p, draws=4000)
    ends = binomtest(110, 200).proportion_ci(method="wilson")
    assert curve.low[0] == pytest.approx(ends.low, abs=0.004)
    assert curve.high[0] == pytest.approx(ends.high, abs=0.004)


def test_unanimous_votes_have_an_interval_too():
    p = np.tile([0.9, 0.05, 0.05], (12, 1))
    curve = reliability_curve(one_hot(np.zeros(12, dtype=int)), p, groups=np.arange(12) // 3)
    ends = binomtest(4, 4).proportion_ci(method="wilson")
    assert (curve.low[0], curve.high[0]) == (pytest.approx(ends.low), 1.0)


def test_intervals_hold_the_truth_where_votes_depend_on_the_prompt():
    held, alone, rng = 0, 0, np.random.default_rng(0)
    p, groups = np.tile([0.5, 0.3, 0.2], (400, 1)), np.arange(400) // 8
    for draw in range(150):
        winner = rng.choice(3, size=50, p=p[0])[groups]
        votes = one_hot(np.where(rng.random(400) < 0.7, winner, rng.choice(3, size=400, p=p[0])))
        curve = reliability_curve(votes, p, groups=groups, event="a", draws=100, seed=draw)
        held += curve.low[0] <= 0.5 <= curve.high[0]
        curve = reliability_curve(votes, p, event="a", draws=100, seed=draw)
        alone += curve.low[0] <= 0.5 <= curve.high[0]
    assert held >= 136  # 95 %, less the scatter of 150 draws
    assert alone < 125


def test_weights_are_repetitions_and_rows_of_weight_zero_do_not_count():
    w = np.arange(600) % 3
    weighted = reliability_curve(VOTES[:600], P[:600], w, draws=0)
    repeated = reliability_curve(np.repeat(VOTES[:600], w, axis=0), np.repeat(P[:600], w, axis=0), draws=0)
    assert weighted.share == pytest.approx(repeated.share)
    assert weighted.weight == pytest.approx(repeated.weight)
    assert weighted.rows.sum() == 400


def test_unknown_events_and_wrong_groups_raise():
    with pytest.raises(DataError, match="no event 'win'; allowed are top, a, b, tie"):
        reliability_curve(VOTES, P, event="win")
    with pytest.raises(DataError, match="groups have shape"):
        reliability_curve(VOTES, P, groups=[1])
