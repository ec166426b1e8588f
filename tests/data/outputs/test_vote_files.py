"""Test vote files: equal battles, reproducible bytes, or a clear error."""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from votecast.data import Battles, read_votes
from votecast.data.battles import SCHEMA
from votecast.data.io import open_table
from votecast.data.outputs import Written, write_votes
from votecast.errors import ArtifactError, ConfigError, DataError
from votecast.types import read_model_name

VOTE = {"id": "7", "prompt": "Why?", "response_a": "Because.", "response_b": "No.", "winner": "a"}
SUFFIXES = [
    f"{container}{packing}" for container in (".jsonl", ".parquet", ".arrow") for packing in ("", ".gz", ".zst")
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TURNS = st.lists(st.none() | TEXT, max_size=3)
LABELS = st.sampled_from([(None, None), ("a", None), ("tie", None), (None, (0.25, 0.5, 0.25)), ("b", (0.1, 0.2, 0.7))])
ROWS = st.lists(
    st.fixed_dictionaries(
        {"prompt": TURNS, "response_a": TURNS, "response_b": TURNS},
        optional={
            "model_a": TEXT.map(str.lower).filter(read_model_name).filter(lambda name: name == name.strip()),
            "language": TEXT.filter(bool),
            "source": TEXT.filter(bool),
            "weight": st.floats(0, 1e6),
        },
    ).flatmap(lambda row: LABELS.map(lambda label: row | {"winner": label[0], "probabilities": label[1]})),
    min_size=1,
    max_size=5,
)


def battles(*rows: dict[str, Any]) -> Battles:
    return Battles.from_rows([VOTE | {"id": str(n)} | row for n, row in enumerate(rows)])


@settings(max_examples=30)
@given(ROWS)
def test_votes_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    folder = tmp_path_factory.mktemp("votes")
    votes = Battles.from_rows([row | {"id": f"#{n}"} for n, row in enumerate(rows)])
    for suffix in SUFFIXES:
        path = folder / f"votes{suffix}"
        assert write_votes(votes, path) == Written(path, "votecast", len(rows), [])
        with open_table(path) as stream:
            table = pa.concat_tables([batch.table for batch in stream], promote_options="permissive")
        assert Battles(table).table.to_pylist() == votes.table.to_pylist()


@settings(max_examples=30)
@given(ROWS)
@example([{"prompt": ["\r"], "response_a": [], "response_b": [], "model_a": "a\rb", "model_b": "c\nd"}])
def test_csv_keeps_texts_models_and_winners(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("votes") / "votes.csv.gz"
    plain = {"probabilities": None, "weight": 1.0, "language": None, "source": None}
    votes = Battles.from_rows([row | plain | {"id": f"#{n}", "winner": "b"} for n, row in enumerate(rows)])
    assert write_votes(votes, path).notes == []
    assert read_votes(path, text="json").table.to_pylist() == votes.table.to_pylist()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_reader_of_votes_reads_them(tmp_path: Path, suffix: str) -> None:
    votes = battles(
        {},
        {
            "prompt": ["a", None, "😀\0"],
            "response_a": [],
            "winner": None,
            "probabilities": [0.5, 0.25, 0.25],
            "weight": 2.5,
        },
        {"winner": "tie", "model_a": "m", "language": "de", "source": "here"},
    )
    write_votes(votes, tmp_path / f"votes{suffix}")
    assert read_votes(tmp_path / f"votes{suffix}").table.equals(votes.table)


def test_parquet_and_arrow_hold_the_schema(tmp_path: Path) -> None:
    write_votes(battles({}), tmp_path / "votes.parquet")
    assert pq.read_schema(tmp_path / "votes.parquet").equals(SCHEMA)
    write_votes(battles({}), tmp_path / "votes.arrow")
    assert pa.ipc.open_file(tmp_path / "votes.arrow").schema.equals(SCHEMA)


def test_csv_has_the_columns_of_the_contest(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    rows = {"prompt": ['He said "hi",\n', None], "winner": "tie", "model_a": "m1", "model_b": "m2"}, {"winner": "b"}
    assert write_votes(battles(*rows), path).notes == []
    with path.open(newline="", encoding="utf-8") as file:
        header, first, second = csv.reader(file)
    assert (
        ",".join(header) == "id,model_a,model_b,prompt,response_a,response_b,winner_model_a,winner_model_b,winner_tie"
    )
    assert first[3] == '["He said \\"hi\\",\\n",null]'
    assert (first[1:3], first[6:], second[6:]) == (["m1", "m2"], ["0", "0", "1"], ["0", "1", "0"])
    again = read_votes(path)
    assert again.table.equals(battles(*rows).table)


def test_csv_without_votes_is_a_test_file(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    written = write_votes(battles({"winner": None, "model_a": "m", "language": "en"}), path)
    assert path.read_text().startswith("id,prompt,response_a,response_b\n")
    assert written.notes == [
        f"{name} is left out: the lmsys format has no column for it" for name in ("language", "model_a")
    ]


def test_lmsys_columns_also_in_parquet(tmp_path: Path) -> None:
    write_votes(battles({}), tmp_path / "votes.parquet", format="lmsys")
    assert pq.read_table(tmp_path / "votes.parquet").column("prompt").to_pylist() == ['["Why?"]']


def test_wsdm_columns(tmp_path: Path) -> None:
    votes = battles({"winner": "a", "language": "fr", "model_a": "m"}, {"winner": "b"})
    write_votes(votes, tmp_path / "votes.parquet", format="wsdm")
    table = pq.read_table(tmp_path / "votes.parquet")
    assert table.column_names == [
        "id",
        "prompt",
        "response_a",
        "response_b",
        "winner",
        "model_a",
        "model_b",
        "language",
    ]
    assert table.column("winner").to_pylist() == ["model_a", "model_b"]
    again = read_votes(tmp_path / "votes.parquet")
    assert again.table.equals(votes.table)


@pytest.mark.parametrize(
    ("format", "row", "reason"),
    [
        ("lmsys", {"winner": None, "probabilities": [0.5, 0.5, 0]}, "soft label"),
        ("lmsys", {"weight": 0.5}, "weight other than 1"),
        ("lmsys", {"winner": None}, "others have none"),
        ("wsdm", {"winner": "tie"}, "is a tie"),
        ("wsdm", {"prompt": ["a", "b"]}, "no single turn in prompt"),
        ("wsdm", {"response_b": []}, "no single turn in response_b"),
        ("wsdm", {"winner": "a", "probabilities": [1, 0, 0]}, "soft label"),
    ],
)
def test_values_a_format_cannot_hold_are_refused(tmp_path: Path, format: str, row: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=rf"row 2 \(id '1'\) .*{reason}.*use the votecast format"):
        write_votes([battles({}), battles({}, row)[1:]], tmp_path / "votes.csv", format=format)
    assert list(tmp_path.iterdir()) == []


def test_further_columns_are_kept_where_there_is_room(tmp_path: Path) -> None:
    extra = {
        "when": pa.array([datetime.date(2024, 1, 2)]),
        "score": pa.array([decimal.Decimal("1.50")]),
        "rank": pa.array([3]),
    }
    votes = Battles(pa.table({name: battles({}).column(name) for name in SCHEMA.names} | extra))
    write_votes(votes, tmp_path / "votes.parquet")
    assert pq.read_table(tmp_path / "votes.parquet").equals(votes.table)
    write_votes(votes, tmp_path / "votes.jsonl")
    assert (tmp_path / "votes.jsonl").read_text().endswith('"when":"2024-01-02","score":"1.50","rank":3}\n')
    notes = write_votes(votes, tmp_path / "votes.csv").notes
    assert [note.split(" ")[0] for note in notes] == ["when", "score", "rank"]


def test_bytes_and_infinities_have_no_place_in_text(tmp_path: Path) -> None:
    base = {name: battles({}).column(name) for name in SCHEMA.names}
    with pytest.raises(DataError, match="columns blob hold bytes"):
        write_votes(Battles(pa.table(base | {"blob": pa.array([b"x"])})), tmp_path / "votes.jsonl")
    with pytest.raises(DataError, match="write Parquet or Arrow"):
        write_votes(Battles(pa.table(base | {"score": pa.array([float("inf")])})), tmp_path / "votes.jsonl")
    with pytest.raises(DataError, match="write Parquet or Arrow"):
        write_votes(Battles(pa.table(base | {"blobs": pa.array([[b"x"]])})), tmp_path / "votes.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_columns_must_not_change_on_the_way(tmp_path: Path) -> None:
    first = Battles(battles({}).table.append_column("rank", pa.array([3])))
    second = Battles(battles({}).table.append_column("rank", pa.array(["high"])))
    with pytest.raises(DataError, match="columns change"):
        write_votes([first, second], tmp_path / "votes.parquet")


def test_no_battles_are_a_file_without_rows(tmp_path: Path) -> None:
    assert write_votes([], tmp_path / "votes.parquet").rows == 0
    assert pq.read_table(tmp_path / "votes.parquet").schema.equals(SCHEMA)
    write_votes([], tmp_path / "votes.csv")
    assert (tmp_path / "votes.csv").read_text() == "id,prompt,response_a,response_b\n"


@pytest.mark.parametrize("name", ["votes", "votes.xlsx", "votes.gz", "votes.csv.bz2"])
def test_unknown_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="does not say what to write"):
        write_votes(battles({}), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_unknown_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'kaggle' is unknown; votes are written as votecast, lmsys, wsdm"):
        write_votes(battles({}), tmp_path / "votes.csv", format="kaggle")


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("mine")
    with pytest.raises(ArtifactError, match="already exists"):
        write_votes(battles({}), path)
    assert path.read_text() == "mine"
    write_votes(battles({}), path, overwrite=True)
    assert path.read_text().startswith("id,")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.zst", *SUFFIXES])
def test_the_same_votes_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    votes = battles(*[{}] * 50)
    for name in ("one", "two"):
        write_votes(votes, tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_gzip_is_gzip(tmp_path: Path) -> None:
    write_votes(battles({}), tmp_path / "votes.csv.gz")
    assert gzip.decompress((tmp_path / "votes.csv.gz").read_bytes()).startswith(b"id,")


def test_a_failing_source_leaves_nothing(tmp_path: Path) -> None:
    def source() -> Iterator[Battles]:
        yield battles(*[{}] * 100)
        raise DataError("row 101 is bad")

    for suffix in (".csv", *SUFFIXES):
        with pytest.raises(DataError, match="row 101 is bad"):
            write_votes(source(), tmp_path / f"votes{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_large_table_is_written_in_groups_that_can_be_read_in_parts(tmp_path: Path) -> None:
    battles = Battles.from_rows([VOTE | {"id": str(row), "prompt": "x" * 100_000} for row in range(200)])
    write_votes(battles, tmp_path / "votes.arrow")
    write_votes(battles, tmp_path / "votes.parquet")
    assert pa.ipc.open_file(tmp_path / "votes.arrow").num_record_batches == 3
    assert pq.ParquetFile(tmp_path / "votes.parquet").num_row_groups == 3
    assert read_votes(tmp_path / "votes.arrow").table.equals(battles.table)
    assert read_votes(tmp_path / "votes.parquet").table.equals(battles.table)
