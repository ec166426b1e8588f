"""Test numbering of equal texts and pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.data.battles import Battles
from votecast.data.text_columns import AnswerPairs, by_appearance, without_text

TURNS = st.lists(st.one_of(st.none(), st.sampled_from(["", "x", "y", "xy", "é", " "])), max_size=3)
ROWS = st.lists(st.fixed_dictionaries({"prompt": TURNS, "response_a": TURNS, "response_b": TURNS}), max_size=12)


@given(ROWS, st.integers(0, 3))
def test_numbers_are_equal_exactly_where_the_texts_are(rows: list[dict[str, list[str | None]]], skip: int) -> None:
    battles = Battles.concat([Battles.from_rows(rows)[:2], Battles.from_rows(rows)[2:]])[skip:]
    rows = rows[skip:]
    pairs = AnswerPairs.of(battles)
    for i, one in enumerate(rows):
        assert pairs.identical[i] == (one["response_a"] == one["response_b"])
        for j, other in enumerate(rows):
            same = one == other
            swapped = one == {
                "prompt": other["prompt"],
                "response_a": other["response_b"],
                "response_b": other["response_a"],
            }
            answers = (one["response_a"], one["response_b"]) == (other["response_a"], other["response_b"])
            assert (pairs.numbers(ordered=True)[i] == pairs.numbers(ordered=True)[j]) == same
            assert (pairs.numbers(ordered=False)[i] == pairs.numbers(ordered=False)[j]) == (same or swapped)
            ordered = pairs.numbers(ordered=True, prompt=False)
            assert (ordered[i] == ordered[j]) == answers


@given(ROWS)
def test_reversed_rows_are_those_that_differ_from_the_first_of_their_pair(
    rows: list[dict[str, list[str | None]]],
) -> None:
    pairs = AnswerPairs.of(Battles.from_rows(rows))
    either = pairs.numbers(ordered=False).tolist()
    for i, row in enumerate(rows):
        first = rows[either.index(either[i])]
        assert pairs.reversed[i] == (row["response_a"] != first["response_a"])


@given(st.lists(st.integers(-5, 5)))
def test_groups_are_numbered_by_first_appearance(numbers: list[int]) -> None:
    found = by_appearance(np.array(numbers, dtype=np.int64)).tolist()
    seen = list(dict.fromkeys(numbers))
    assert found == [seen.index(number) for number in numbers]


@pytest.mark.parametrize("turns", [[], [None], [""], [" \n\t"], [None, "", "\u3000"]])
def test_rows_without_visible_text_are_found(turns: list[str | None]) -> None:
    row = {"prompt": "x", "response_a": "x", "response_b": "x"}
    battles = Battles.from_rows([row, row | {"response_b": turns}, row | {"response_b": [*turns, "."]}])
    assert without_text(battles, "response_b").tolist() == [False, True, False]
    assert without_text(battles[1:], "response_b").tolist() == [True, False]


def test_rows_without_a_vote_have_no_target() -> None:
    row = {"prompt": "x", "response_a": "x", "response_b": "y"}
    battles = Battles.from_rows([row, row | {"winner": "b"}, row | {"probabilities": [0.5, 0.25, 0.25]}])
    assert battles.targets(required=False).tolist() == [[0, 0, 0], [0, 1, 0], [0.5, 0.25, 0.25]]
    assert battles[:1].targets(required=False).tolist() == [[0, 0, 0]]
