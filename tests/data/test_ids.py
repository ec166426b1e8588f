"""Test that an id is the same text whichever file, frame or list it comes from."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from votecast.data.battles import Battles
from votecast.data.candidates import CandidateReader, candidates_of
from votecast.data.frames import as_battles
from votecast.data.outputs import read_predictions, read_scores
from votecast.data.reader import read_votes
from votecast.errors import DataError
from votecast.judges.evaluate import Predictions, evaluate

VOTE = {"prompt": "Why?", "response_a": "So.", "response_b": "No.", "winner": "a"}
FURTHER: dict[str, dict[str, object]] = {
    "votes": VOTE,
    "predictions": {"p_a": 0.5, "p_b": 0.25, "p_tie": 0.25},
    "scores": {"score_a": 1.0, "score_b": 0.0},
    "candidates": {"prompt": "Why?", "candidates": '["So.", "No."]'},
}


def write(path: Path, ids: list[Any], kind: pa.DataType | None, further: dict[str, object]) -> Path:
    table = pa.table({"id": pa.array(ids, kind)} | {name: [value] * len(ids) for name, value in further.items()})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return path
    with path.open("w", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row, default=float) + "\n" for row in table.to_pylist())
        else:
            rows = csv.DictWriter(file, table.column_names)
            rows.writeheader()
            rows.writerows(table.to_pylist())
    return path


def read_ids(path: Path, content: str) -> list[str]:
    if content == "predictions":
        return read_predictions(path)[0]
    if content == "scores":
        return read_scores(path).ids
    if content == "candidates":
        return [row.id for row in CandidateReader(path)]
    return read_votes(path).ids


SAME = [
    ([475725, 2654911486], pa.int64()),
    ([475725.0, 2654911486.0], pa.float64()),
    (["475725.0", "2.654911486e+09"], pa.string()),
    (["475725", "2654911486.00"], pa.string()),
    ([Decimal("475725.0"), Decimal("2654911486.0")], pa.decimal128(18, 1)),
]


@pytest.mark.parametrize("content", list(FURTHER))
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
@pytest.mark.parametrize(("ids", "kind"), SAME)
def test_whole_numbers_are_the_same_ids_in_every_file(
    tmp_path: Path, ids: list[Any], kind: pa.DataType, suffix: str, content: str
) -> None:
    path = write(tmp_path / f"file{suffix}", ids, kind, FURTHER[content])
    assert read_ids(path, content) == ["475725", "2654911486"]


@pytest.mark.parametrize("content", list(FURTHER))
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
@pytest.mark.parametrize(
    ("ids", "kind", "reason"),
    [
        ([7.0, 2.0**53], pa.float64(), r"2\^53 or more"),
        ([7.0, 1.2345678901234568e18], pa.float64(), r"2\^53 or more"),
        (["7", "1.2345678901234568e+18"], pa.string(), r"2\^53 or more"),
        (["7", "2.65491E+09"], pa.string(), "spreadsheets"),
    ],
)
def test_a_float_that_lost_digits_is_no_id(
    tmp_path: Path, ids: list[Any], kind: pa.DataType, reason: str, suffix: str, content: str
) -> None:
    path = write(tmp_path / f"file{suffix}", ids, kind, FURTHER[content])
    with pytest.raises(DataError, match=rf"row 2, column 'id': the id is .*{reason}"):
        read_ids(path, content)


@pytest.mark.parametrize(
    "names", [["007", "1.5", "12e4567", "1.0.0", "v1.0"], ["9007199254740993", "-3", "0", "é", " 1.0"]]
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_other_texts_stay_as_they_are(tmp_path: Path, names: list[str], suffix: str) -> None:
    assert read_ids(write(tmp_path / f"file{suffix}", names, pa.string(), VOTE), "votes") == names


def test_float32_holds_fewer_digits(tmp_path: Path) -> None:
    path = write(tmp_path / "file.parquet", [2.0**24 - 1], pa.float32(), VOTE)
    assert read_ids(path, "votes") == ["16777215"]
    path = write(tmp_path / "file.parquet", [2.0**24], pa.float32(), VOTE)
    with pytest.raises(DataError, match=r"column 'id': the id is a float of 2\^24 or more"):
        read_ids(path, "votes")


def test_frames_and_rows_in_memory_follow_the_rule() -> None:
    frame = pd.DataFrame([VOTE | {"id": 475725}, VOTE | {"id": None}]).iloc[:1]
    assert frame.id.dtype == np.float64
    assert as_battles(frame).ids == ["475725"]
    rows: list[dict[str, Any]] = frame.to_dict("records")
    assert as_battles(rows).ids == Battles.from_rows(rows).ids == ["475725"]
    candidates = [{"id": 475725.0, "prompt": "Why?", "candidates": ["So."]}]
    assert [row.id for row in candidates_of(candidates)] == ["475725"]
    with pytest.raises(DataError, match=r"row 1, column 'id': the id is a float of 2\^53"):
        list(candidates_of([candidates[0] | {"id": 1e300}]))
    with pytest.raises(DataError, match=r"row 1 is not a battle: id: .*2\^53 or more"):
        Battles.from_rows([VOTE | {"id": float("inf")}])


def test_ids_of_other_formats_follow_the_rule(tmp_path: Path) -> None:
    talk = json.dumps([{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}])
    arena = {"conversation_a": talk, "conversation_b": talk, "winner": "tie", "question_id": "7.0"}
    assert as_battles(pa.table({name: [cell] for name, cell in arena.items()})).ids == ["7"]
    judged = arena | {"judge": "expert_1", "turn": "1", "model_a": "x", "model_b": "y"}
    assert as_battles(pa.table({name: [cell] for name, cell in judged.items()})).ids == ["7-x-y-expert_1-1-1"]
    with pytest.raises(DataError, match=r"column 'question_id': the id is a float of 2\^53"):
        as_battles(pa.table({name: [cell] for name, cell in (arena | {"question_id": 1e18}).items()}))


def test_an_error_about_ids_shows_those_of_both_files() -> None:
    votes = [VOTE | {"id": name} for name in ("vote-1", "vote-2")]
    with pytest.raises(DataError, match=r"first ids: 'vote-1', 'vote-2'; the predictions have '1', '2'\)"):
        evaluate(Predictions([1.0, 2.0], [[0.5, 0.25, 0.25]] * 2), votes, draws=0)  # type: ignore[list-item]
