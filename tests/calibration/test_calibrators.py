"""Test every calibrator: swap symmetry, gains and published formulas."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from tests.metrics.votes import drawn, files, one_hot, predictions

from votecast.calibration import CALIBRATORS, Calibrator, crossfit_calibrate, make_calibrator
from votecast.calibration.scalers import TieLink
from votecast.calibration.tie_models import TIE_MODELS
from votecast.errors import ConfigError, DataError, JudgeError
from votecast.metrics import calibration_error, group_folds, log_loss
from votecast.types import swap_columns

METHODS = list(CALIBRATORS)
TRUE = predictions(4000, 7)
VOTES = one_hot(drawn(TRUE, 7))


def powered(p, power):
    return p**power / (p**power).sum(axis=1, keepdims=True)


BOLD = powered(TRUE, 2.5)


@functools.cache
def fitted_to(method):
    return make_calibrator(method).fit(BOLD, VOTES)


@pytest.fixture(params=METHODS)
def fitted(request):
    return fitted_to(request.param)


def test_each_is_a_calibrator_under_its_own_name(fitted):
    assert isinstance(fitted, Calibrator)
    assert CALIBRATORS[fitted.method].endswith(type(fitted).__name__)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "auto"])
@settings(max_examples=50)
@given(file=files(), seed=st.integers(0, 20))
def test_swapping_responses_swaps_the_columns_bit_for_bit(method, file, seed):
    calibrator = make_calibrator(method).fit(powered(TRUE[:200], 1 + seed / 10), VOTES[:200])
    p = np.concatenate([file[1], predictions(5, seed, spread=8.0), np.eye(3)])
    assert np.array_equal(calibrator.transform(swap_columns(p)), swap_columns(calibrator.transform(p)))


@pytest.mark.parametrize("method", METHODS)
def test_fitting_on_swapped_rows_gives_the_same(method):
    one = fitted_to(method).transform(TRUE)
    two = make_calibrator(method).fit(swap_columns(BOLD), swap_columns(VOTES)).transform(TRUE)
    assert one == pytest.approx(two, abs=1e-9 if method == "tie_link" else 1e-12)


def test_output_is_probabilities_and_rows_do_not_depend_on_each_other(fitted):
    p = np.concatenate([predictions(50, spread=20.0), np.eye(3)])
    q = fitted.transform(p)
    assert np.abs(q.sum(axis=1) - 1).max() < 1e-9
    assert (q >= 0).all()
    assert np.array_equal(q[10:20], fitted.transform(p[10:20]))
    assert fitted.transform(p[:0]).shape == (0, 3)


def test_state_survives_json_and_gives_the_same_bits(fitted):
    config, arrays = fitted.state()
    again = make_calibrator(config["method"]).from_state(json.loads(json.dumps(config)), arrays)
    assert np.array_equal(again.transform(TRUE), fitted.transform(TRUE))
    assert again.state()[0] == config


@pytest.mark.parametrize("method", [name for name in METHODS if name != "none"])
@pytest.mark.parametrize("power", [0.4, 2.5])
def test_a_judge_too_bold_or_too_modest_is_put_right(method, power):
    wrong = powered(TRUE, power)
    right = make_calibrator(method).fit(wrong, VOTES).transform(wrong)
    assert log_loss(VOTES, right) < log_loss(VOTES, TRUE) + 0.002
    assert calibration_error(VOTES, right) < 0.5 * calibration_error(VOTES, wrong)


def test_temperature_finds_the_power_that_was_put_in():
    assert make_calibrator("temperature").fit(BOLD, VOTES).numbers[0] == pytest.approx(2.5, rel=0.05)
    expected = make_calibrator("temperature").fit(TRUE, TRUE).numbers[0]
    assert expected == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("power", [0.3, 1.0, 4.0])
def test_temperature_is_the_least_log_loss_of_a_fine_grid(power):
    p, w = powered(TRUE, power)[:500], np.random.default_rng(0).random(500)
    best = make_calibrator("temperature").fit(p, VOTES[:500], w)
    grid = [log_loss(VOTES[:500], powered(p, 1 / t), w) for t in np.geomspace(0.05, 20, 2001)]
    assert log_loss(VOTES[:500], best.transform(p), w) <= min(grid) + 1e-12


def test_temperature_stays_in_bounds_for_perfect_and_inverted_judges():
    sure = np.full((9, 3), 0.3) + 0.1 * VOTES[:9]
    assert make_calibrator("temperature").fit(sure, VOTES[:9]).numbers[0] == pytest.approx(0.01)
    upside_down = np.full((9, 3), 0.45) - 0.35 * VOTES[:9]
    assert make_calibrator("temperature").fit(upside_down, VOTES[:9]).numbers[0] == pytest.approx(100)


def test_vector_is_the_least_log_loss_that_another_solver_finds():
    p = BOLD * [1, 1, 0.3]
    p /= p.sum(axis=1, keepdims=True)
    fitted = make_calibrator("vector").fit(p, VOTES)
    z = np.log(p)

    def loss(theta):
        e = np.exp(z * [theta[0], theta[0], theta[1]] + [0, 0, theta[2]])
        return log_loss(VOTES, e / e.sum(axis=1, keepdims=True))

    other = minimize(
        loss, [0.5, 0.5, 0.5], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 4000}
    )
    assert fitted.numbers == pytest.approx(other.x, abs=1e-3)
    assert loss(fitted.numbers) <= other.fun + 1e-10
    assert fitted.numbers[2] > 0.3


def test_vector_on_decided_rows_is_a_logistic_regression_without_intercept():
    p = np.column_stack([BOLD[:, :2], np.full(len(BOLD), 1e-9)])
    p /= p.sum(axis=1, keepdims=True)
    kept = VOTES[:, 2] == 0
    tie = np.array([[1 / 3, 1 / 3, 1 / 3]])
    votes, p = np.concatenate([VOTES[kept], [[0, 0, 1.0]]]), np.concatenate([p[kept], tie])
    x = (np.log(p[:-1, 0]) - np.log(p[:-1, 1]))[:, None]
    oracle = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(x, votes[:-1, 0])
    assert make_calibrator("vector").fit(p, votes).numbers[0] == pytest.approx(oracle.coef_[0, 0], rel=0.02)


def test_isotonic_curves_are_scikit_learns():
    fitted = make_calibrator("isotonic").fit(BOLD, VOTES)
    end = 1 / (len(BOLD) + 3)
    bounds = {"y_min": end, "y_max": 1 - end, "out_of_bounds": "clip"}
    grid = np.linspace(0, 1, 501)
    tie = IsotonicRegression(**bounds).fit(BOLD[:, 2], VOTES[:, 2])
    both = IsotonicRegression(**bounds).fit(BOLD[:, :2].T.ravel(), VOTES[:, :2].T.ravel())
    for name, oracle in (("tie", tie), ("answer", both)):
        curve = np.interp(grid, fitted.curves[f"{name}_x"], fitted.curves[f"{name}_y"])
        assert curve == pytest.approx(oracle.predict(grid), abs=1e-9)


def test_isotonic_never_predicts_0():
    p = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.15, 0.15, 0.7], [0.7, 0.2, 0.1]])
    q = make_calibrator("isotonic").fit(p, one_hot(np.array([0, 1, 2, 0]))).transform(np.eye(3))
    assert q.min() > 0.01


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_votes_without_ties_can_be_calibrated_on(method):
    kept = VOTES[:, 2] == 0
    q = make_calibrator(method).fit(BOLD[kept], VOTES[kept]).transform(BOLD[kept])
    assert log_loss(VOTES[kept], q) < log_loss(VOTES[kept], BOLD[kept])


def test_weights_are_repetitions(fitted):
    w = np.arange(300) % 3
    weighted = type(fitted)().fit(BOLD[:300], VOTES[:300], w)
    repeated = type(fitted)().fit(np.repeat(BOLD[:300], w, axis=0), np.repeat(VOTES[:300], w, axis=0))
    if fitted.method == "auto":
        return  # auto chooses its candidates by the number of rows
    if fitted.method != "isotonic":
        assert weighted.transform(TRUE) == pytest.approx(repeated.transform(TRUE), abs=1e-6)
    else:
        inner = (TRUE > 0.05).all(axis=1)
        assert weighted.transform(TRUE[inner]) == pytest.approx(repeated.transform(TRUE[inner]), abs=0.01)


def test_none_changes_nothing():
    assert np.array_equal(make_calibrator("none").fit(BOLD, VOTES).transform(BOLD), BOLD)


@pytest.mark.parametrize("method", METHODS)
def test_invalid_predictions_raise(method):
    broken = BOLD.copy()
    broken[3, 1] = np.nan
    with pytest.raises(DataError, match="row 4 of the probabilities"):
        make_calibrator(method).fit(broken, VOTES)
    with pytest.raises(DataError, match="row 4 of the probabilities"):
        make_calibrator(method).fit(BOLD, VOTES).transform(broken)


@pytest.mark.parametrize("method", ["vector", "isotonic", "matrix", "dirichlet", "tie_link"])
def test_fewer_rows_than_numbers_is_an_error(method):
    with pytest.raises(JudgeError, match=f"{method} calibration fits . numbers and was given 2 rows"):
        make_calibrator(method).fit(BOLD[:5], VOTES[:5], [1, 1, 0, 0, 0])


@pytest.mark.parametrize("method", [name for name in METHODS if name != "none"])
def test_nothing_but_ties_is_an_error(method):
    with pytest.raises(JudgeError, match="all 9 votes are ties"):
        make_calibrator(method).fit(BOLD[:9], np.tile([0, 0, 1], (9, 1)))


@pytest.mark.parametrize("method", ["vector", "matrix", "dirichlet", "tie_link", "shift", "auto"])
def test_most_need_ties(method):
    with pytest.raises(JudgeError, match=r"none of 9 votes is a tie.*temperature"):
        make_calibrator(method).fit(BOLD[:9], np.tile([1, 0, 0], (9, 1)))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "none"])
def test_a_calibrator_that_is_not_fitted_raises(method):
    with pytest.raises(JudgeError, match="has not been fitted"):
        make_calibrator(method).transform(BOLD)
    with pytest.raises(JudgeError, match="has not been fitted"):
        make_calibrator(method).state()


@pytest.mark.parametrize(
    ("method", "config", "arrays"),
    [
        ("temperature", {"temperature": -1}, {}),
        ("temperature", {}, {}),
        ("vector", {"scale": float("nan"), "tie_scale": 1, "tie_bias": 0}, {}),
        ("matrix", {"scale": 1, "tie_scale": 1, "tie_bias": 0}, {}),
        ("shift", {"scale": 1, "tie_scale": 1, "tie_bias": 0, "cross": float("inf")}, {}),
        ("tie_link", {"curve": "straight", "scale": 1, "tie_scale": 1, "tie_bias": 0}, {}),
        ("auto", {"chosen": {"method": "temperature"}, "tried": []}, {}),
        ("isotonic", {}, {}),
        ("isotonic", {}, {k: np.array([0.5, 0.4]) for k in ("answer_x", "answer_y", "tie_x", "tie_y")}),
    ],
)
def test_a_damaged_state_raises(method, config, arrays):
    with pytest.raises((ValueError, KeyError)):
        make_calibrator(method).from_state(config, arrays)


def test_a_method_that_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean isotonic"):
        make_calibrator("isotonik")


@pytest.mark.parametrize("method", METHODS)
def test_crossfitting_never_looks_at_the_row_it_calibrates(method):
    folds = group_folds(np.arange(400) // 2)
    p, t = BOLD[:400], VOTES[:400].copy()
    before = crossfit_calibrate(method, p, t, None, folds)
    mine = folds == folds[0]
    t[mine] = swap_columns(t[mine])
    after = crossfit_calibrate(method, p, t, None, folds)
    assert np.array_equal(before[mine], after[mine])
    assert method == "none" or not np.array_equal(before[~mine], after[~mine])


def test_crossfitting_is_each_fold_by_the_others():
    folds = np.array(["x", "y", "z"])[np.arange(600) % 3]
    q = crossfit_calibrate("temperature", BOLD[:600], VOTES[:600], None, folds)
    others = folds != "y"
    by_hand = make_calibrator("temperature").fit(BOLD[:600][others], VOTES[:600][others])
    assert np.array_equal(q[~others], by_hand.transform(BOLD[:600][~others]))


def test_crossfitting_needs_two_folds_that_suffice():
    with pytest.raises(DataError, match="all 9 rows are in fold 0"):
        crossfit_calibrate("temperature", BOLD[:9], VOTES[:9], None, np.zeros(9))
    with pytest.raises(DataError, match="folds have shape"):
        crossfit_calibrate("temperature", BOLD[:9], VOTES[:9], None, np.zeros(8))
    with pytest.raises(JudgeError, match="fold 0: the other folds are not enough"):
        crossfit_calibrate("vector", BOLD[:9], VOTES[:9], None, [0] * 8 + [1])


LEAD = np.random.default_rng(0).normal(size=4000) * 2


@pytest.mark.parametrize("curve", ["davidson", "rao_kupper"])
@pytest.mark.parametrize("tie", [0.3, 1.2])
def test_tie_link_changes_nothing_on_its_curve_and_undoes_a_scale(curve, tie):
    p = TIE_MODELS[curve].probabilities(LEAD, tie)
    assert TieLink(curve, np.array([1.0, 1.0, 0.0])).transform(p) == pytest.approx(p, abs=1e-12)
    far = TIE_MODELS[curve].probabilities(2 * LEAD, 2 * tie + 0.1)
    assert TieLink(curve, np.array([2.0, 2.0, 0.1])).transform(p) == pytest.approx(far, abs=1e-9)


@pytest.mark.parametrize("curve", ["davidson", "rao_kupper"])
def test_tie_link_finds_the_curve_of_the_votes(curve):
    ties = 0.4 + np.random.default_rng(1).random(4000)
    p = np.exp(TIE_MODELS[curve].logs(LEAD, ties))
    p = p / p.sum(axis=1, keepdims=True)
    truth = np.exp(TIE_MODELS[curve].logs(0.5 * LEAD, 0.5 * ties + 0.3))
    truth = truth / truth.sum(axis=1, keepdims=True)
    fitted = TieLink().fit(p, truth)
    assert fitted.curve == curve
    assert fitted.numbers == pytest.approx([0.5, 0.5, 0.3], abs=1e-3)
    assert fitted.transform(p) == pytest.approx(truth, abs=1e-4)


def test_tie_link_is_the_least_log_loss_that_another_solver_finds():
    p = predictions(1500, 5)
    votes = one_hot(drawn(predictions(1500, 5, spread=0.5), 5))
    fitted = TieLink().fit(p, votes)

    def loss(theta):
        return log_loss(votes, TieLink("davidson", theta).transform(p))

    other = minimize(loss, [0.7, 0.7, 0.1], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12})
    assert log_loss(votes, fitted.transform(p)) <= other.fun + 1e-8
