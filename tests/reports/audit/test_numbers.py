"""Test the statistics of an audit against other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, precision_score, recall_score, roc_auc_score
from tests.reports.audit.arena import drawn

from votecast.calibration.base import log_probabilities
from votecast.calibration.link_fit import fit_link
from votecast.data.battles import Battles
from votecast.metrics import Figure, accuracy, log_loss
from votecast.metrics.intervals import ClusterDraws
from votecast.reports.audit.audit_result import as_json
from votecast.reports.audit.audit_rows import AuditRows
from votecast.reports.audit.biases import family_of
from votecast.reports.audit.findings import (
    DIFFERENCES,
    LEAST_PROMPTS,
    ClusterSums,
    Finding,
    benjamini_hochberg,
    correct_findings,
)
from votecast.reports.audit.outcomes import Confusion, Ties
from votecast.reports.audit.style_bias import repeated_share
from votecast.reports.audit.tilt import Tilt
from votecast.types import Probabilities

ROWS = 600


def _predictions(seed: int = 0) -> Probabilities:
    z = np.exp(np.random.default_rng(seed).normal(size=(ROWS, 3)))
    return np.asarray(z / z.sum(axis=1, keepdims=True))


def _rows(p: Probabilities, targets: Probabilities, clusters: np.ndarray | None = None) -> AuditRows:
    battles = Battles.from_rows([{"prompt": "", "response_a": "", "response_b": "", "winner": "a"}] * len(p))
    group = np.arange(len(p)) if clusters is None else clusters
    weights = np.random.default_rng(1).integers(1, 4, len(p)).astype(float)
    binary = not targets[:, 2].any()
    sums = ClusterSums(weights, group, ClusterDraws(group, 200, 0))
    return AuditRows(battles, targets, p, None, sums, binary, False, None, None, ())


def test_confusion_is_that_of_sklearn() -> None:
    p = _predictions()
    rows = _rows(p, drawn(p, 0))
    voted, decided, w = rows.targets.argmax(axis=1), p.argmax(axis=1), rows.sums.weights
    found = Confusion.of(rows)
    assert np.allclose(found.counts, confusion_matrix(voted, decided, sample_weight=w))
    recall = recall_score(voted, decided, average=None, sample_weight=w)
    precision = precision_score(voted, decided, average=None, sample_weight=w)
    assert np.allclose([found.recall[name].value for name in ("a", "b", "tie")], recall)
    assert np.allclose([found.precision[name].value for name in ("a", "b", "tie")], precision)


def test_ties_are_compared_with_the_votes() -> None:
    p = _predictions()
    rows = _rows(p, drawn(p, 0))
    found, w, t = Ties.of(rows), rows.sums.weights, rows.targets[:, 2]
    assert found is not None
    assert found.predicted.value == pytest.approx(np.average(p[:, 2], weights=w))
    assert found.voted.value == pytest.approx(np.average(t, weights=w))
    assert found.auc == pytest.approx(roc_auc_score(t, p[:, 2], sample_weight=w))
    assert sum(part["rows"] for part in found.closeness) == ROWS
    assert [part["low"] for part in found.closeness] == sorted(part["low"] for part in found.closeness)


def test_a_tilt_of_decided_votes_is_a_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(ROWS, 3)), rng.integers(1, 3, ROWS).astype(float)
    wins = rng.random(ROWS) < 1 / (1 + np.exp(-x @ [0.5, 0.0, -1.0]))
    votes = np.column_stack([wins, ~wins, np.zeros(ROWS)]).astype(float)
    base = log_probabilities(np.tile([0.5, 0.5, 0.0], (ROWS, 1)))
    ours = Tilt(base, x, votes, w).slopes
    theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(x, wins, sample_weight=w).coef_[0]
    assert np.allclose(ours, theirs, atol=2e-3)


def test_a_tilt_of_uniform_predictions_is_davidsons_model() -> None:
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(ROWS, 2)), rng.integers(0, 150, ROWS)
    p = Tilt(np.zeros((ROWS, 3)), x, drawn(_predictions(), 3), np.ones(ROWS)).predict(np.zeros((ROWS, 3)), 3 * x)
    votes, w, base = drawn(p, 0), np.ones(ROWS), np.zeros((ROWS, 3))
    tilt = Tilt(base, x, votes, w)
    known = [fit_link(x[:, 0], votes, w, form=x[:, 1], groups=group) for group in (groups, None)]
    assert np.allclose(tilt.slopes, [known[0].parameters[name] for name in ("scale", "length")], atol=1e-5)
    tests = tilt.tested(groups)
    widths = [(test.high - test.low) / (2 * 1.976) for test in tests]
    errors = [
        [np.ptp(link.intervals[name]) / (2 * z) for name in ("scale", "length")]
        for link, z in zip(known, (1.976, 1.96), strict=True)
    ]
    assert np.allclose(widths, np.maximum(*errors), rtol=1e-2)


def test_a_tilt_moves_the_predictions_to_the_votes() -> None:
    p, x = _predictions(), np.random.default_rng(2).normal(size=(ROWS, 2))
    votes = drawn(_predictions(9), 0)
    q = Tilt(log_probabilities(p), x, votes, np.ones(ROWS)).predict(log_probabilities(p), x)
    gap = (votes - q)[:, 0] - (votes - q)[:, 1]
    assert np.allclose(x.T @ gap / ROWS, 0, atol=1e-3)
    assert log_loss(votes, q) < log_loss(votes, p)


def test_the_correction_matches_scipy_and_skips_untested_figures() -> None:
    p = np.random.default_rng(0).random(40) ** 3
    assert np.allclose(benjamini_hochberg(p), false_discovery_control(p))
    assert np.isnan(benjamini_hochberg([np.nan, 0.01])[0])
    assert benjamini_hochberg([np.nan, 0.01])[1] == 0.01


def test_tests_of_one_family_are_corrected_together_however_deep_they_lie() -> None:
    deep = {"x": [Finding(1.0, p=0.01), (Finding(2.0, p=0.5), Figure(1, 0, 2))], "y": Finding(3.0)}
    other = Finding(4.0, p=0.04, family=DIFFERENCES)
    (found, kept), counts = correct_findings((deep, other))
    assert counts == {"faults": 2, "differences": 1}
    assert found["x"][0].q == 0.02
    assert found["x"][1][1] == Figure(1, 0, 2)
    assert np.isnan(found["y"].q)
    assert kept.q == 0.04
    assert kept.marked


def test_means_and_differences_are_those_of_the_rows() -> None:
    p = _predictions()
    rows = _rows(p, drawn(p, 0), np.random.default_rng(3).integers(0, 200, ROWS))
    w, part = rows.sums.weights, p[:, 0] > 0.4
    assert rows.sums.mean(rows.hits).value == pytest.approx(accuracy(rows.targets, p, w))
    inside, outside = (np.average(rows.losses[side], weights=w[side]) for side in (part, ~part))
    assert rows.sums.test_against_rest(rows.losses, part).value == pytest.approx(inside - outside)
    assert rows.sums.test_mean(rows.losses, part).value == pytest.approx(inside)
    figure = rows.sums.mean(rows.losses, part)
    assert figure.low < figure.value < figure.high


def test_the_interval_of_a_tested_mean_is_that_of_the_bootstrap() -> None:
    p = _predictions()
    rows = _rows(p, drawn(p, 0), np.random.default_rng(3).integers(0, 200, ROWS))
    test, figure = rows.sums.test_mean(rows.losses), rows.sums.mean(rows.losses)
    assert test.high - test.low == pytest.approx(figure.high - figure.low, rel=0.2)
    assert (test.p < 0.05) == (not test.low <= 0 <= test.high)


def test_few_prompts_are_not_tested() -> None:
    p = _predictions()
    rows = _rows(p, drawn(p, 0), np.arange(ROWS) % (LEAST_PROMPTS - 1))
    assert np.isnan(rows.sums.test_mean(rows.losses).p)
    assert np.isnan(rows.sums.test_against_rest(rows.losses, p[:, 0] > 0.5).p)


def test_the_excess_is_zero_for_calibrated_predictions() -> None:
    p = _predictions()
    rows = _rows(p, p)
    assert np.allclose(rows.excess, 0, atol=1e-12)
    votes = drawn(_predictions(4), 0)
    rows, step = _rows(p, votes), 1e-5
    both = [p ** (1 + sign * step) for sign in (1, -1)]
    warm, cold = (log_loss(votes, q / q.sum(axis=1, keepdims=True), rows.sums.weights) for q in both)
    assert np.average(rows.excess, weights=rows.sums.weights) == pytest.approx((warm - cold) / (2 * step), rel=1e-3)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("One long sentence here. Another long sentence there.", 0.0),
        ("One long sentence here.\nOne long sentence here.", 0.5),
        ("这是一个很长的句子用来测试重复内容。这是一个很长的句子用来测试重复内容。", 0.5),
        ("Yes.\nYes.\nYes.", 0.0),
        ("}\n}\n}\n}", 0.0),
    ],
)
def test_repetition_is_text_that_stood_before(text: str, share: float) -> None:
    assert repeated_share(text) == pytest.approx(share)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4-1106-preview", "gpt"),
        ("chatgpt-4o-latest", "gpt"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama"),
        ("claude-2.1", "claude"),
        ("aurora-7b", "aurora"),
        ("microsoft/deberta-v3-small", "deberta"),
        ("7b", "7b"),
        ("?", "?"),
    ],
)
def test_families_are_recognised_by_name(model: str, family: str) -> None:
    assert family_of(model) == family


def test_nothing_in_json_is_nan() -> None:
    value = {"x": (Finding(float("nan")), np.array([1.0, np.inf])), "y": np.float64(2.0), 3: "z"}
    assert as_json(value) == {
        "x": [
            {"value": None, "low": None, "high": None, "p": None, "q": None, "family": "faults"},
            [1.0, None],
        ],
        "y": 2.0,
        "3": "z",
    }
