"""Test the table of battles: construction, exact swaps, located errors."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from votecast.data.battles import SCHEMA, Battles
from votecast.data.frames import as_battles
from votecast.errors import DataError
from votecast.types import Battle

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
turns = st.lists(st.none() | text, max_size=3)
names = st.text("abc-é", min_size=1, max_size=4)
soft = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 5)).map(lambda c: [x / sum(c) for x in c])
rows = st.lists(
    st.fixed_dictionaries(
        {"id": text.filter(bool), "prompt": turns, "response_a": turns, "response_b": turns, "weight": st.floats(0, 9)},
        optional={
            "winner": st.sampled_from(["a", "b", "tie"]),
            "probabilities": soft,
            "model_a": names,
            "model_b": names,
            "language": text,
        },
    ),
    min_size=1,
    max_size=5,
)


@given(rows)
def test_swapping_twice_is_the_identity(given_rows):
    battles = Battles.from_rows(given_rows)
    assert battles.swapped().swapped().table.equals(battles.table)


@given(rows)
def test_swapping_swaps_columns_a_and_b(given_rows):
    battles = Battles.from_rows(given_rows)
    known = battles.take(np.flatnonzero(battles.labelled))
    assert np.array_equal(known.swapped().targets(), known.targets()[:, [1, 0, 2]])
    assert battles.swapped().text("response_a") == battles.text("response_b")


@given(rows)
def test_rows_frames_and_tables_give_the_same_battles(given_rows):
    battles = Battles.from_rows(given_rows)
    assert Battles.from_rows(list(battles)).table.equals(battles.table)
    assert as_battles(battles.table).table.equals(battles.table)
    assert as_battles(pl.from_arrow(battles.table)).table.equals(battles.table)


def test_a_pandas_frame_with_plain_text_is_read():
    frame = pd.DataFrame({"prompt": ["Hi"], "response_a": ["Hello"], "response_b": ["No"], "winner": ["a"]})
    assert as_battles(frame)[0] == Battle(id="0", prompt=("Hi",), response_a=("Hello",), response_b=("No",), winner="a")


def test_columns_beyond_the_schema_follow_it():
    table = Battles.from_rows([{"prompt": "x", "response_a": "y", "response_b": "z"}]).table
    wider = Battles(table.append_column("fold", pa.array([3])))
    assert wider.table.column_names == [*SCHEMA.names, "fold"]
    assert wider.swapped().column("fold").to_pylist() == [3]
    assert wider[0].prompt == ("x",)


def test_targets_prefer_soft_labels():
    battles = Battles.from_rows(
        [
            {"prompt": "x", "response_a": "y", "response_b": "z", "winner": "tie"},
            {"prompt": "x", "response_a": "y", "response_b": "z", "probabilities": {"b": 0.5, "a": 0.25, "tie": 0.25}},
        ]
    )
    assert battles.targets().tolist() == [[0, 0, 1], [0.25, 0.5, 0.25]]


def test_a_row_without_a_vote_is_named():
    battles = Battles.from_rows([{"id": "q7", "prompt": "x", "response_a": "y", "response_b": "z"}])
    with pytest.raises(DataError, match=r"row 1 \(id 'q7'\) has no vote"):
        battles.targets()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"winner": "A wins"}, "winner"),
        ({"prompt": 3}, "prompt"),
        ({"prompt": ["x", 3]}, "prompt"),
        ({"weight": -1}, "weight"),
        ({"weight": float("nan")}, "weight"),
        ({"probabilities": [0.5, 0.5, 0.5]}, "sum to 1"),
        ({"probabilities": [1.5, -0.5, 0]}, r"lie in \[0, 1\]"),
        ({"probabilities": {"a": 1, "b": 0}}, "allowed are exactly"),
        ({"winer": "a"}, "winer"),
    ],
)
def test_a_faulty_row_names_row_and_field(change, message):
    good = {"prompt": "x", "response_a": "y", "response_b": "z"}
    with pytest.raises(DataError, match=message) as caught:
        Battles.from_rows([good, good | change])
    assert "row 2" in str(caught.value)


def test_a_table_without_texts_or_with_wrong_types_is_refused():
    with pytest.raises(DataError, match="response_b are missing"):
        Battles(pa.table({"prompt": [["x"]], "response_a": [["y"]]}))
    with pytest.raises(DataError, match=r"column 'response_b' holds .*allowed is"):
        Battles(pa.table({"prompt": [["x"]], "response_a": [["y"]], "response_b": [[[1]]]}))
    with pytest.raises(DataError, match="row 2, column 'prompt': the value is missing"):
        Battles(pa.table({"prompt": [["x"], None], "response_a": [["y"]] * 2, "response_b": [["z"]] * 2}))


def test_inputs_that_are_not_battles_are_refused():
    for given_thing in ("text", 3, None):
        with pytest.raises(DataError, match="allowed are Battles"):
            as_battles(given_thing)
    with pytest.raises(DataError, match="row 1"):
        as_battles(["text"])
    with pytest.raises(DataError, match=r"read a file with votecast\.read_votes"):
        as_battles("votes.csv")
    with pytest.raises(DataError, match="put a single battle into a list"):
        as_battles({"prompt": "x", "response_a": "y", "response_b": "z"})


def test_slicing_and_taking():
    battles = Battles.from_rows([{"id": i, "prompt": "x", "response_a": "y", "response_b": "z"} for i in range(5)])
    assert battles[1:3].ids == ["1", "2"]
    assert battles[::-2].ids == ["4", "2", "0"]
    assert battles.take([3, 0]).ids == ["3", "0"]
    assert battles[-1].id == "4"
    with pytest.raises(IndexError):
        battles[5]
    assert Battles.concat([battles[:2], battles[2:]]).table.equals(battles.table)
    assert len(Battles.concat([])) == 0


def test_content_hashes_see_text_and_turns_only():
    base = {"prompt": ["x"], "response_a": ["y"], "response_b": ["z"]}
    one, other_id, turn, swapped = Battles.from_rows(
        [
            base,
            base | {"id": "9", "winner": "a"},
            base | {"prompt": ["x", None]},
            base | {"response_a": ["z"], "response_b": ["y"]},
        ]
    ).content_hashes()
    assert one == other_id
    assert len({one, turn, swapped}) == 3


def test_a_battle_is_frozen():
    with pytest.raises(ValidationError):
        Battle(prompt="x", response_a="y", response_b="z").winner = "a"


def test_surrogates_are_joined_or_replaced():
    row = {"id": "\udcff", "prompt": "a \ud83d\ude00", "response_a": ["\ud83d", None], "response_b": "caf\u00e9"}
    battle = Battles.from_rows([row | {"model_a": "\ude00m"}])[0]
    assert (battle.id, battle.model_a) == ("\ufffd", "\ufffdm")
    assert (battle.prompt, battle.response_a, battle.response_b) == (
        ("a \U0001f600",),
        ("\ufffd", None),
        ("caf\u00e9",),
    )
