"""Test that no row is lost or changed where a block of bytes ends in or near it, against readers of whole files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.hostile import zstd_stream

from votecast.data.io import BadRow, byte_source, json_array, open_table, record_blocks
from votecast.errors import DataError

BLOCK = 32
FILLERS = ["x", "é", "😀", '"', "\\", ",", "\n", "\r\n", "]}", "\\u00e9", "[{"]
Row = dict[str, str]


def json_lines(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def csv_file(rows: list[Row], delimiter: str = ",", end: str = "\n") -> bytes:
    out = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if end == "\r" else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([rows[0], *(row.values() for row in rows)])
    return out.getvalue().encode()


def parquet_file(rows: list[Row], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out, **({"row_group_size": 3} | options))
    return out.getvalue()


def arrow_file(rows: list[Row], *, stream: bool = False, encode: bool = False) -> bytes:
    table = pa.Table.from_pylist(rows)
    if encode:
        table = pa.table({name: table[name].combine_chunks().dictionary_encode() for name in table.column_names})
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) if stream else pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return out.getvalue()


CONTAINERS: dict[str, Callable[[list[Row]], bytes]] = {
    "csv": csv_file,
    "crlf.csv": lambda rows: csv_file(rows, end="\r\n"),
    "cr.csv": lambda rows: csv_file(rows, end="\r"),
    "tsv": lambda rows: csv_file(rows, "\t"),
    "jsonl": json_lines,
    "ascii.jsonl": lambda rows: "".join(json.dumps(row) + "\r\n" for row in rows).encode(),
    "json": lambda rows: json.dumps(rows, ensure_ascii=False).encode(),
    "compact.json": lambda rows: json.dumps(rows, separators=(",", ":")).encode(),
    "indented.json": lambda rows: json.dumps(rows, indent=2, ensure_ascii=False).encode(),
    "parquet": parquet_file,
    "plain.parquet": lambda rows: parquet_file(rows, use_dictionary=False, compression="zstd"),
    "arrow": arrow_file,
    "stream.arrow": lambda rows: arrow_file(rows, stream=True),
    "dictionary.arrow": lambda rows: arrow_file(rows, encode=True),
    "csv.gz": lambda rows: gzip.compress(csv_file(rows), mtime=0),
    "json.gz": lambda rows: gzip.compress(json.dumps(rows).encode(), mtime=0),
    "jsonl.zst": lambda rows: zstd_stream(json_lines(rows)),
    "parquet.gz": lambda rows: gzip.compress(parquet_file(rows), mtime=0),
}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_source, "BATCH_BYTES", BLOCK)
    monkeypatch.setattr(byte_source, "HEAD_BYTES", 8)
    monkeypatch.setattr(byte_source, "_CHUNK", 8)
    monkeypatch.setattr(record_blocks, "LEAST_READ", 8)
    monkeypatch.setattr(record_blocks, "_WINDOW", 5)
    monkeypatch.setattr(json_array, "_LEAST_READ", 8)


def read(path: Path, **options: Any) -> tuple[list[Row], list[int]]:
    with open_table(path, **options) as stream:
        found = list(stream)
    return [row for batch in found for row in batch.table.to_pylist()], [n for batch in found for n in batch.rows]


@pytest.mark.parametrize("container", CONTAINERS)
def test_rows_of_every_size_around_a_block(tmp_path: Path, small_blocks: None, container: str) -> None:
    path = tmp_path / f"votes.{container}"
    for number, size in enumerate(range(3 * BLOCK)):
        filler = FILLERS[number % len(FILLERS)]
        rows = [{"id": str(n), "t": "y" * (size if n % 2 else 0) + filler * (size % 7 + n)} for n in range(1, 7)]
        path.write_bytes(CONTAINERS[container](rows))
        assert read(path) == (rows, list(range(1, 7))), (size, filler)


@pytest.mark.parametrize("container", ["csv", "jsonl", "json"])
@pytest.mark.parametrize("filler", FILLERS)
def test_every_shift_of_every_character(tmp_path: Path, small_blocks: None, container: str, filler: str) -> None:
    path = tmp_path / f"votes.{container}"
    for shift in range(BLOCK):
        rows = [{"id": "y" * shift, "t": filler * 9}, {"id": "b", "t": filler}, {"id": "c", "t": "z"}]
        path.write_bytes(CONTAINERS[container](rows))
        assert read(path) == (rows, [1, 2, 3]), shift


@pytest.mark.parametrize("container", ["csv", "jsonl", "json", "parquet", "arrow"])
@pytest.mark.parametrize(("count", "size"), [(2500, 1500), (60, 70_000), (3, 1_500_000)])
def test_blocks_of_their_true_size(tmp_path: Path, container: str, count: int, size: int) -> None:
    rows = [{"id": str(n), "t": f"{n} " + "é" * size} for n in range(count)]
    path = tmp_path / f"votes.{container}"
    path.write_bytes(CONTAINERS[container](rows))
    assert read(path) == (rows, list(range(1, count + 1)))


@pytest.mark.parametrize("container", ["csv", "jsonl", "json"])
def test_every_truncation_is_reported(tmp_path: Path, small_blocks: None, container: str) -> None:
    rows = [{"id": str(n), "t": 'a "b", é'} for n in range(1, 5)]
    content = CONTAINERS[container](rows)
    path = tmp_path / f"votes.{container}"
    for end in range(9, len(content) - 1):
        path.write_bytes(content[:end])
        bad: list[BadRow] = []
        try:
            found, numbers = read(path, on_bad_row=bad.append)
        except DataError:
            continue
        assert container != "json"
        assert sorted([*numbers, *(row.row for row in bad)]) == list(range(1, len(numbers) + len(bad) + 1))
        assert found[:-1] == rows[: max(len(found) - 1, 0)]


@pytest.mark.parametrize("container", ["csv", "jsonl", "json"])
def test_the_largest_row_is_exact(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch, container: str
) -> None:
    for module in (record_blocks, json_array):
        monkeypatch.setattr(module, "LARGEST_ROW", 500)
    path = tmp_path / f"votes.{container}"
    for size, fits in [(500, True), (501, False), (5000, False)]:
        overhead = len(json.dumps({"id": "1", "t": ""})) if container != "csv" else len("1,")
        rows = [{"id": "0", "t": "a"}, {"id": "1", "t": "x" * (size - overhead)}, {"id": "2", "t": "b"}]
        path.write_bytes(CONTAINERS[container](rows))
        if fits:
            assert read(path) == (rows, [1, 2, 3])
        else:
            with pytest.raises(DataError, match="more than 0 MB, the most that is read"):
                read(path)
