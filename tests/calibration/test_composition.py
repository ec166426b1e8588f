"""Test calibrators by group and in chains: shrinkage, symmetry, saving."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.metrics.votes import drawn, one_hot, predictions

from votecast.calibration import CALIBRATORS, Chain, Grouped, crossfit_calibrate, make_calibrator, read_calibrator
from votecast.errors import DataError, JudgeError
from votecast.metrics import log_loss
from votecast.types import swap_columns

P = predictions(2400, 31)
NAMES = np.array(["de", "en", "zh"])[np.arange(2400) % 3]
TRUTH = P.copy()
TRUTH[NAMES == "de"] = P[NAMES == "de"] ** 0.4
TRUTH /= TRUTH.sum(axis=1, keepdims=True)
VOTES = one_hot(drawn(TRUTH, 31))
GROUPS = {"language": NAMES.tolist()}


def test_each_group_gets_its_own_calibrator():
    alike = make_calibrator("temperature").fit(P, VOTES)
    grouped = Grouped("language", "temperature").fit(P, VOTES, groups=GROUPS)
    assert grouped.by == ("language",)
    assert log_loss(TRUTH, grouped.transform(P, GROUPS)) < log_loss(TRUTH, alike.transform(P)) - 0.015
    unknown = grouped.transform(P, {"language": ["fr"] * len(P)})
    assert np.array_equal(unknown, alike.transform(P))


def test_groups_of_few_votes_stay_close_to_the_others():
    few = np.where((NAMES == "de") & (np.arange(2400) >= 90), "en", NAMES).tolist()
    votes = one_hot(drawn(P, 7))
    grouped = Grouped("language", "none").fit(P, votes, groups={"language": few})
    assert set(grouped.shifts) == {"de", "en", "zh"}
    assert np.abs(grouped.transform(P, {"language": ["de"] * 2400}) - P).mean() < 0.04
    rare = ["de" if row < 19 else "en" for row in range(2400)]
    assert set(Grouped("language", "none").fit(P, votes, groups={"language": rare}).shifts) == {"en"}


@pytest.mark.parametrize("method", [name for name in CALIBRATORS if name != "auto"])
def test_swap_saving_and_row_independence_hold_for_common_methods(method):
    grouped = Grouped("language", method).fit(P[:600], VOTES[:600], groups={"language": NAMES[:600].tolist()})
    chain = Chain([make_calibrator("isotonic").fit(P, VOTES), grouped])
    assert chain.by == ("language",)
    q = chain.transform(P, GROUPS)
    assert np.abs(q.sum(axis=1) - 1).max() < 1e-9
    assert np.array_equal(chain.transform(swap_columns(P), GROUPS), swap_columns(q))
    config, arrays = chain.state()
    again = read_calibrator(json.loads(json.dumps(config)), arrays)
    assert np.array_equal(again.transform(P, GROUPS), q)
    assert again.state()[0] == config
    assert chain.transform(P[:0], {"language": []}).shape == (0, 3)


def test_weights_of_zero_leave_rows_out():
    w = (np.arange(2400) < 1200).astype(float)
    half = {"language": NAMES[:1200].tolist()}
    one = Grouped("language", "vector").fit(P, VOTES, w, clusters=np.arange(2400), groups=GROUPS)
    two = Grouped("language", "vector").fit(P[:1200], VOTES[:1200], groups=half)
    assert np.array_equal(one.transform(P, GROUPS), two.transform(P, GROUPS))


def test_crossfitting_hands_each_fold_its_groups():
    folds = np.arange(2400) % 2
    q = crossfit_calibrate(lambda: Grouped("language", "temperature"), P, VOTES, None, folds, groups=GROUPS)
    here = folds == 1
    part = {"language": NAMES[~here].tolist()}
    by_hand = Grouped("language", "temperature").fit(P[~here], VOTES[~here], groups=part)
    assert np.array_equal(q[here], by_hand.transform(P[here], {"language": NAMES[here].tolist()}))


def test_a_chain_in_a_chain_is_one_chain():
    parts = [make_calibrator("temperature").fit(P**k / (P**k).sum(axis=1, keepdims=True), VOTES) for k in (2, 1)]
    inner = Chain(parts)
    assert len(Chain([inner, inner]).parts) == 4
    by_hand = parts[1].transform(parts[0].transform(P))
    assert np.array_equal(inner.transform(P), by_hand)


def test_unfitted_calibrators_and_missing_groups_raise():
    grouped = Grouped("language", "temperature")
    with pytest.raises(JudgeError, match="has not been fitted"):
        grouped.transform(P, GROUPS)
    with pytest.raises(DataError, match="goes by language, and the language of the rows is not given"):
        grouped.fit(P, VOTES)
    with pytest.raises(DataError, match="shape \\(3,\\)"):
        grouped.fit(P, VOTES, groups={"language": ["a", "b", "c"]})
    with pytest.raises(JudgeError, match="cannot be fitted itself"):
        Chain([make_calibrator("none")]).fit(P, VOTES)
    with pytest.raises(ValueError, match="at least one part"):
        read_calibrator({"method": "chain", "parts": []}, {})
    with pytest.raises(DataError, match="clusters|groups have shape"):
        make_calibrator("auto").fit(P, VOTES, clusters=[1, 2])
