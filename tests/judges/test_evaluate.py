"""Test evaluation of judges, prediction files and arrays against votes."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

import votecast
from votecast.data.battles import Battles
from votecast.data.outputs import write_predictions, write_votes
from votecast.data.simulation import simulate
from votecast.errors import DataError, LeakError
from votecast.judges.evaluate import Predictions, evaluate
from votecast.metrics import METRICS, log_loss
from votecast.splits import PromptHashes


@pytest.fixture(scope="module")
def arena():
    parts = list(simulate(rows=300, seed=1))
    return Battles.concat([battles for battles, _ in parts]), np.concatenate(
        [truth.probabilities for _, truth in parts]
    )


@dataclass
class Longer:
    """A judge that prefers longer, and optionally first, responses."""

    name: str = "longer"
    hash: str = "abc"
    first: float = 0.0
    prompt_hashes: PromptHashes | None = None

    def predict_proba(self, battles):
        a, b = (np.array([len(text) for text in battles.text(side)]) for side in ("response_a", "response_b"))
        sign = np.sign(a - b) + self.first
        return np.column_stack([0.35 + 0.1 * sign, 0.35 - 0.1 * sign, np.full(len(a), 0.3)])


def test_a_judge_is_asked_in_both_orders_and_named(arena):
    battles, _ = arena
    found = evaluate(Longer(), battles, draws=20)
    assert found.judge == {"name": "longer", "hash": "abc"}
    assert found.metrics["flip_rate"].value == 0
    assert found.metrics["log_loss"].value == pytest.approx(
        log_loss(battles.targets(), Longer().predict_proba(battles))
    )
    assert evaluate(Longer(first=2.0), battles, draws=0).metrics["flip_rate"].value == 1


def test_out_of_fold_rows_are_measured_without_a_judge(arena):
    battles, truth = arena
    found = evaluate(truth, battles, draws=50, name="mine", groups=np.arange(300))
    assert (found.rows, found.clusters) == (300, 300)
    assert found.judge == {"name": "mine", "hash": None}
    assert list(found.metrics) == list(METRICS)
    assert found.metrics["log_loss"].value < found.baselines["longer"]["log_loss"].value
    assert found.baselines["uniform"]["log_loss_gain"].low > 0
    assert found.versions["votecast"] == votecast.__version__
    json.dumps(found.to_dict(), allow_nan=False)


def test_every_slice_covers_the_file(arena):
    battles, truth = arena
    slices = evaluate(truth, battles, draws=0).slices
    assert list(slices) == ["length", "turns", "language", "source"]
    for parts in slices.values():
        assert sum(part.rows for part in parts.values()) == 300
    assert list(slices["length"]) == ["q1", "q2", "q3", "q4"]
    assert [part.rows for part in slices["length"].values()] == pytest.approx([75] * 4, abs=2)
    languages = battles.column("language").to_pylist()
    assert {name: part.rows for name, part in slices["language"].items()} == {
        x: languages.count(x) for x in set(languages)
    }


def test_rows_with_one_prompt_are_one_cluster():
    rows = [
        {
            "prompt": f"Tell me about the number {i // 4}.",
            "response_a": "x",
            "response_b": f"{i}",
            "winner": "ab"[i % 2],
        }
        for i in range(40)
    ]
    assert evaluate(np.full((40, 3), 1 / 3), rows, draws=0).clusters == 10


def test_weights_and_soft_labels_of_the_file_count():
    base = {"prompt": "Hi", "response_a": "x", "response_b": "y"}
    rows = [base | {"winner": "a", "weight": 3.0}, base | {"probabilities": {"a": 0, "b": 0.5, "tie": 0.5}}]
    p = [[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]]
    expected = -(3 * np.log(0.5) + 0.5 * np.log(0.5) + 0.5 * np.log(0.3)) / 4
    assert evaluate(p, rows, draws=0).metrics["log_loss"].value == pytest.approx(expected)


def test_predictions_are_matched_by_id(arena, tmp_path):
    battles, truth = arena
    order = np.random.default_rng(0).permutation(300)
    path = tmp_path / "predictions.parquet"
    ids = [battles.ids[i] for i in order]
    write_predictions([(ids, truth[order])], path, judge={"name": "j", "hash": "h"})
    direct = evaluate(truth[:200], battles[:200], draws=0)
    for given in (path, str(path), Predictions.read(path), (ids, truth[order]), (ids, truth[order], {"name": "j"})):
        found = evaluate(given, battles[:200], draws=0)
        assert found.metrics["log_loss"].value == direct.metrics["log_loss"].value
        assert any("leaks are not checked" in note for note in found.notes)
    assert evaluate(path, battles, draws=0).judge == {"name": "j", "hash": "h"}


def test_predictions_that_do_not_belong_are_refused(arena):
    battles, truth = arena
    ids = battles.ids
    with pytest.raises(DataError, match=rf"2 of 300 votes have no prediction \(first ids: '{ids[298]}', '{ids[299]}';"):
        evaluate((ids[:298], truth[:298]), battles)
    with pytest.raises(DataError, match=rf"1 ids occur more than once in the predictions \(first: '{ids[0]}'\)"):
        evaluate(([*ids, ids[0]], np.concatenate([truth, truth[:1]])), battles)
    with pytest.raises(DataError, match="occur more than once in the votes"):
        evaluate((ids, truth), Battles.concat([battles, battles[:1]]))
    with pytest.raises(DataError, match="2 ids are given for 3 predictions"):
        Predictions(["1", "2"], np.eye(3))


def test_rows_in_one_order_need_no_ids_of_their_own(arena):
    battles, truth = arena
    twice = Battles.concat([battles[:5], battles[:5]])
    p = np.concatenate([truth[:5], truth[:5]])
    assert np.array_equal(Predictions(twice.ids, p).on(twice), p)


def test_votes_on_training_prompts_are_refused_by_default(arena):
    battles, _ = arena
    judge = Longer(prompt_hashes=PromptHashes.of(battles[:3]))
    with pytest.raises(LeakError, match=repr(battles.ids[0])):
        evaluate(judge, battles)
    found = evaluate(judge, battles, allow_leak=True, draws=0)
    assert any("on which the judge was trained" in note and battles.ids[0] in note for note in found.notes)


def test_a_judge_without_hashes_is_measured_with_a_note(arena):
    assert any("keeps no hashes" in note for note in evaluate(Longer(), arena[0], draws=0).notes)


def test_binary_votes_hand_the_tie_out(arena):
    battles, truth = arena
    decided = np.flatnonzero(battles.targets()[:, 2] == 0)
    found = evaluate(truth[decided], battles.take(decided), draws=0)
    assert any("handed to a and b in proportion" in note for note in found.notes)
    assert found.baselines["uniform"]["log_loss"].value == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("judge", "rows", "message"),
    [
        (np.full((2, 3), 1 / 3), 3, "2 rows of probabilities are given for 3 rows of votes"),
        (np.full((0, 3), 1 / 3), 0, "no votes to measure on"),
        (42, 3, "what is to be measured is int; allowed are"),
    ],
)
def test_invalid_inputs_are_refused(arena, judge, rows, message):
    with pytest.raises(DataError, match=message):
        evaluate(judge, arena[0][:rows])


def test_votes_can_be_a_file(arena, tmp_path):
    path = tmp_path / "votes.jsonl"
    battles, truth = arena
    write_votes(battles, path)
    assert evaluate(truth, path, draws=0).to_dict() == evaluate(truth, battles, draws=0).to_dict()


def test_every_row_needs_a_vote():
    rows = [{"id": "7", "prompt": "Hi", "response_a": "x", "response_b": "y"}]
    with pytest.raises(DataError, match=r"row 1 \(id '7'\) has no vote"):
        evaluate(np.full((1, 3), 1 / 3), rows)
