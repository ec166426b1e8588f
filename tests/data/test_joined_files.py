"""Test several files of votes as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from votecast.data import read_votes
from votecast.data.joined_files import find_vote_files, read_vote_files
from votecast.data.outputs import write_votes
from votecast.data.simulation import simulate
from votecast.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with b.csv, a.parquet and more/a.parquet, whose ids are the same."""
    votes = next(simulate(rows=12, seed=0, batch=12))[0]
    (tmp_path / "more").mkdir()
    write_votes(votes, tmp_path / "b.csv", format="lmsys")
    write_votes(votes[:5], tmp_path / "a.parquet")
    write_votes(votes[5:7], tmp_path / "more" / "c.parquet")
    return tmp_path


def test_patterns_are_sorted_and_paths_stay_in_order(folder: Path) -> None:
    (folder / "[x].csv").write_text("")
    given = [folder / "b.csv", f"{folder}/**/*.parquet", folder / "[x].csv"]
    names = [str(path.relative_to(folder)) for path in find_vote_files(given)]
    assert names == ["b.csv", "a.parquet", "more/c.parquet", "[x].csv"]
    with pytest.raises(DataError, match=r"\*\.tsv matches no file; name a file, or a pattern"):
        find_vote_files([folder / "b.csv", f"{folder}/*.tsv"])
    with pytest.raises(DataError, match=r"b\.csv is named twice"):
        find_vote_files([folder / "b.csv", folder / "more" / ".." / "b.csv"])


def test_files_are_joined_with_what_was_read_from_each(folder: Path) -> None:
    paths = [folder / "a.parquet", folder / "more" / "c.parquet"]
    battles, reports = read_vote_files(paths, labels="required")
    assert battles.ids == read_votes(paths[0]).ids + read_votes(paths[1]).ids  # unique as they are
    assert [(report.path, report.rows) for report in reports] == [("a.parquet", 5), ("c.parquet", 2)]
    battles, reports = read_vote_files([folder / "b.csv", *paths], limit=14)
    assert [(report.path, report.rows, report.format) for report in reports] == [
        ("b.csv", 12, "lmsys"),
        ("a.parquet", 2, "votecast"),
    ]
    own = read_votes(folder / "b.csv").ids
    assert battles.ids == [f"b.csv:{each}" for each in own] + [f"a.parquet:{each}" for each in own[:2]]


def test_a_later_file_that_is_wrong_is_found_before_any_is_read(folder: Path) -> None:
    (folder / "b.csv").write_text("prompt,response_a,response_b,winner\n" + "x,y,z,?\n" * 3)
    (folder / "d.csv").write_text("no,columns\n1,2\n")
    with pytest.raises(DataError, match=r"d\.csv"):
        read_vote_files([folder / "b.csv", folder / "d.csv"])


def test_each_file_has_a_side_file_for_bad_rows(folder: Path) -> None:
    text = (folder / "b.csv").read_text()
    (folder / "bad.csv").write_text(text.rpartition("\n")[0] + "\nx\n")
    (folder / "more" / "bad.csv").write_text(text.rpartition("\n")[0] + "\nx,y\n")
    paths = [folder / "bad.csv", folder / "more" / "bad.csv"]
    _, reports = read_vote_files(paths, bad_rows="quarantine", quarantine=folder / "side.jsonl")
    assert [report.quarantine for report in reports] == [str(folder / f"{n}-side.jsonl") for n in range(2)]
    assert [report.path for report in reports] == list(map(str, paths))
    assert all((folder / f"{n}-side.jsonl").exists() for n in range(2))
