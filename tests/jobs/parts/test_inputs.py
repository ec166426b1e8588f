"""Test which input files are selected, and their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from votecast.errors import ConfigError, DataError
from votecast.jobs.input_files import find_inputs, wants_folder


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (
        "a/x.csv",
        "a/y.parquet",
        "a/.hidden.csv",
        "a/_SUCCESS",
        "a/notes.md",
        "a/x.csv.settings.json",
        "b/x.csv",
        "b/c/z.jsonl.gz",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)


def names(*given: str) -> list[str]:
    return [each.name for each in find_inputs(given)]


def test_given_files_keep_their_order_and_globs_sort_by_name() -> None:
    assert names("b/x.csv", "a/*[!n]") == ["b/x.csv", "a/_SUCCESS", "a/notes.md", "a/x.csv", "a/y.parquet"]
    assert names("**/*.csv") == ["a/x.csv", "b/x.csv"]
    assert names("[ab]/x.csv") == ["a/x.csv", "b/x.csv"]


def test_a_folder_stands_for_its_tables() -> None:
    assert names("a") == ["a/x.csv", "a/y.parquet"]
    assert names("a/", "b/c") == ["a/x.csv", "a/y.parquet", "b/c/z.jsonl.gz"]


def test_side_files_are_inputs_only_when_named() -> None:
    Path("a/y.truth.parquet").write_text("")
    assert names("a/*.parquet") == names("**/*.parquet") == ["a/y.parquet"]
    assert names("a/*.truth.parquet") == names("a/y.truth.parquet") == ["a/y.truth.parquet"]


def test_a_name_with_a_wildcard_in_it_is_a_name_where_there_is_such_a_file() -> None:
    Path("x[1].csv").write_text("")
    assert names("x[1].csv") == ["x[1].csv"]


def test_file_urls_are_paths() -> None:
    here = Path.cwd()
    assert [each.place.path for each in find_inputs([f"file://{here}/a/x.csv"])] == [here / "a/x.csv"]
    assert names(f"file://{here}/a") == [f"file://{here}/a/x.csv", f"file://{here}/a/y.parquet"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["c/*.csv"], r"c/\*\.csv matches no file; check the pattern, in quotes"),
        (["b/d"], "b/d not found; check the path"),
        (["none.csv"], r"none\.csv not found"),
        (["a", "b/*.md"], r"b/\*\.md matches no file"),
    ],
)
def test_missing_inputs_are_an_error(given: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_inputs(given)


def test_a_file_is_given_once() -> None:
    with pytest.raises(ConfigError, match=r"a/x\.csv is given twice"):
        find_inputs(["a", "./a/x.csv", "a/x.csv"])
    with pytest.raises(ConfigError, match="standard input needs one output file"):
        find_inputs(["a", "-"])


def test_unknown_kinds_of_addresses_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"allowed are paths, file://, s3://"):
        find_inputs(["https://example.org/votes.csv"])


def test_when_a_folder_is_meant() -> None:
    assert not wants_folder(["a/x.csv"], "p.csv")
    assert not wants_folder(["-"], "p.csv")
    assert not wants_folder(["a/x.csv"], "strange")
    assert wants_folder(["a/x.csv"], "p/")
    assert wants_folder(["a/x.csv"], "a")
    assert wants_folder(["a"], "p")
    assert wants_folder(["a/x.csv"], "s3://bucket/p")
    with pytest.raises(ConfigError, match=r"p\.csv is named like a file; .*: name one, such as p/"):
        wants_folder(["a/*.csv"], "p.csv")
