"""Test damaged and hostile files: one clear error with the place."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from tests.data.hostile import FILES, MEANING, SHAPES, Hostile, zstd_stream

from votecast.data import read_votes
from votecast.data.io import open_table
from votecast.errors import DataError

TEXT = [file for file in SHAPES if file.name.endswith((".csv", ".jsonl"))]
PACKED = {".gz": lambda content: gzip.compress(content, mtime=0), ".zst": zstd_stream}


def written(folder: Path, file: Hostile) -> Path:
    path = folder / file.name
    path.write_bytes(file.content)
    return path


def drain(path: Path, **options: object) -> int:
    with open_table(path, **options) as stream:  # type: ignore[arg-type]
        return sum(batch.table.num_rows for batch in stream)


def named(file: Hostile) -> str:
    return file.name


def test_there_are_many() -> None:
    assert len({file.name for file in FILES}) == len(FILES) >= 100


@pytest.mark.parametrize("file", [f for f in FILES if f.seen_by == "table"], ids=named)
def test_opening_names_the_fault(tmp_path: Path, file: Hostile) -> None:
    path = written(tmp_path, file)
    with pytest.raises(DataError) as caught:
        drain(path)
    message = str(caught.value)
    assert str(path) in message
    for part in file.parts:
        assert part in message


@pytest.mark.parametrize("file", FILES, ids=named)
def test_reading_votes_names_the_fault(tmp_path: Path, file: Hostile) -> None:
    path = written(tmp_path, file)
    with pytest.raises(DataError) as caught:
        read_votes(path)
    message = str(caught.value)
    assert str(path) in message
    for part in file.parts:
        assert part in message
    assert len(message) < 1200
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("file", TEXT, ids=named)
def test_compressed_files_give_the_same_errors(tmp_path: Path, file: Hostile, suffix: str) -> None:
    packed = Hostile(file.name + suffix, PACKED[suffix](file.content), file.parts)
    path = written(tmp_path, packed)
    with pytest.raises(DataError) as caught:
        drain(path)
    assert str(path) in str(caught.value)
    for part in file.parts:
        assert part in str(caught.value)


ROWS = [file for file in SHAPES + MEANING if "row 2" in file.parts and not file.name.startswith("open_quote")]


@pytest.mark.parametrize("file", ROWS, ids=named)
def test_a_bad_row_can_be_set_aside(tmp_path: Path, file: Hostile) -> None:
    path = written(tmp_path, file)
    votes = read_votes(path, bad_rows="quarantine", quarantine=tmp_path / "bad.jsonl")
    side_file = [json.loads(text) for text in (tmp_path / "bad.jsonl").read_text("utf-8").splitlines()]
    assert [row["row"] for row in side_file] == [2]
    assert votes.ids[0] == "1"
    assert votes.report is not None
    assert votes.report.quarantined == 1


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv not found; check the path"):
        read_votes(tmp_path / "nowhere.csv")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        read_votes(tmp_path)


def test_a_name_with_a_nul() -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        read_votes("votes\0.csv")


def test_a_name_too_long(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        read_votes(tmp_path / ("x" * 5000))


def test_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "b.csv")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a\.csv"):
        read_votes(tmp_path / "a.csv")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "votes.csv"
    path.write_bytes(b"id\n1\n")
    path.chmod(0)
    if os.access(path, os.R_OK):  # the super-user may read everything

        def refuse(self: Path, *args: object, **options: object) -> None:
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match="may not be read; change its permissions"):
        read_votes(path)
