"""Test container detection by content and name, compression and pipes."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.hostile import CSV, JSONL, arrow, parquet, votes_table, zstd_stream

from votecast.data.io import open_table
from votecast.data.io.detection import find_container
from votecast.errors import DataError

VOTES = votes_table(40)
CONTENT = {
    "csv": CSV,
    "tsv": CSV.replace(b",", b"\t"),
    "jsonl": JSONL,
    "parquet": parquet(VOTES),
    "arrow": arrow(VOTES),
}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".zst": zstd_stream,
}


def open_files() -> int:
    """Return how many files this process holds open; 0 if unknown."""
    held = Path("/proc/self/fd")
    return len(list(held.iterdir())) if held.exists() else 0


def ids(path: str | Path, **options: Any) -> list[str]:
    with open_table(path, **options) as stream:
        return [cell for batch in stream for cell in batch.table["id"].to_pylist()]


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("container", CONTENT)
def test_every_container_in_every_packing(tmp_path: Path, container: str, packing: str) -> None:
    plain = tmp_path / f"plain.{container}"
    plain.write_bytes(CONTENT[container])
    packed = tmp_path / f"votes.{container}{packing}"
    packed.write_bytes(PACK[packing](CONTENT[container]))
    with open_table(packed) as stream:
        assert stream.container == container
        assert stream.compression == {"": None, ".gz": "gzip", ".zst": "zstd"}[packing]
    assert ids(packed) == ids(plain)
    assert len(ids(packed)) >= 5


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("container", ["csv", "jsonl", "parquet", "arrow"])
def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, container: str, packing: str) -> None:
    class Piped(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 1, 7) if size != -1 else -1)

    path = tmp_path / f"votes.{container}"
    path.write_bytes(CONTENT[container])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Piped(PACK[packing](CONTENT[container]))))
    assert ids("-") == ids(path)


def test_errors_name_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,a\n")))
    with pytest.raises(DataError, match="^standard input, header"):
        open_table("-")
    monkeypatch.setattr(sys, "stdin", io.StringIO("a,a\n"))
    with pytest.raises(DataError, match="not a stream of bytes"):
        open_table("-")


def test_a_full_disk_while_unpacking_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, content: object) -> int:
            raise OSError(28, "No space left on device")

    path = tmp_path / "votes.parquet.gz"
    path.write_bytes(PACK[".gz"](CONTENT["parquet"]))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(DataError, match="No space left on device; set TMPDIR"):
        open_table(path)


def test_a_named_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(CONTENT["parquet"],))
    writer.start()
    assert ids(pipe) == [str(i) for i in range(40)]
    writer.join()


def test_content_goes_before_the_name(tmp_path: Path) -> None:
    for name, container in [("a.csv", "parquet"), ("b", "arrow"), ("c.csv", "jsonl"), ("d", "csv"), ("e.gz", "jsonl")]:
        (tmp_path / name).write_bytes(CONTENT[container])
        with open_table(tmp_path / name) as stream:
            assert stream.container == container


def test_the_head_alone_decides() -> None:
    assert find_container(b"id,prompt\n", "votes") == "csv"
    assert find_container(b'\xef\xbb\xbf {"id"', "votes") == "jsonl"


def test_types_of_parquet_and_arrow_are_kept_but_for_dictionaries(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["a", None, "a"]).dictionary_encode(),
            "view": pa.array(["x", "y", None], pa.string_view()),
            "when": pa.array([0, 1, 2], pa.timestamp("ms")),
            "turns": [["a", None], [], None],
            "soft": pa.array([[0.1, 0.2, 0.7], None, [1, 0, 0]], pa.list_(pa.float64(), 3)),
        }
    )
    for name, content in [
        ("t.arrow", arrow(table)),
        ("s.arrow", arrow(table, stream=True)),
        ("t.parquet", parquet(table)),
    ]:
        (tmp_path / name).write_bytes(content)
        with open_table(tmp_path / name) as stream:
            (batch,) = stream
        assert batch.table.schema.types[0] == pa.string()
        assert batch.table.schema.types[2] == pa.timestamp("ms")
        assert batch.table.to_pylist() == table.to_pylist()


@pytest.mark.parametrize("container", ["parquet", "arrow"])
def test_large_batches_are_cut_and_rows_are_numbered(
    tmp_path: Path, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("votecast.data.io.byte_source.BATCH_BYTES", 200)
    path = tmp_path / f"votes.{container}"
    path.write_bytes(CONTENT[container])
    with open_table(path) as stream:
        batches = list(stream)
    assert len(batches) > 3
    assert [row for batch in batches for row in batch.rows] == list(range(1, 41))


def test_a_table_without_rows(tmp_path: Path) -> None:
    for container, content in [("parquet", parquet(VOTES.slice(0, 0))), ("arrow", arrow(VOTES.slice(0, 0)))]:
        (tmp_path / f"none.{container}").write_bytes(content)
        with open_table(tmp_path / f"none.{container}") as stream:
            assert stream.names == VOTES.column_names
            assert sum(batch.table.num_rows for batch in stream) == 0


def test_closing_early_lets_go_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv.gz"
    path.write_bytes(PACK[".gz"](CSV))
    before = open_files()
    with open_table(path) as stream:
        next(iter(stream))
    assert open_files() == before


EDITS = st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=4), st.integers(0, 4)), min_size=1, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(CONTENT)), st.sampled_from(sorted(PACK)), EDITS)
def test_a_file_with_bytes_changed_is_read_or_refused(
    tmp_path: Path, container: str, packing: str, edits: list[tuple[int, bytes, int]]
) -> None:
    content = bytearray(PACK[packing](CONTENT[container]))
    for at, put, drop in edits:
        start = at % (len(content) + 1)
        content[start : start + drop] = put
    path = tmp_path / f"votes.{container}{packing}"
    path.write_bytes(content)
    message = ""
    try:
        with open_table(path) as stream:
            for batch in stream:
                assert len(batch.table.to_pylist()) == len(batch.rows)
    except DataError as error:
        message = str(error)
    assert not message or str(path) in message


@pytest.mark.parametrize("container", ["csv", "jsonl", "parquet"])
def test_rows_are_expected_from_the_share_of_bytes_read(tmp_path: Path, container: str) -> None:
    path = tmp_path / f"votes.{container}"
    many = {"csv": CSV + CSV.split(b"\n", 1)[1] * 20_000, "jsonl": JSONL * 8_000, "parquet": CONTENT["parquet"]}
    path.write_bytes(many[container])
    with open_table(path) as stream:
        batches = iter(stream)
        rows = len(next(batches).rows)
        expected = stream.expected_rows or 0
        rows += sum(len(batch.rows) for batch in batches)
    assert expected == pytest.approx(rows, rel=0.2)
