"""Test that frames are read like files with the same columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import votecast
from votecast.data.frames import as_battles
from votecast.data.simulation import write_simulation
from votecast.errors import DataError

TEXTS = {"prompt": ["Why?"], "response_a": ["Because."], "response_b": ["No."]}


def conversation(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": text}]


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("read", [pd.read_csv, pl.read_csv])
def test_the_frame_of_a_contest_file_is_the_file(tmp_path: Path, read: Callable[[Path], Any], labels: bool) -> None:
    path = tmp_path / "votes.csv"
    write_simulation(path, rows=80, seed=0, labels=labels)
    votes, battles = votecast.read_votes(path), as_battles(read(path))
    assert battles.table.equals(votes.table)
    assert battles.labelled.all() == labels


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize(
    "columns",
    [
        {"conversation_a": [conversation("x")], "conversation_b": [conversation("y")], "winner": ["model_b"]},
        {name: [[text]] for name, (text,) in TEXTS.items()} | {"winner": ["model_b"]},
        TEXTS | {"winner": ["model_b"]},
        TEXTS | {"winner_model_a": [0], "winner_model_b": [1], "winner_tie": [0]},
    ],
)
def test_every_format_of_a_file_is_one_of_a_frame(frame: Callable[[Any], Any], columns: dict[str, Any]) -> None:
    battles = as_battles(frame(columns))
    assert battles[0].winner == "b"
    assert battles[0].prompt == ("Why?",)
    assert battles.targets().tolist() == [[0, 1, 0]]


def test_a_frame_cut_from_another_keeps_ids_and_further_columns_but_not_the_index() -> None:
    frame = pd.DataFrame({name: texts * 4 for name, texts in TEXTS.items()} | {"id": range(4), "fold": list("wxyz")})
    battles = as_battles(frame[frame.id > 1])
    assert battles.ids == ["2", "3"]
    assert battles.column("fold").to_pylist() == ["y", "z"]
    assert not any("index" in name for name in battles.table.column_names)


def test_an_empty_text_is_one_and_a_frame_without_rows_is_none() -> None:
    assert as_battles(pd.DataFrame(TEXTS | {"response_b": [""]}))[0].response_b == ("",)
    assert len(as_battles(pd.DataFrame(TEXTS)[:0])) == 0


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"winner": ["draw?"]}, r"the frame, row 1, column 'winner': the label is unknown; allowed are a"),
        ({"response_a": [None]}, r"row 1, column 'response_a': the value is missing"),
        ({"response_a": [np.nan]}, r"row 1, column 'response_a'"),
        ({"prompt": [3]}, r"row 1, column 'prompt'"),
        ({"probabilities": [[0.5, 0.5, 0.5]]}, r"row 1, column 'probabilities'"),
    ],
)
def test_a_bad_row_is_named(change: dict[str, Any], reported: str) -> None:
    with pytest.raises(DataError, match=reported):
        as_battles(pd.DataFrame(TEXTS | change))


def test_unfit_columns_are_refused() -> None:
    with pytest.raises(DataError, match="the frame: no format fits its columns .*; it has question"):
        as_battles(pd.DataFrame({"question": ["x"]}))
    mixed = {name: texts * 2 for name, texts in TEXTS.items()} | {"probabilities": [[1, 0, 0], {"a": 1}]}
    with pytest.raises(DataError, match="cells are of several kinds"):
        as_battles(pd.DataFrame(mixed))


def test_dicts_with_other_keys_are_pointed_to_frames() -> None:
    with pytest.raises(DataError, match=r"rows of other formats.*data frame") as caught:
        as_battles([{"chosen": "x", "rejected": "y"}])
    assert "no chosen, rejected but id, prompt" in str(caught.value)
