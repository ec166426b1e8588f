"""Test evaluation: JSON shape, slices, notes and single functions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from tests.metrics.votes import drawn, files, one_hot, predictions

from votecast import metrics
from votecast.errors import DataError
from votecast.metrics import METRICS, calibration_error, evaluate_probabilities, paired_gain
from votecast.metrics.evaluation import compare_probabilities
from votecast.metrics.scores import without_ties
from votecast.types import swap_columns

GOLDEN = {
    "metrics": METRICS,
    "slices": {"turns": ["1", "2"]},
    "baselines": ["uniform", "prior", "longer"],
    "keys": ["metrics", "slices", "baselines", "rows", "clusters", "notes", "judge", "settings", "versions"],
}


@pytest.fixture(scope="module")
def file():
    p = predictions(600)
    rng = np.random.default_rng(0)
    return one_hot(drawn(p)), p, rng.integers(0, 300, 600), np.where(rng.random(600) < 0.7, "1", "2")


def page(file, **options):
    t, p, groups, turns = file
    lengths = np.random.default_rng(3).integers(1, 99, (len(t), 2))
    defaults = {
        "groups": groups,
        "slices": {"turns": turns},
        "swapped": swap_columns(p),
        "lengths": lengths,
        "draws": 100,
    }
    return evaluate_probabilities(t, p, **(defaults | options))


def test_the_json_has_the_documented_fields(file):
    found = json.loads(json.dumps(page(file).to_dict(), allow_nan=False))
    assert list(found) == GOLDEN["keys"]
    assert list(found["metrics"]) == list(GOLDEN["metrics"])
    for figure in found["metrics"].values():
        assert list(figure) == ["value", "low", "high"]
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert {kind: list(parts) for kind, parts in found["slices"].items()} == GOLDEN["slices"]
    for part in found["slices"]["turns"].values():
        assert list(part) == ["rows", "clusters", "metrics"]
        assert list(part["metrics"]) == list(GOLDEN["metrics"])
    assert list(found["baselines"]) == GOLDEN["baselines"]
    for baseline in found["baselines"].values():
        assert {"log_loss", "accuracy", "brier", "ece", "log_loss_gain"} <= set(baseline)
        assert list(baseline["log_loss"]) == ["value", "low", "high"]
    assert (found["rows"], found["clusters"], found["notes"]) == (600, len(np.unique(file[2])), [])
    assert found["settings"] == {"draws": 100, "seed": 0, "bins": 15, "level": 0.95, "binary": False}


def test_every_value_is_that_of_its_own_function(file):
    t, p, groups, _ = file
    found = page(file).metrics
    recall = metrics.recall(t, p)
    expected = {
        "log_loss": metrics.log_loss(t, p),
        "accuracy": metrics.accuracy(t, p),
        "brier": metrics.brier_score(t, p),
        "ece": metrics.calibration_error(t, p),
        "ece_a": metrics.calibration_error(t, p, event="a"),
        "ece_b": metrics.calibration_error(t, p, event="b"),
        "ece_tie": metrics.calibration_error(t, p, event="tie"),
        "recall_a": recall[0],
        "recall_b": recall[1],
        "recall_tie": recall[2],
        "macro_f1": metrics.macro_f1(t, p),
        "auc": metrics.auc(t, p),
        "flip_rate": 0,
        "agreement_decided": metrics.agreement(t, p),
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected, rel=1e-12)
    perfect = metrics.perfect_calibration_error(t, p, groups=groups)
    assert found["ece_perfect"].value == pytest.approx(perfect, rel=0.1)


def test_a_slice_is_the_page_of_its_rows(file):
    t, p, groups, turns = file
    part, rows = page(file).slices["turns"]["2"], turns == "2"
    alone = evaluate_probabilities(t[rows], p[rows], groups=groups[rows], draws=0)
    assert (part.rows, part.clusters) == (alone.rows, alone.clusters)
    for name in set(METRICS) - {"flip_rate"}:
        if "perfect" not in name:
            assert part.metrics[name].value == pytest.approx(alone.metrics[name].value, rel=1e-12)
    assert part.metrics["ece_perfect"].value == pytest.approx(alone.metrics["ece_perfect"].value, rel=0.2)


@settings(max_examples=30)
@given(files(), st.booleans())
def test_the_json_is_finite_and_metrics_lie_in_their_intervals(file, swapped):
    t, p, w = file
    groups = np.arange(len(w)) // 2
    slices = {"kind": np.where(np.arange(len(w)) % 3 == 0, "x", None)}
    found = evaluate_probabilities(
        t, p, groups=groups, weights=w, slices=slices, swapped=swap_columns(p) if swapped else None, draws=20
    )
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert "NaN" not in text
    nulls = [name for name, figure in found.metrics.items() if np.isnan(figure.value)]
    for name in nulls:
        assert any(name in note for note in found.notes)
    for figure in found.metrics.values():
        rounding = 1e-12  # sums over sampled rows add up in another order
        inside = figure.low - rounding <= figure.value <= figure.high + rounding
        assert np.isnan([figure.value, figure.low]).any() or inside


@settings(max_examples=20)
@given(files())
def test_swapping_responses_keeps_the_page(file):
    t, p, w = file
    one = evaluate_probabilities(t, p, weights=w, draws=10).metrics
    two = evaluate_probabilities(swap_columns(t), swap_columns(p), weights=w, draws=10).metrics
    partner = {"ece_a": "ece_b", "ece_b": "ece_a", "recall_a": "recall_b", "recall_b": "recall_a"}
    for name in (
        "log_loss",
        "accuracy",
        "brier",
        "ece",
        *partner,
        "recall_tie",
        "macro_f1",
        "agreement_decided",
        "auc",
    ):
        other = two[partner.get(name, name)].value
        assert one[name].value == pytest.approx(other, rel=1e-9, abs=1e-12, nan_ok=True)


def test_binary_files_split_the_tie_and_report_it():
    p = predictions(300)
    t = one_hot(np.random.default_rng(0).integers(0, 2, 300))
    found = evaluate_probabilities(t, p, swapped=swap_columns(p), draws=20)
    assert found.metrics["log_loss"].value == pytest.approx(metrics.log_loss(t, without_ties(p)), rel=1e-12)
    assert found.baselines["uniform"]["log_loss"].value == pytest.approx(np.log(2))
    assert found.settings["binary"]
    assert any("handed to a and b in proportion" in note for note in found.notes)
    assert found.to_dict()["metrics"]["recall_tie"] == {"value": None, "low": None, "high": None}
    assert any("recall_tie" in note for note in found.notes)


def test_binary_can_be_stated_but_not_against_the_votes(file):
    t, p, _, _ = file
    kept = evaluate_probabilities(t[:1], p[:1], binary=False, draws=0)
    assert not kept.settings["binary"]
    with pytest.raises(DataError, match="the votes hold ties"):
        evaluate_probabilities(t, p, binary=True)


def test_predictions_without_the_swapped_order_have_no_flip_rate(file):
    found = page(file, swapped=None)
    assert np.isnan(found.metrics["flip_rate"].value)
    assert "flip_rate is null: there are no predictions for the swapped order" in found.notes


def test_no_draws_and_one_prompt_report_missing_intervals(file):
    for options in ({"draws": 0}, {"groups": np.zeros(600)}):
        found = page(file, **options)
        assert np.isnan(found.metrics["log_loss"].low)
        assert any(note.startswith("intervals are null") for note in found.notes)


def test_rare_values_of_a_slice_are_put_together_and_missing_ones_named(file):
    names = np.array([f"v{min(i, 40):02}" if i % 50 else None for i in range(600)], dtype=object)
    parts = page(file, slices={"source": names}).slices["source"]
    assert len(parts) == metrics.evaluation.MAX_VALUES
    assert parts["other"].rows > 1
    assert parts["unknown"].rows == 12
    assert sum(part.rows for part in parts.values()) == 600


def test_a_slice_of_one_prompt_reports_a_missing_interval(file):
    found = page(file, slices={"half": np.where(file[2] == file[2][0], "one", "rest")})
    assert np.isnan(found.slices["half"]["one"].metrics["log_loss"].low)
    assert "half one: intervals are null, all rows have one prompt" in found.notes


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"groups": [1, 2]}, r"groups have shape \(2,\)"),
        ({"slices": {"turns": ["1"]}}, "slice 'turns' has shape"),
        ({"swapped": np.full((5, 3), 1 / 3)}, "5 rows are predicted in the swapped order"),
        ({"lengths": np.ones((600, 3))}, "lengths have shape"),
    ],
)
def test_mismatched_shapes_are_rejected(file, options, expected):
    with pytest.raises(DataError, match=expected):
        page(file, **options)


RNG = np.random.default_rng(3)
N = 400
TRUE = RNG.dirichlet([2, 2, 1], N)
VOTES = np.stack([RNG.multinomial(1, row) for row in TRUE]).astype(float)
GROUPS = np.arange(N) // 2
NOISY = 0.7 * TRUE + 0.3 * RNG.dirichlet([2, 2, 1], N)


def test_differences_match_the_metrics():
    figures, differences = compare_probabilities(VOTES, TRUE, NOISY, groups=GROUPS, draws=200)
    own, its = (sklearn_log_loss(VOTES.argmax(axis=1), p, labels=[0, 1, 2]) for p in (TRUE, NOISY))
    assert figures["log_loss"].value == pytest.approx(its)
    assert differences["log_loss"].value == pytest.approx(own - its)
    gap = calibration_error(VOTES, TRUE) - calibration_error(VOTES, NOISY)
    assert differences["ece"].value == pytest.approx(gap)
    for figure in (differences[name] for name in ("log_loss", "accuracy", "brier", "ece", "auc")):
        assert figure.low <= figure.value <= figure.high


def test_the_interval_of_the_log_loss_is_that_of_the_paired_gain():
    _, differences = compare_probabilities(VOTES, TRUE, NOISY, groups=GROUPS, draws=300, seed=5)
    gain, low, high = paired_gain(VOTES, TRUE, NOISY, groups=GROUPS, draws=300, seed=5)
    assert differences["log_loss"] == pytest.approx((-gain, -high, -low))


def test_pairing_makes_intervals_narrow_and_a_judge_equals_itself():
    close = 0.98 * TRUE + 0.02 / 3
    figures, differences = compare_probabilities(VOTES, TRUE, close, groups=GROUPS, draws=200)
    alone = figures["log_loss"].high - figures["log_loss"].low
    assert differences["log_loss"].high - differences["log_loss"].low < alone / 10
    _, same = compare_probabilities(VOTES, TRUE, TRUE, groups=GROUPS, draws=50)
    assert all(tuple(same[name]) == (0.0, 0.0, 0.0) for name in ("log_loss", "accuracy", "brier", "ece", "auc"))


def test_swapping_the_judges_changes_the_sign():
    _, one = compare_probabilities(VOTES, TRUE, NOISY, groups=GROUPS, draws=100)
    _, other = compare_probabilities(VOTES, NOISY, TRUE, groups=GROUPS, draws=100)
    for name in ("log_loss", "accuracy", "brier", "ece", "macro_f1"):
        assert one[name] == pytest.approx((-other[name].value, -other[name].high, -other[name].low), abs=1e-12)


def test_soft_votes_and_weights_count_and_ties_are_handed_out_for_both():
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


def test_predictions_of_other_rows_raise():
    with pytest.raises(DataError, match="399 rows of probabilities are given for 400"):
        compare_probabilities(VOTES, TRUE, NOISY[1:])


def test_decisions_without_probabilities_are_noted():
    t = np.eye(3)[[0, 1, 2, 0] * 5]
    hard = np.eye(3)[[0, 1, 0, 1] * 5]
    found = evaluate_probabilities(t, hard, draws=0)
    assert found.metrics["ece_perfect"].value == 0
    assert any("20 of 20 predictions are exactly 0 or 1" in note for note in found.notes)
    hard[0] = [0.5, 0.25, 0.25]
    assert any("19 of 20 predictions" in note for note in evaluate_probabilities(t, hard, draws=0).notes)
    soft = evaluate_probabilities(t, np.full((20, 3), 1 / 3), draws=0)
    assert not any("exactly 0 or 1" in note for note in soft.notes)
