"""Test exploration: damage, outcomes, repeats and rows worth reading."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from votecast.data.battles import Battles
from votecast.data.exploration import (
    KINDS,
    MISSING_TURN,
    encoding_figures,
    explore,
    length_histogram,
    length_outcomes,
    model_matrix,
)
from votecast.data.inspection import agreement, conflicts, outcome_slices
from votecast.data.simulation import simulate
from votecast.data.text_columns import AnswerPairs


def rows(*given: dict[str, Any]) -> Battles:
    base = {"prompt": "Why?", "response_a": "Because.", "response_b": "No reason."}
    return Battles.from_rows([base | row for row in given])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("broken \ufffd emoji", "character that could not be encoded (U+FFFD)"),
        ("bell \x07", "control character"),
        ("next \x85 line", "control character"),
        ("\u202egnp", "order to turn the direction of writing"),
        ("CafÃ© and naÃ¯ve", "UTF-8 read as another encoding"),
        ("itâ€™s", "UTF-8 read as another encoding"),
        ("Â£5 and Â°", "UTF-8 read as another encoding"),
    ],
)
def test_damage_is_found_and_named(text: str, kind: str) -> None:
    found = encoding_figures(rows({"id": "x"}, {"id": "y", "response_b": ["fine", text]}))
    assert found["rows"] == 1
    named = {entry["kind"]: entry for entry in found["kinds"]}
    assert named[kind]["ids"] == ["y"]
    assert (named[kind]["prompt"], named[kind]["response_a"], named[kind]["response_b"]) == (0, 0, 1)


@pytest.mark.parametrize(
    "text", ["tab\tand\nlines\r\n", "Ãguas, SÃO, Âmbar, château", "مرحبا 你好 👩‍👩‍👧", "C:\\new", "it's 5 €"]
)
def test_whole_texts_are_not_called_damaged(text: str) -> None:
    assert encoding_figures(rows({"prompt": text})) == {"rows": 0, "kinds": []}


def test_a_missing_turn_is_reported_but_not_damage() -> None:
    found = encoding_figures(rows({"prompt": ["One", "Two"], "response_a": ["1", None], "response_b": ["1", "2"]}))
    assert found["rows"] == 0
    assert [(kind["kind"], kind["rows"], kind["response_a"]) for kind in found["kinds"]] == [(MISSING_TURN, 1, 1)]


def test_damage_is_found_in_slices_of_a_table() -> None:
    votes = rows({"prompt": "\x07"}, {"prompt": "fine"}, {"prompt": ["fine", "\ufffd"]}, {"prompt": "fine"})
    assert encoding_figures(votes[1:])["rows"] == 1
    assert encoding_figures(Battles.concat([votes[:2], votes[3:]]))["rows"] == 1
    assert encoding_figures(votes[1:2])["rows"] == 0
    assert set(KINDS) >= {kind["kind"] for kind in encoding_figures(votes)["kinds"]}


def test_agreement_of_two_votes_matches_counting() -> None:
    votes = rows(*({"winner": winner} for winner in ("a", "a", "b", "tie")))
    pairs = AnswerPairs.of(votes)
    assert agreement(votes, pairs) == {"pairs": 1, "votes": 4, "rate": pytest.approx(1 / 6)}
    assert conflicts(votes, pairs) == [
        {"a": 2.0, "b": 1.0, "tie": 1.0, "rows": 4, "ids": ["0", "1", "2", "3"], "row": 0}
    ]


def test_votes_on_swapped_responses_agree_by_meaning() -> None:
    swapped = {"response_a": "No reason.", "response_b": "Because.", "winner": "b"}
    votes = rows({"winner": "a"}, swapped)
    assert agreement(votes, AnswerPairs.of(votes))["rate"] == 1
    assert conflicts(votes, AnswerPairs.of(votes)) == []


def test_rows_without_a_vote_and_soft_labels_are_not_two_people() -> None:
    votes = rows({"winner": "a"}, {}, {"probabilities": [0.4, 0.6, 0.0]})
    assert agreement(votes, AnswerPairs.of(votes)) == {"pairs": 0, "votes": 0, "rate": None}
    assert len(conflicts(votes, AnswerPairs.of(votes))) == 1


def test_win_rates_between_models_count_both_sides() -> None:
    votes = rows(
        {"model_a": "m", "model_b": "n", "winner": "a"},
        {"model_a": "n", "model_b": "m", "winner": "a"},
        {"model_a": "n", "model_b": "m", "winner": "tie"},
        {"model_a": "m", "model_b": "m", "winner": "a"},
        {"model_a": "m", "model_b": "other", "winner": "a"},
        {"model_b": "m", "winner": "a"},
    )
    found = model_matrix(votes, ["m", "n"])
    assert found["votes"] == [[0, 3], [3, 0]]
    assert found["win_rates"] == [[None, 0.5], [0.5, None]]


def test_the_longer_answer_is_counted_by_how_much_longer_it_is() -> None:
    votes = rows(
        {"response_a": "x" * 10, "response_b": "x" * 30, "winner": "b"},
        {"response_a": "x" * 35, "response_b": "x" * 10, "winner": "b"},
        {"response_a": "x" * 35, "response_b": "x" * 10, "winner": "tie"},
        {"response_a": "", "response_b": "x", "winner": "b"},
        {"response_a": "xx", "response_b": "xx", "winner": "b"},
        {"response_a": "x", "response_b": "xx"},
    )
    found = {entry["from"]: entry for entry in length_outcomes(votes)}
    assert (found[3.0]["rows"], found[3.0]["of"], found[3.0]["ties"]) == (3, 2, pytest.approx(1 / 3))
    assert found[3.0]["rate"] == 0.5
    assert found[1.0]["of"] == 1
    assert sum(entry["rows"] for entry in found.values()) == 4


def test_every_text_is_in_one_bin_of_the_histogram() -> None:
    votes = rows({"prompt": ""}, {"prompt": "x"}, {"prompt": "x" * 12345}, {})
    found = length_histogram(votes)
    assert sum(found["prompt"]) == 4 and sum(found["answer"]) == 8
    assert found["prompt"][0] == 1 and found["from"][0] == 0
    assert found["from"] == sorted(set(found["from"]))


def test_groups_have_the_shares_of_their_own_votes() -> None:
    votes = rows({"winner": "a"}, {"winner": "tie"}, {}, {"winner": "b"})
    found = outcome_slices(votes, ["en", "en", "en", "de"])
    assert found == {
        "en": {"rows": 3, "votes": 2, "a": 0.5, "b": 0.0, "tie": 0.5},
        "de": {"rows": 1, "votes": 1, "a": 0.0, "b": 1.0, "tie": 0.0},
    }


def test_rows_worth_reading_are_found() -> None:
    votes = rows(
        {"id": "plain", "winner": "a", "prompt": "What is a prime number?"},
        {"id": "identical", "response_b": "Because.", "winner": "a"},
        {"id": "empty", "response_a": " ", "winner": "a"},
        {"id": "damaged", "prompt": "\ufffd", "winner": "b"},
        {"id": "long", "response_a": "word " * 200, "winner": "b"},
        {"id": "first", "prompt": "Again?", "winner": "a"},
        {"id": "second", "prompt": "Again?", "winner": "b"},
        {"id": "tie", "winner": "tie"},
    )
    found = {reason: entry["id"] for entry in explore(votes).examples for reason in entry["reason"].split("; ")}
    assert found["the votes on this pair differ"] == "first"
    assert found["two identical answers, and yet one of them won"] == "identical"
    assert found["an answer without text, and yet it did not lose"] == "empty"
    assert found["a text that was damaged on its way"] == "damaged"
    assert found["the much shorter answer won"] == "long"
    assert found["a tie of ordinary length"] == "tie"
    rows_shown = [entry["row"] for entry in explore(votes).examples]
    assert len(set(rows_shown)) == len(rows_shown)


@pytest.mark.parametrize(
    "votes",
    [
        Battles.from_rows([]),
        rows({}),
        rows({"winner": "tie"}, {"winner": "tie"}),
        rows({"prompt": [], "response_a": [None]}),
    ],
    ids=["nothing", "no vote", "ties only", "no texts"],
)
def test_whatever_is_missing_an_exploration_is_json(votes: Battles) -> None:
    found = explore(votes).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False))["rows"] == len(votes)


def test_swapping_responses_swaps_the_findings() -> None:
    votes = next(simulate(200, 3))[0]
    found, swapped = explore(votes), explore(votes.swapped())
    assert found.length_outcomes == swapped.length_outcomes
    assert found.matrix == swapped.matrix
    assert found.found.duplicates["agreement"] == swapped.found.duplicates["agreement"]
    assert found.encoding["rows"] == swapped.encoding["rows"]
    shares = [found.found.labels["shares"][name] for name in ("a", "b", "tie")]
    assert np.allclose(shares, [swapped.found.labels["shares"][name] for name in ("b", "a", "tie")])


def test_the_pairs_with_the_largest_minority_come_first() -> None:
    votes = [("one", "aaab"), ("two", "aabb"), ("three", "aa"), ("four", "abtie")]
    base = {"response_a": "x", "response_b": "y"}
    rows = [
        base | {"prompt": prompt, "winner": vote}
        for prompt, message in votes
        for vote in (["a", "b", "tie"] if message == "abtie" else list(message))
    ]
    battles = Battles.from_rows([row | {"id": str(number)} for number, row in enumerate(rows)])
    found = conflicts(battles, AnswerPairs.of(battles))
    assert [(entry["a"], entry["b"], entry["tie"]) for entry in found] == [(2, 2, 0), (3, 1, 0), (1, 1, 1)]
    assert [entry["row"] for entry in found] == [4, 0, 10]


def test_groups_may_have_names_of_any_length() -> None:
    row = {"prompt": "Hi", "response_a": "x", "response_b": "y", "winner": "a"}
    long = "n" * 500_000
    battles = Battles.from_rows([row] * 3000)
    assert outcome_slices(battles, [long] + ["short\x00"] * 2999)["short\x00"]["rows"] == 2999
