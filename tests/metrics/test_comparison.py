"""Two judges on the same rows: differences of every figure, and intervals from draws in pairs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss

from votecast.errors import DataError
from votecast.metrics import calibration_error, paired_gain
from votecast.metrics.comparison import compare_probabilities

RNG = np.random.default_rng(3)
N = 400
TRUE = RNG.dirichlet([2, 2, 1], N)
VOTES = np.stack([RNG.multinomial(1, row) for row in TRUE]).astype(float)
GROUPS = np.arange(N) // 2
NOISY = 0.7 * TRUE + 0.3 * RNG.dirichlet([2, 2, 1], N)


def test_differences_are_those_of_the_figures() -> None:
    figures, differences = compare_probabilities(VOTES, TRUE, NOISY, groups=GROUPS, draws=200)
    own, its = (sklearn_log_loss(VOTES.argmax(axis=1), p, labels=[0, 1, 2]) for p in (TRUE, NOISY))
    assert figures["log_loss"].value == pytest.approx(its)
    assert differences["log_loss"].value == pytest.approx(own - its)
    gap = calibration_error(VOTES, TRUE) - calibration_error(VOTES, NOISY)
    assert differences["ece"].value == pytest.approx(gap)
    for figure in (differences[name] for name in ("log_loss", "accuracy", "brier", "ece", "auc")):
        assert figure.low <= figure.value <= figure.high


def test_the_interval_of_the_log_loss_is_that_of_the_paired_gain() -> None:
    _, differences = compare_probabilities(VOTES, TRUE, NOISY, groups=GROUPS, draws=300, seed=5)
    gain, low, high = paired_gain(VOTES, TRUE, NOISY, groups=GROUPS, draws=300, seed=5)
    assert differences["log_loss"] == pytest.approx((-gain, -high, -low))


def test_pairing_makes_intervals_narrow_and_a_judge_equals_itself() -> None:
    close = 0.98 * TRUE + 0.02 / 3
    figures, differences = compare_probabilities(VOTES, TRUE, close, groups=GROUPS, draws=200)
    alone = figures["log_loss"].high - figures["log_loss"].low
    assert differences["log_loss"].high - differences["log_loss"].low < alone / 10
    _, same = compare_probabilities(VOTES, TRUE, TRUE, groups=GROUPS, draws=50)
    assert all(tuple(same[name]) == (0.0, 0.0, 0.0) for name in ("log_loss", "accuracy", "brier", "ece", "auc"))


def test_exchanging_the_judges_turns_the_sign() -> None:
    _, one = compare_probabilities(VOTES, TRUE, NOISY, groups=GROUPS, draws=100)
    _, other = compare_probabilities(VOTES, NOISY, TRUE, groups=GROUPS, draws=100)
    for name in ("log_loss", "accuracy", "brier", "ece", "macro_f1"):
        assert one[name] == pytest.approx((-other[name].value, -other[name].high, -other[name].low), abs=1e-12)


def test_soft_votes_and_weights_count_and_ties_are_handed_out_for_both() -> None:
    soft, weights = (VOTES + TRUE) / 2, RNG.uniform(0.5, 2, N)
    _, weighed = compare_probabilities(soft, TRUE, NOISY, weights=weights, draws=0)
    losses = -(soft * (np.log(TRUE) - np.log(NOISY))).sum(axis=1)
    assert weighed["log_loss"].value == pytest.approx(np.average(losses, weights=weights))
    assert np.isnan(weighed["log_loss"].low)
    decided = VOTES[:, 2] == 0
    figures, _ = compare_probabilities(VOTES[decided], TRUE[decided], NOISY[decided], binary=True, draws=10)
    sure = NOISY[decided][:, :2] / NOISY[decided][:, :2].sum(axis=1, keepdims=True)
    expected = -(VOTES[decided][:, :2] * np.log(sure)).sum(axis=1).mean()
    assert figures["log_loss"].value == pytest.approx(expected)


def test_forecasts_of_other_rows_are_refused() -> None:
    with pytest.raises(DataError, match="399 rows of probabilities are given for 400"):
        compare_probabilities(VOTES, TRUE, NOISY[1:])
