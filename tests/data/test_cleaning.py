"""What cleaning takes out, and what it says about it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.data.battles import Battles
from votecast.data.clean import CleaningSettings, clean
from votecast.errors import ConfigError

TURNS = st.lists(st.sampled_from([None, "", " ", "x", "y"]), max_size=2)
ROWS = st.lists(
    st.fixed_dictionaries({"prompt": TURNS, "response_a": TURNS, "response_b": TURNS, "winner": st.sampled_from("ab")}),
    max_size=12,
)


def _kept(rows: list[dict[str, Any]], **settings: Any) -> list[int]:
    battles = Battles.from_rows([row | {"id": str(i)} for i, row in enumerate(rows)])
    kept, report = clean(battles, CleaningSettings.parse(settings))
    assert report.rows == len(rows)
    assert report.kept == len(kept) == report.rows - report.missing - report.identical - report.duplicates
    return [int(name) for name in kept.ids]


def _has_text(turns: list[str | None]) -> bool:
    return any(turn and turn.strip() for turn in turns)


@given(ROWS)
def test_nothing_is_taken_out_unasked(rows: list[dict[str, Any]]) -> None:
    assert _kept(rows) == list(range(len(rows)))


@given(ROWS)
def test_rows_with_missing_texts_are_dropped(rows: list[dict[str, Any]]) -> None:
    expected = [i for i, r in enumerate(rows) if all(_has_text(r[c]) for c in ("prompt", "response_a", "response_b"))]
    assert _kept(rows, drop_missing=True) == expected


@given(ROWS)
def test_rows_with_identical_answers_are_dropped(rows: list[dict[str, Any]]) -> None:
    expected = [i for i, row in enumerate(rows) if row["response_a"] != row["response_b"]]
    assert _kept(rows, drop_identical=True) == expected


@given(ROWS)
def test_first_keeps_the_first_row_of_each_pair_in_either_order(rows: list[dict[str, Any]]) -> None:
    keys = [(str(r["prompt"]), *sorted([str(r["response_a"]), str(r["response_b"])])) for r in rows]
    assert _kept(rows, duplicates="first") == [i for i, key in enumerate(keys) if keys.index(key) == i]


@given(ROWS)
def test_all_drops_every_row_whose_answers_occur_together_again(rows: list[dict[str, Any]]) -> None:
    keys = [(str(r["response_a"]), str(r["response_b"])) for r in rows]
    assert _kept(rows, duplicates="all") == [i for i, key in enumerate(keys) if keys.count(key) == 1]


def test_all_ignores_the_prompt_and_minds_the_order() -> None:
    rows = [
        {"prompt": "p", "response_a": "x", "response_b": "y"},
        {"prompt": "q", "response_a": "x", "response_b": "y"},
        {"prompt": "p", "response_a": "y", "response_b": "x"},
    ]
    assert _kept(rows, duplicates="all") == [2]
    assert _kept(rows, duplicates="first") == [0, 1]


def test_aggregate_joins_the_votes_and_counts_them() -> None:
    row = {"prompt": "p", "response_a": "x", "response_b": "y", "winner": "a"}
    rows = [row, row | {"response_b": "x"}, row | {"winner": "tie"}, row | {"prompt": ""}]
    kept, report = clean(
        Battles.from_rows(rows), CleaningSettings(duplicates="aggregate", drop_identical=True, drop_missing=True)
    )
    assert report.to_dict() == {
        "rows": 4,
        "missing": 1,
        "identical": 1,
        "duplicates": 1,
        "kept": 1,
        "duplicates_as": "aggregate",
    }
    assert kept[0].probabilities == (0.5, 0.0, 0.5)


def test_the_battles_given_are_not_changed() -> None:
    row = {"prompt": "p", "response_a": "x", "response_b": "y", "winner": "a"}
    battles = Battles.from_rows([row, row])
    before = battles.table
    clean(battles, CleaningSettings(duplicates="aggregate"))
    assert battles.table is before
    assert battles[1].weight == 1.0


def test_unknown_treatment_is_a_settings_error() -> None:
    with pytest.raises(ConfigError, match=r"duplicates: .*'none', 'first', 'all' or 'aggregate'.*'last'"):
        CleaningSettings.parse({"duplicates": "last"})


@pytest.mark.parametrize("duplicates", ["none", "first", "all", "aggregate"])
def test_no_rows_stay_no_rows(duplicates: str) -> None:
    assert _kept([], duplicates=duplicates, drop_identical=True, drop_missing=True) == []
