"""Test both-bad votes: ties by default, separate for leaderboards."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from votecast.data import read_votes
from votecast.data.frames import as_battles
from votecast.data.outputs import write_votes
from votecast.errors import DataError

WINNERS = ["model_a", "tie", "tie (bothbad)", "both_bad", " BothBad "]


def talk(answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": "Name a prime."}, {"role": "assistant", "content": answer}]


@pytest.fixture
def arena(tmp_path: Path) -> Path:
    """Return an arena file with every way of writing a tie."""
    path = tmp_path / "arena.jsonl"
    rows = [
        {
            "id": str(number),
            "model_a": "m1",
            "model_b": "m2",
            "winner": winner,
            "conversation_a": talk("2"),
            "conversation_b": talk("4"),
        }
        for number, winner in enumerate(WINNERS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_reader_that_is_not_asked_sees_ties_and_no_further_column(arena: Path) -> None:
    battles = read_votes(arena)
    assert battles.column("winner").to_pylist() == ["a", "tie", "tie", "tie", "tie"]
    assert "both_bad" not in battles.table.column_names


def test_a_leaderboard_gets_the_both_bad_ties(arena: Path, tmp_path: Path) -> None:
    battles = read_votes(arena, ranking=True)
    assert battles.column("winner").to_pylist() == ["a", "tie", "tie", "tie", "tie"]
    assert battles.column("both_bad").to_pylist() == [False, False, True, True, True]
    for name in ("votes.jsonl", "votes.parquet"):
        write_votes(battles, tmp_path / name)
        assert read_votes(tmp_path / name, ranking=True).column("both_bad").to_pylist() == [False] * 2 + [True] * 3


def test_frames_and_rows_without_texts_are_distinguished_too() -> None:
    frame = pa.table({"model_a": ["x"] * 5, "model_b": ["y"] * 5, "winner": WINNERS})
    battles = as_battles(frame, ranking=True)
    assert battles.column("both_bad").to_pylist() == [False, False, True, True, True]
    assert battles.column("prompt").to_pylist() == [[]] * 5
    with pytest.raises(DataError, match="no format fits its columns"):
        as_battles(frame)


def test_a_file_of_models_and_votes_alone_is_read_for_a_leaderboard(tmp_path: Path) -> None:
    path = tmp_path / "bare.csv"
    path.write_text("model_a,model_b,winner_model_a,winner_model_b,winner_tie,weight\nx,y,1,0,0,2\ny,x,0,0,1,1\n")
    battles = read_votes(path, ranking=True)
    assert battles.column("winner").to_pylist() == ["a", "tie"]
    assert battles.column("weight").to_pylist() == [2.0, 1.0]
    assert battles.ids == ["0", "1"] and battles.report is not None and battles.report.format == "names"
    with pytest.raises(DataError, match="no format fits its columns"):
        read_votes(path)


def test_a_vote_for_an_answer_is_never_against_both(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("model_a,model_b,winner,both_bad\nx,y,model_a,1\ny,x,tie,1\nx,y,tie,0\n")
    assert read_votes(path, ranking=True).column("both_bad").to_pylist() == [False, True, False]
