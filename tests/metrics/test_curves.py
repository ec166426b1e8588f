"""Reliability curves: the calibration error is their distance from the diagonal, and their intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from tests.metrics.votes import drawn, files, forecasts, one_hot

from votecast.errors import ConfigError, DataError
from votecast.metrics import calibration_error
from votecast.metrics.curves import reliability_curve
from votecast.types import swap_columns

P = forecasts(4000, 1)
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
    curve = reliability_curve(VOTES, P, event="tie", bins=10, draws=0)
    share, confidence = calibration_curve(VOTES[:, 2], P[:, 2], n_bins=10)
    assert curve.share == pytest.approx(share)
    assert curve.confidence == pytest.approx(confidence)


def test_exchanging_the_answers_exchanges_the_curves_of_a_and_b():
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


def test_votes_of_one_mind_have_an_interval_too():
    p = np.tile([0.9, 0.05, 0.05], (12, 1))
    curve = reliability_curve(one_hot(np.zeros(12, dtype=int)), p, groups=np.arange(12) // 3)
    ends = binomtest(4, 4).proportion_ci(method="wilson")
    assert (curve.low[0], curve.high[0]) == (pytest.approx(ends.low), 1.0)


def test_intervals_hold_the_truth_where_votes_hang_together_by_prompt():
    held, alone, rng = 0, 0, np.random.default_rng(0)
    p, groups = np.tile([0.5, 0.3, 0.2], (400, 1)), np.arange(400) // 8
    for draw in range(150):
        winner = rng.choice(3, size=50, p=p[0])[groups]
        votes = one_hot(np.where(rng.random(400) < 0.7, winner, rng.choice(3, size=400, p=p[0])))
        curve = reliability_curve(votes, p, groups=groups, event="a", draws=100, seed=draw)
        held += curve.low[0] <= 0.5 <= curve.high[0]
        curve = reliability_curve(votes, p, event="a", draws=100, seed=draw)
        alone += curve.low[0] <= 0.5 <= curve.high[0]
    assert held >= 136  # 95 %, less what 150 draws scatter
    assert alone < 125


def test_weights_are_repetitions_and_rows_of_weight_zero_do_not_count():
    w = np.arange(600) % 3
    weighted = reliability_curve(VOTES[:600], P[:600], w, draws=0)
    repeated = reliability_curve(np.repeat(VOTES[:600], w, axis=0), np.repeat(P[:600], w, axis=0), draws=0)
    assert weighted.share == pytest.approx(repeated.share)
    assert weighted.weight == pytest.approx(repeated.weight)
    assert weighted.rows.sum() == 400


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(DataError, match="no event 'win' to draw a curve of; allowed are top, a, b, tie"):
        reliability_curve(VOTES, P, event="win")
    with pytest.raises(ConfigError, match="bins is 0"):
        reliability_curve(VOTES, P, bins=0)
    with pytest.raises(DataError, match="groups have shape"):
        reliability_curve(VOTES, P, groups=[1])
