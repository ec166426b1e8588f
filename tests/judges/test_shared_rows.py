"""Test rows shared by judges: matching, leaks and predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from votecast.calibration import Chain, crossfit_calibrate
from votecast.calibration.scalers import Temperature
from votecast.data.battles import Battles
from votecast.data.simulation import simulate
from votecast.errors import DataError, LeakError
from votecast.judges.evaluate import evaluate, evaluate_out_of_fold
from votecast.judges.shared_rows import predict_out_of_fold, predict_rows, seen_prompts, shared_rows
from votecast.judges.trained import TrainedJudge
from votecast.metrics import log_loss
from votecast.models import registry
from votecast.reports.audit import audit_judge

VOTES = next(simulate(rows=240, seed=5, batch=240))[0]
NEW = next(simulate(rows=60, seed=6, batch=60))[0]


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FAMILIES, "cheap", "tests.judges.cheap:CheapModel")


def judge(votes: Battles = VOTES, **overrides: Any) -> TrainedJudge:
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    return TrainedJudge("cheap", {"folds.n": 3} | given).fit(votes)


def with_column(votes: Battles, name: str, values: Any) -> Battles:
    place, field = votes.table.column_names.index(name), votes.table.schema.field(name)
    return Battles(votes.table.set_column(place, field, pa.array(values, field.type)))


def asked_twice(votes: Battles) -> Battles:
    """Return every prompt twice, with other responses the second time."""
    prompts, ids = votes.column("prompt").to_pylist(), [f"{name} again" for name in votes.ids]
    swapped = votes.take(np.roll(np.arange(len(votes)), 1))
    return Battles.concat([votes, with_column(with_column(swapped, "prompt", prompts), "id", ids)])


def test_rows_are_matched_by_id_and_texts_whatever_their_order() -> None:
    one = judge(VOTES[:200])
    two = judge(VOTES.take(np.arange(60, 240)[::-1]), seed=1)
    shared = shared_rows({"one": one, "two": two})
    assert shared.ids == VOTES.ids[60:200]
    assert shared.about["out_of_fold"] == {"one": 200, "two": 180}
    assert (shared.about["common"], shared.about["refused"]) == (140, {})
    assert np.array_equal(shared.targets, VOTES.targets()[60:200])
    for place, each in enumerate((one, two)):
        held = each.fitted.out_of_fold
        found = {name: row for row, name in enumerate(held.ids)}
        p = crossfit_calibrate("temperature", held.raw, held.targets, held.weights, held.fold, clusters=held.clusters)
        assert np.array_equal(shared.predictions[place], p[[found[name] for name in shared.ids]])


def test_rows_with_other_texts_under_one_id_are_not_the_same() -> None:
    other = with_column(VOTES.take(np.arange(240)[::-1]), "id", VOTES.ids)
    with pytest.raises(DataError, match=r"no out-of-fold row in common.*240 ids occur in all of them.*--input"):
        shared_rows({"one": judge(), "two": judge(other, seed=1)})


def test_rows_with_their_answers_swapped_are_the_same() -> None:
    swapped = Battles.concat([VOTES[:100].swapped(), VOTES[100:]])
    assert np.array_equal(swapped.targets()[:100], VOTES.targets()[:100, [1, 0, 2]])
    for overrides in ({}, {"model__bias_to_a": 0.3}):
        one, other = judge(seed=1, **overrides), judge(swapped, **overrides)
        shared, straight = shared_rows({"one": one, "other": other}), shared_rows({"other": other, "one": one})
        assert shared.about["exchanged"] == {"other": 100}
        assert (len(shared), shared.about["other_labels"]) == (240, 0)
        assert np.array_equal(shared.targets, VOTES.targets())
        assert np.array_equal(straight.targets, swapped.targets())
        p, q = shared.predictions[1], straight.predictions[0]
        assert np.array_equal(p[100:], q[100:])
        if overrides:
            assert shared.swapped is not None
            assert straight.swapped is not None
            assert np.array_equal(p[:100], straight.swapped[0][:100])
            assert np.array_equal(shared.swapped[1][:100], q[:100])
        else:
            assert np.array_equal(p[:100], q[:100, [1, 0, 2]])


def test_older_judge_folders_hold_rows_in_one_order() -> None:
    one, other = judge(seed=1), judge(Battles.concat([VOTES[:100].swapped(), VOTES[100:]]))
    one._fitted = replace(one.fitted, out_of_fold=replace(one.fitted.out_of_fold, swapped_content=None))
    assert len(shared_rows({"one": one, "other": other})) == 140


def test_rows_that_occur_twice_are_matched_in_order() -> None:
    twice = Battles.concat([VOTES, VOTES[:40]])
    none = {"cleaning__duplicates": "none"}
    shared = shared_rows({"one": judge(twice, **none), "two": judge(twice, seed=1, **none)})
    assert len(shared) == 280
    assert len(shared_rows({"one": judge(twice, **none), "two": judge(seed=1)})) == 240


def test_rows_whose_prompt_was_in_the_training_part_are_refused() -> None:
    votes = asked_twice(VOTES[:100])
    grouped, dealt = judge(votes), judge(votes, folds__method="stratified", seed=1)
    assert not seen_prompts(grouped).any()
    held = dealt.fitted.out_of_fold
    expected = np.array(
        [bool(np.any((held.clusters == c) & (held.fold != f))) for c, f in zip(held.clusters, held.fold, strict=True)]
    )
    assert expected.any()
    assert not expected.all()
    assert np.array_equal(seen_prompts(dealt), expected)
    shared = shared_rows({"grouped": grouped, "dealt": dealt})
    assert shared.about["refused"] == {"dealt": int(expected.sum())}
    assert len(shared) == len(votes) - expected.sum()


def test_a_single_split_without_training_rows_is_refused_if_prompts_overlap() -> None:
    votes = asked_twice(VOTES[:100])
    one = judge(votes, folds__method="stratified", folds__only=0)
    assert seen_prompts(one).all()
    with pytest.raises(DataError, match=r"all .* rows that the judges share were refused: .*training part of one;"):
        shared_rows({"one": one, "grouped": judge(votes, seed=1)})
    clean = judge(VOTES, folds__only=0)
    assert clean.fitted.facts["folds"]["seen_prompts"] == 0
    assert not seen_prompts(clean).any()
    older = {"rows": 240, "folds": {"method": "grouped", "n": 3, "only": 0, "notes": []}}
    clean._fitted = replace(clean.fitted, facts=older)
    assert not seen_prompts(clean).any()
    clean._fitted = replace(clean.fitted, facts=older | {"folds": {"method": "stratified", "n": 3, "only": 0}})
    assert seen_prompts(clean).all()


def test_clusters_that_any_judge_found_are_kept_together() -> None:
    votes = asked_twice(VOTES[:100])
    shared = shared_rows({"one": judge(votes), "two": judge(votes, seed=1)})
    assert np.array_equal(np.sort(np.unique(shared.clusters)), np.arange(shared.clusters.max() + 1))
    again = {name: row for row, name in enumerate(shared.ids)}
    for name in VOTES.ids[:100]:
        assert shared.clusters[again[name]] == shared.clusters[again[f"{name} again"]]


def test_predictions_are_those_of_the_judge_as_it_is_calibrated_now() -> None:
    one, two = judge(), judge(seed=1)
    before = shared_rows({"one": one, "two": two}).predictions
    later = Temperature(0.5)
    two._fitted = replace(two.fitted, calibrator=Chain([two.fitted.calibrator, later]))
    after = shared_rows({"one": one, "two": two}).predictions
    assert np.array_equal(after[0], before[0])
    assert np.array_equal(after[1], later.transform(before[1]))
    bare = judge(calibration__method="none")
    assert np.array_equal(shared_rows({"bare": bare, "one": one}).predictions[0], bare.fitted.out_of_fold.raw)
    bare._fitted = replace(bare.fitted, calibrator=later)
    expected = later.transform(bare.fitted.out_of_fold.raw)
    assert np.array_equal(shared_rows({"bare": bare, "one": one}).predictions[0], expected)


def test_other_labels_and_soft_ones_are_taken_from_the_first_judge() -> None:
    soft = with_column(with_column(VOTES, "winner", [None] * 240), "probabilities", [[0.5, 0.25, 0.25]] * 240)
    one, two = judge(soft), judge(seed=1)
    shared = shared_rows({"soft": one, "hard": two})
    assert np.allclose(shared.targets, [0.5, 0.25, 0.25])
    assert shared.about["other_labels"] == 240
    assert shared_rows({"hard": two, "again": judge(seed=2)}).about["other_labels"] == 0


def test_judges_that_see_the_order_are_known_in_both_orders() -> None:
    biased = judge(model__bias_to_a=0.3)
    shared = shared_rows({"leaning": biased, "fair": judge(seed=1)})
    assert shared.swapped is not None
    held = biased.fitted.out_of_fold
    arguments = ("temperature", held.raw, held.targets, held.weights, held.fold, held.swapped)
    assert np.array_equal(shared.swapped[0], crossfit_calibrate(*arguments, clusters=held.clusters))
    assert np.array_equal(shared.swapped[1], shared.predictions[1][:, [1, 0, 2]])
    assert shared_rows({"one": judge(), "two": judge(seed=1)}).swapped is None
    asked = predict_rows({"leaning": biased, "fair": judge(seed=1)}, NEW)
    assert asked.swapped is not None
    assert np.array_equal(asked.swapped[0], biased.predict_proba(NEW.swapped()))


def test_new_votes_are_predicted_and_swapped_ones_match() -> None:
    judges = {"one": judge(), "two": judge(seed=1)}
    shared, swapped = predict_rows(judges, NEW), predict_rows(judges, NEW.swapped())
    assert np.array_equal(shared.predictions[1], judges["two"].predict_proba(NEW))
    assert np.array_equal(swapped.predictions, shared.predictions[..., [1, 0, 2]])
    assert np.array_equal(swapped.targets, shared.targets[:, [1, 0, 2]])
    assert shared.swapped is None


def test_votes_that_a_judge_was_trained_on_are_refused_by_name() -> None:
    judges = {"one": judge(VOTES[:100]), "two": judge(VOTES[100:], seed=1)}
    with pytest.raises(LeakError, match=r"of 61 votes have prompts on which judge 'two' was trained \(first ids: "):
        predict_rows(judges, Battles.concat([NEW, VOTES[150:151]]))
    with pytest.raises(DataError, match="there are no votes"):
        predict_rows(judges, NEW[:0])


def test_validation_rows_like_training_rows_are_refused_and_all_are_known_as_seen() -> None:
    train, valid = VOTES[:160], VOTES[160:]
    unlike = valid.take(np.setdiff1d(np.arange(len(valid)), judge(train).prompt_hashes.overlap(valid)))  # type: ignore[union-attr]
    prompt = train[0].prompt[0]
    near = {"prompt": f"{prompt} Please.", "response_a": "x", "response_b": "y", "winner": "a", "id": "near"}
    fitted = TrainedJudge("cheap").fit(train, valid=Battles.concat([unlike, Battles.from_rows([near])]))
    assert [fitted.fitted.out_of_fold.ids[row] for row in np.flatnonzero(seen_prompts(fitted))] == ["near"]
    assert fitted.prompt_hashes is not None
    assert len(fitted.prompt_hashes.overlap(unlike)) == len(unlike)


def test_a_judge_of_aggregated_votes_has_predictions_of_each_vote() -> None:
    part = VOTES[:60]
    doubled = with_column(Battles.concat([part, part.swapped()]), "id", [f"vote {row}" for row in range(120)])
    own = judge(part)  # as aggregated: the first vote on each pair names it
    p, swapped = predict_out_of_fold(own, doubled)
    assert np.isfinite(p).all()
    np.testing.assert_array_equal(p[60:], swapped[:60])
    assert np.isnan(predict_out_of_fold(own, VOTES[60:70])[0]).all()


def test_training_votes_are_measured_by_out_of_fold_predictions_on_request() -> None:
    own = judge(VOTES[:150])
    with pytest.raises(LeakError, match=r"remove them, .*, or measure its out-of-fold predictions with --out-of-fold"):
        evaluate(own, VOTES[:150], draws=0)
    found, trained = evaluate(own, VOTES[:150], draws=0, out_of_fold=True), evaluate_out_of_fold(own, VOTES[:150])
    for name in ("log_loss", "accuracy", "ece", "flip_rate"):
        assert found.metrics[name].value == pytest.approx(trained.metrics[name].value, rel=1e-12)
    assert any("150 of 150 rows have prompts that the judge was trained on" in note for note in found.notes)
    audit = audit_judge(own, VOTES[:150], draws=0, out_of_fold=True)
    assert audit.headline["log_loss"].value == pytest.approx(trained.metrics["log_loss"].value, rel=1e-12)
    assert audit.votes.leaks == 0
    mixed = evaluate(own, VOTES[:200], draws=0, out_of_fold=True)
    p = np.concatenate([predict_out_of_fold(own, VOTES[:150])[0], own.predict_proba(VOTES[150:200])])
    assert mixed.metrics["log_loss"].value == pytest.approx(log_loss(VOTES[:200].targets(), p), rel=1e-9)
    with pytest.raises(LeakError, match="holds no out-of-fold predictions of them"):
        evaluate(own, with_column(VOTES[:5], "response_a", [["New."]] * 5), out_of_fold=True)
