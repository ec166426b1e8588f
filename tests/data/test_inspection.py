"""Test the results of an inspection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from votecast.data import inspection
from votecast.data.battles import Battles
from votecast.data.inspection import inspect_votes, share
from votecast.data.text_columns import characters
from votecast.errors import DataError

ROWS: list[dict[str, Any]] = [
    {"prompt": "Why is the sky blue?", "response_a": "long answer", "response_b": "short", "winner": "a"},
    {"prompt": "Why is the sky blue?", "response_a": "long answer", "response_b": "short", "winner": "b"},
    {"prompt": "Why is the sky blue?", "response_a": "short", "response_b": "long answer", "winner": "b"},
    {"prompt": "why is the SKY blue", "response_a": "same", "response_b": "same", "winner": "tie"},
    {"prompt": ["One", "Two"], "response_a": ["1", None], "response_b": ["", " "], "probabilities": [0.75, 0.25, 0.0]},
    {"prompt": "Übung", "response_a": "äöü", "response_b": "x"},
]
MODELS = [("m", "n"), ("m", "n"), ("n", "m"), ("m", "o"), ("p", "m"), ("m", "q")]


@pytest.fixture
def found() -> inspection.Inspection:
    rows = [row | {"model_a": a, "model_b": b} for row, (a, b) in zip(ROWS, MODELS, strict=True)]
    return inspect_votes(rows)


def test_labels_are_counted(found: inspection.Inspection) -> None:
    assert (found.rows, found.labels["labelled"], found.labels["soft"], found.labels["unlabelled"]) == (6, 5, 1, 1)
    assert found.labels["counts"] == {"a": 1.75, "b": 2.25, "tie": 1.0}
    assert found.labels["shares"] == {"a": 0.35, "b": 0.45, "tie": 0.2}


def test_turns_and_lengths(found: inspection.Inspection) -> None:
    assert found.turns == {"histogram": {"1": 5, "2": 1}, "unequal": 0}
    assert found.lengths["response_a"]["max"] == 11
    assert found.lengths["response_b"]["min"] == 1
    assert found.lengths["prompt"]["median"] == pytest.approx(np.median([20, 20, 20, 19, 6, 5]))


def test_models_have_win_rates_with_half_ties(found: inspection.Inspection) -> None:
    assert [model["model"] for model in found.models] == ["m", "n", "o", "p", "q"]
    m, n, o, p, q = found.models
    assert (m["battles"], m["votes"], m["wins"], m["ties"]) == (6, 5, 2.25, 1.0)
    assert m["win_rate"] == pytest.approx(2.75 / 5)
    assert n["win_rate"] == pytest.approx(1 / 3)
    assert (o["win_rate"], p["win_rate"], q["win_rate"]) == (0.5, 0.75, None)


def test_empty_and_identical_answers(found: inspection.Inspection) -> None:
    assert found.empty == {"prompt": 0, "response_a": 0, "response_b": 1}
    assert found.identical_answers == 1


def test_duplicates_and_conflicts(found: inspection.Inspection) -> None:
    counts = {"pairs": 4, "exact": 1, "reversed": 1, "repeated_pairs": 1, "conflicting_pairs": 1}
    assert found.duplicates.items() >= counts.items()
    assert found.duplicates["conflicts"] == [
        {"a": 2.0, "b": 1.0, "tie": 0.0, "rows": 3, "ids": ["0", "1", "2"], "row": 0}
    ]
    assert found.duplicates["agreement"] == {"pairs": 1, "votes": 3, "rate": pytest.approx(1 / 3)}


def test_votes_that_agree_after_a_swap_are_not_a_conflict() -> None:
    found = inspect_votes([ROWS[0], ROWS[2]])
    assert (found.duplicates["reversed"], found.duplicates["conflicting_pairs"]) == (1, 0)


def test_prompts_are_clustered() -> None:
    long = (
        "please explain in simple words to a child of five years why the sky looks blue during the day and red at night"
    )
    rows = [
        {"prompt": text, "response_a": "x", "response_b": "y"} for text in (long, long.upper(), long + " now", "hi", "")
    ]
    found = inspect_votes(rows).prompts
    assert (found["distinct"], found["clusters"], found["near_duplicates"]) == (3, 2, 2)
    assert (found["rows_in_near_duplicates"], found["largest_cluster_rows"]) == (3, 3)


def test_longer_answer_and_first_answer(found: inspection.Inspection) -> None:
    """Rows 1 to 3 and the 0.75 soft label count as decided."""
    assert (found.longer_wins["wins"], found.longer_wins["of"], found.longer_wins["equal_length"]) == (2, 3, 1)
    assert (found.position["a"], found.position["b"], found.position["rate"]) == (2, 2, 0.5)


@given(st.integers(0, 300), st.integers(1, 300))
def test_intervals_are_those_of_wilson(count: int, of: int) -> None:
    count = min(count, of)
    ours, theirs = share(count, of), binomtest(count, of).proportion_ci(method="wilson")
    assert (ours["low"], ours["high"]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


TURNS = st.lists(st.one_of(st.none(), st.text(max_size=4)), max_size=3)


@given(st.lists(TURNS, max_size=8), st.integers(0, 3))
def test_characters_are_counted_as_python_does(prompts: list[list[str | None]], skip: int) -> None:
    battles = Battles.from_rows([{"prompt": turns, "response_a": "", "response_b": ""} for turns in prompts])[skip:]
    assert characters(battles, "prompt").tolist() == [sum(len(t or "") for t in turns) for turns in prompts[skip:]]


def test_languages_come_from_the_column_or_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"prompt": f"Why is the sky so blue over town {i}?", "response_a": "x", "response_b": "y"} for i in range(30)
    ]
    assert inspect_votes(rows).languages == {"found_by": "py3langid", "rows": 30, "counts": {"en": 30}}
    named = [row | {"language": "English"} for row in rows]
    assert inspect_votes(named).languages == {"found_by": "column", "rows": 30, "counts": {"English": 30}}
    monkeypatch.setattr(inspection, "_LANGUAGE_ROWS", 10)
    found = inspect_votes(rows)
    assert found.languages == {"found_by": "py3langid", "rows": 10, "counts": {"en": 10}}


def test_everything_is_json(found: inspection.Inspection) -> None:
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["rows"] == 6
    assert read["reading"] is None


def test_no_rows_and_no_votes_are_fine() -> None:
    for rows in ([], [{"prompt": "p", "response_a": "x", "response_b": "y"}]):
        found = inspect_votes(rows)
        json.dumps(found.to_dict(), allow_nan=False)
        assert found.longer_wins["rate"] is None


def test_a_file_is_read_with_the_options_of_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:4]), "utf-8")
    found = inspect_votes(path, limit=3)
    assert found.rows == 3
    assert found.reading is not None
    assert found.reading["path"] == str(path)
    with pytest.raises(DataError):
        inspect_votes(tmp_path / "absent.csv")


def test_a_sample_of_a_file_is_drawn_with_the_seed(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    rows = [{"prompt": f"q {i}", "response_a": "x" * i, "response_b": "y", "winner": "a"} for i in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lengths = [inspect_votes(path, sample=0.2, seed=seed).lengths["response_a"] for seed in (1, 1, 2)]
    assert lengths[0] == lengths[1] != lengths[2]
    reading = inspect_votes(path, sample=0.2, seed=2).reading
    assert reading is not None
    assert "seed 2" in reading["sampling"]
