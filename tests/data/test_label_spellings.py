"""Test what votes and models are called in files: every spelling, no vote, votes that do not count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from votecast.data import read_votes
from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.data.outputs import write_votes
from votecast.errors import DataError

TEXTS = {"prompt": "Name a tree.", "response_a": "Fir.", "response_b": "Oak."}


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("name", "winner"),
    [
        *(
            (name, "a")
            for name in ("a", " A ", "model_a", "Model A", "MODEL-A", "response_a", "model_1", "A>B", "A>>B")
        ),
        *((name, "b") for name in ("b", "Model_B", "B>A", "rightvote")),
        *(
            (name, "tie")
            for name in (
                "tie",
                "Tie",
                "tie (bothbad)",
                "Tie (both bad)",
                "both bad",
                "Both-Bad",
                "tie (inconsistent)",
                "A=B",
            )
        ),
        *((name, None) for name in ("", " ", "None", "NaN", "nan", "null", "NA", "N/A", "<NA>", None)),
    ],
)
def test_every_spelling_of_a_vote_and_of_none(tmp_path: Path, name: str | None, winner: str | None) -> None:
    row = {**TEXTS, "winner": name}
    assert Battles.from_rows([row])[0].winner == winner
    assert as_battles(pa.table({key: [value] for key, value in row.items()}))[0].winner == winner
    assert read_votes(lines(tmp_path / "votes.jsonl", row, {**TEXTS, "winner": "a"}))[0].winner == winner
    with_models = {**row, "model_a": "x", "model_b": "y", "language": "en"}
    path = tmp_path / "wsdm.csv"
    path.write_text(",".join(with_models) + "\n" + ",".join(str(cell or "") for cell in with_models.values()) + "\n")
    assert read_votes(path, format="wsdm")[0].winner == winner


def test_an_unknown_vote_is_bad_and_a_missing_one_where_votes_are_required(tmp_path: Path) -> None:
    path = lines(tmp_path / "votes.jsonl", {**TEXTS, "winner": "a"}, {**TEXTS, "winner": "A wins"})
    with pytest.raises(DataError, match="row 2, column 'winner': the label is unknown; allowed are a, model_a"):
        read_votes(path)
    path = lines(tmp_path / "none.jsonl", {**TEXTS, "winner": "a"}, {**TEXTS, "winner": "NaN"})
    with pytest.raises(DataError, match="row 2, column 'winner'"):
        read_votes(path, labels="required")


def test_one_hot_columns_without_a_value_are_no_vote(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    head = "prompt,response_a,response_b,winner_model_a,winner_model_b,winner_tie\n"
    path.write_text(head + "Why?,So.,No.,1,0,0\nWhy?,So.,No.,,,\nWhy?,So.,No.,NaN,nan,NaN\n")
    assert read_votes(path).column("winner").to_pylist() == ["a", None, None]
    with pytest.raises(DataError, match="row 2, column 'winner_model_a': the cell is empty"):
        read_votes(path, labels="required")
    path.write_text(head + "Why?,So.,No.,0,,1\n")
    with pytest.raises(DataError, match="row 1, column 'winner_model_b': the cell is empty"):
        read_votes(path)


def test_models_that_differ_by_spaces_or_case_are_one(tmp_path: Path) -> None:
    games = [("ash", "birch"), ("ash ", "birch"), ("Ash", "Birch"), ("None", "birch"), ("nan", "birch")]
    rows = [{"model_a": a, "model_b": b, "winner": "a"} for a, b in games]
    battles = read_votes(lines(tmp_path / "games.jsonl", *rows), ranking=True)
    assert battles.column("model_a").to_pylist() == ["ash", "ash", "ash", None, None]
    assert battles.column("model_b").to_pylist() == ["birch"] * 5
    assert battles.report is not None
    assert battles.report.repairs["model_a with other spaces or case read as its first spelling"] == 2


@pytest.mark.parametrize("shown", [False, 0, "False"])
def test_votes_of_people_who_knew_the_models_do_not_count(tmp_path: Path, shown: object) -> None:
    row = {"model_a": "x", "model_b": "y", "winner": "model_a", **TEXTS}
    path = lines(tmp_path / "votes.jsonl", row | {"anony": True}, row | {"anony": shown})
    battles = read_votes(path)
    assert battles.column("winner").to_pylist() == ["a", None]
    assert battles.report is not None and battles.report.labelled == 1
    assert battles.report.ignored_votes == {"the voter knew the names of the models (anony is false)": 1}
    with pytest.raises(DataError, match="row 2, column 'anony': the row has no vote: the voter knew the names"):
        read_votes(path, labels="required")
    assert len(read_votes(path, labels="ignored")) == 2


def test_votes_against_both_answers_survive_conversion(tmp_path: Path) -> None:
    rows = [TEXTS | {"winner": winner} for winner in ("model_a", "tie", "Both bad")]
    votes = read_votes(lines(tmp_path / "votes.jsonl", *rows), both_bad=True)
    for name in ("own.jsonl", "own.parquet"):
        assert not write_votes(votes, tmp_path / name).notes
        assert read_votes(tmp_path / name).column("winner").to_pylist() == ["a", "tie", "tie"]
        assert read_votes(tmp_path / name, ranking=True).column("both_bad").to_pylist() == [False, False, True]
    notes = write_votes(votes, tmp_path / "contest.csv").notes
    assert notes == ["votes against both answers are written as ties: the lmsys format has no other name for them"]


def test_an_empty_answer_in_csv_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("id,prompt,response_a,response_b,winner\n1,Say nothing.,,None,a\n2,NA,null,,b\n")
    battles = read_votes(path)
    assert battles.column("response_a").to_pylist() == [[""], ["null"]]
    assert battles.column("response_b").to_pylist() == [["None"], [""]]
    path.write_text(path.read_text() + "3,,,,\n")
    with pytest.raises(DataError, match="row 3, column 'prompt': the cell is empty"):
        read_votes(path)
