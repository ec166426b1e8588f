"""Test each score against scikit-learn, by hand and by invariants."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.votes import drawn, files, one_hot, predictions

from votecast import metrics
from votecast.errors import DataError
from votecast.metrics.scores import without_ties
from votecast.types import swap_columns

EXACT = pytest.approx
SCORES = {
    "log_loss": metrics.log_loss,
    "brier": metrics.brier_score,
    "accuracy": metrics.accuracy,
    "macro_f1": metrics.macro_f1,
    "agreement": metrics.agreement,
    "auc": metrics.auc,
}


@pytest.fixture(params=[0, 1, 2], scope="module")
def file(request):
    p = predictions(3000, request.param, spread=3.0)
    y = drawn(p, request.param)
    return y, p, np.random.default_rng(request.param).gamma(2.0, size=len(y))


def close(value):
    return EXACT(value, rel=1e-12, abs=1e-12)


def test_log_loss_is_scikit_learns(file):
    y, p, w = file
    assert metrics.log_loss(one_hot(y), p) == close(oracle.log_loss(y, p, labels=[0, 1, 2]))
    assert metrics.log_loss(one_hot(y), p, w) == close(oracle.log_loss(y, p, sample_weight=w, labels=[0, 1, 2]))


def test_log_loss_of_a_missed_certainty_is_finite_and_scikit_learns():
    p = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    expected = oracle.log_loss([0, 0], p, labels=[0, 1, 2])
    assert metrics.log_loss(one_hot(np.array([0, 0])), p) == close(expected)
    assert expected == close(-np.log(np.finfo(float).eps) / 2 - np.log1p(-np.finfo(float).eps) / 2)


def test_brier_score_is_scikit_learns(file):
    y, p, w = file
    expected = oracle.brier_score_loss(y, p, sample_weight=w, labels=[0, 1, 2])
    assert metrics.brier_score(one_hot(y), p, w) == close(expected)


def test_accuracy_recall_and_macro_f1_are_scikit_learns(file):
    y, p, w = file
    d = p.argmax(axis=1)
    assert metrics.accuracy(one_hot(y), p, w) == close(oracle.accuracy_score(y, d, sample_weight=w))
    assert metrics.recall(one_hot(y), p, w) == close(oracle.recall_score(y, d, sample_weight=w, average=None))
    assert metrics.macro_f1(one_hot(y), p, w) == close(oracle.f1_score(y, d, sample_weight=w, average="macro"))


def test_macro_f1_leaves_out_a_class_that_occurs_nowhere(file):
    y, p, w = file
    kept = y != 2
    y, p, w = y[kept], without_ties(p[kept]), w[kept]
    expected = oracle.f1_score(y, p.argmax(axis=1), sample_weight=w, average="macro")
    assert metrics.macro_f1(one_hot(y), p, w) == close(expected)


def test_auc_is_scikit_learns_on_decided_rows(file):
    y, p, w = file
    d = y < 2
    score = ((p[:, 0] - p[:, 1]) / (p[:, 0] + p[:, 1]))[d]
    expected = oracle.roc_auc_score(y[d] == 0, score, sample_weight=w[d])
    assert metrics.auc(one_hot(y), p, w) == close(expected)


def test_auc_counts_draws_as_scikit_learn_does(file):
    y, p, w = file
    p = np.round(p * 4) + 1
    p /= p.sum(axis=1, keepdims=True)
    d = y < 2
    score = metrics.scores.margins(p)[d]
    assert metrics.auc(one_hot(y), p, w) == close(oracle.roc_auc_score(y[d] == 0, score, sample_weight=w[d]))


def test_agreement_is_the_accuracy_between_a_and_b_on_decided_rows(file):
    y, p, w = file
    d = y < 2
    expected = oracle.accuracy_score(y[d], p[d, :2].argmax(axis=1), sample_weight=w[d])
    assert metrics.agreement(one_hot(y), p, w) == close(expected)


def test_three_rows_by_hand():
    t = one_hot(np.array([0, 1, 2]))
    p = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    assert metrics.log_loss(t, p) == close(-(np.log(0.7) + np.log(0.3) + np.log(0.8)) / 3)
    assert metrics.brier_score(t, p) == close(((0.09 + 0.04 + 0.01) + (0.25 + 0.49 + 0.04) + (0.01 + 0.01 + 0.04)) / 3)
    assert metrics.accuracy(t, p) == close(2 / 3)
    assert metrics.recall(t, p).tolist() == [1, 0, 1]
    assert metrics.macro_f1(t, p) == close((2 / 3 + 0 + 1) / 3)
    assert metrics.agreement(t, p) == 0.5
    assert metrics.auc(t, p) == 1.0


def test_a_draw_is_shared_by_the_classes_that_draw():
    t, p = one_hot(np.array([0, 1])), np.array([[0.4, 0.4, 0.2], [1 / 3, 1 / 3, 1 / 3]])
    assert metrics.accuracy(t, p) == close((1 / 2 + 1 / 3) / 2)
    assert metrics.agreement(t, p) == 0.5


def test_metrics_without_votes_are_nan():
    ties = one_hot(np.array([2, 2]))
    p = predictions(2)
    assert np.isnan(metrics.auc(ties, p))
    assert np.isnan(metrics.agreement(ties, p))
    assert np.isnan(metrics.recall(ties, p)[:2]).all()


def test_flip_rate_counts_decisions_that_follow_the_order():
    p = np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])
    q = np.array([[0.3, 0.6, 0.1], [0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])
    assert metrics.flip_rate(p, q) == close(1 / 3)
    assert metrics.flip_rate(p, q, [1, 2, 1]) == close(1 / 2)


@given(files())
def test_an_order_invariant_judge_has_flip_rate_zero(file):
    _, p, w = file
    assert metrics.flip_rate(p, swap_columns(p), w) == 0


@given(files())
def test_perfect_predictions_have_perfect_metrics(file):
    t, _, w = file
    t = one_hot(t.argmax(axis=1))
    assert metrics.log_loss(t, t, w) == EXACT(0, abs=1e-15)
    assert metrics.brier_score(t, t, w) == 0
    assert metrics.accuracy(t, t, w) == metrics.macro_f1(t, t, w) == 1
    assert metrics.calibration_error(t, t, w) == 0


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=40)
@given(file=files(), seed=st.integers(0, 99))
def test_scores_do_not_depend_on_the_order_of_rows(name, file, seed):
    t, p, w = file
    order = np.random.default_rng(seed).permutation(len(w))
    expected = SCORES[name](t, p, w)
    assert SCORES[name](t[order], p[order], w[order]) == EXACT(expected, rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=40)
@given(file=files())
def test_scores_do_not_depend_on_the_order_of_responses(name, file):
    t, p, w = file
    expected = SCORES[name](t, p, w)
    assert SCORES[name](swap_columns(t), swap_columns(p), w) == EXACT(expected, rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=40)
@given(file=files())
def test_a_weight_is_a_number_of_repetitions(name, file):
    t, p, w = file
    times = (2 * w).astype(int)
    repeated = SCORES[name](np.repeat(t, times, axis=0), np.repeat(p, times, axis=0))
    assert SCORES[name](t, p, w) == EXACT(repeated, rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=40)
@given(file=files())
def test_a_soft_vote_is_so_many_hard_votes(name, file):
    t, p, w = file
    rows, votes = np.nonzero(t)
    hard = SCORES[name](one_hot(votes), p[rows], w[rows] * t[rows, votes])
    assert SCORES[name](t, p, w) == EXACT(hard, rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t, p, w: (t[:2], p, w), "3 rows of probabilities are given for 2 rows of votes"),
        (lambda t, p, w: (t, p[:, :2], w), r"have shape \(3, 2\)"),
        (lambda t, p, w: (t, p * [[1], [np.nan], [1]], w), "row 2 of the probabilities"),
        (lambda t, p, w: (t, p * 0.9, w), "must sum to 1"),
        (lambda t, p, w: (t, np.add(p, [0.5, -0.5, 0]), w), r"lie in \[0, 1\]"),
        (lambda t, p, w: (t * 2, p, w), "row 1 of the votes"),
        (lambda t, p, w: (t, p, w[:2]), r"weights have shape \(2,\)"),
        (lambda t, p, w: (t, p, [1, -1, 1]), "weight of row 2 is -1"),
        (lambda t, p, w: (t, p, w * 0), "all 3 weights are 0"),
        (lambda t, p, w: (t, [["x", "y", "z"]] * 3, w), "are not numbers"),
        (lambda t, p, w: (t[:0], p[:0], w[:0]), "no rows"),
    ],
)
@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_invalid_input_is_rejected(score, change, expected):
    t, p, w = one_hot(np.array([0, 1, 2])), np.full((3, 3), 1 / 3), np.ones(3)
    with pytest.raises(DataError, match=expected):
        score(*change(t, p, w))
