"""Test the choice among calibrators: simple by default, always cross-fitted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.metrics.votes import drawn, one_hot, predictions

from votecast.calibration import CALIBRATORS, make_calibrator, read_calibrator
from votecast.calibration.composition import CANDIDATES
from votecast.metrics import log_loss
from votecast.types import swap_columns

P = predictions(2500, 21)
VOTES = one_hot(drawn(P, 21))
BENT = np.array([[0.7, 0.1, 0.2], [0.1, 0.7, 0.2], [0.55, 0.25, 0.2], [0.25, 0.55, 0.2], [0.42, 0.38, 0.2]])


def taken(p, votes, **known):
    return make_calibrator("auto").fit(p, votes, **known)


def test_every_method_is_a_candidate():
    assert set(CANDIDATES) == set(CALIBRATORS) - {"auto"}


def test_a_calibrated_judge_is_kept_and_all_candidates_are_listed():
    auto = taken(P, VOTES)
    assert auto.chosen.method == "none"
    assert [entry["method"] for entry in auto.tried] == list(CANDIDATES)
    best = min(entry["log_loss"] for entry in auto.tried)
    for entry in auto.tried:
        assert entry["behind"] == pytest.approx(entry["log_loss"] - best, abs=1e-12)


def test_isotonic_regression_is_chosen_where_scaling_fails():
    rows = np.arange(10_000) % 5
    truth = np.array([[0.72, 0.08, 0.2], [0.08, 0.72, 0.2], [0.7, 0.1, 0.2], [0.1, 0.7, 0.2], [0.41, 0.39, 0.2]])
    auto = taken(BENT[rows], one_hot(drawn(truth[rows], 1)))
    assert auto.chosen.method == "isotonic"
    assert auto.transform(BENT) == pytest.approx(truth, abs=0.04)


@pytest.mark.parametrize(("rows", "clusters"), [(199, None), (400, np.zeros(400))])
def test_with_few_votes_or_one_prompt_no_method_is_tried(rows, clusters):
    auto = taken(P[:rows], VOTES[:rows], clusters=clusters)
    assert auto.chosen.method == "shift"
    assert all("left_out" in entry for entry in auto.tried)
    assert np.array_equal(auto.transform(P), make_calibrator("shift").fit(P[:rows], VOTES[:rows]).transform(P))


def test_repeated_prompts_do_not_count_as_many_votes():
    """Twelve prompts repeated 100 times are not 1,200 independent votes."""
    few = np.repeat(P[:12], 100, axis=0)
    votes = np.repeat(one_hot(drawn(P[:12], 5)), 100, axis=0)
    blind = taken(few, votes)
    aware = taken(few, votes, clusters=np.repeat(np.arange(12), 100))
    truth = P[1000:]
    assert log_loss(truth, aware.transform(truth)) <= log_loss(truth, blind.transform(truth))
    assert aware.chosen.method in {"none", "shift", "temperature"}


def test_its_state_keeps_the_choice_and_the_bits():
    for p, votes in ((P, VOTES), (P**3 / (P**3).sum(axis=1, keepdims=True), VOTES)):
        auto = taken(p, votes)
        config, arrays = auto.state()
        again = read_calibrator(json.loads(json.dumps(config)), arrays)
        assert np.array_equal(again.transform(P), auto.transform(P))
        assert again.state()[0] == config
        assert np.array_equal(auto.transform(swap_columns(P)), swap_columns(auto.transform(P)))
