"""Test small files that stand for much: refused by their decoded size, before it is in memory."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.hostile import zstd_stream

from votecast.data import read_votes
from votecast.data.io import BadRow, open_table
from votecast.data.io.parquet_pages import read_chunks, read_pages
from votecast.errors import DataError

TEXTS = ("prompt", "response_a", "response_b")


def parquet(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", **options)
    return out.getvalue()


def arrow(table: pa.Table, compression: str | None = "zstd") -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return out.getvalue()


def three(column: Any) -> pa.Table:
    return pa.table(dict.fromkeys(TEXTS, column))


def repeated(rows: int, size: int) -> pa.Table:
    return three(pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array(["x" * size])))


def run(rows: int, size: int) -> pa.Table:
    return three(pa.RunEndEncodedArray.from_arrays(pa.array([rows], pa.int32()), pa.array(["x" * size])))


def views(rows: int, size: int) -> pa.Table:
    one = pa.array(["x" * size], pa.string_view())
    buffers = one.buffers()
    view = buffers[1].to_pybytes()[:16] * rows
    return three(pa.Array.from_buffers(pa.string_view(), rows, [None, pa.py_buffer(view), *buffers[2:]]))


def turns(count: int, size: int) -> pa.Table:
    cells = pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array(["x" * size]))
    return three(pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), cells))


def prefixes(rows: int, size: int) -> bytes:
    return parquet(
        three(["x" * size] * rows), use_dictionary=False, column_encoding=dict.fromkeys(TEXTS, "DELTA_BYTE_ARRAY")
    )


BOMBS: dict[str, Callable[[], bytes]] = {
    "dictionary.parquet": lambda: parquet(repeated(65_536, 20_000), store_schema=False),
    "kept_dictionary.parquet": lambda: parquet(repeated(65_536, 20_000)),
    "dictionary.arrow": lambda: arrow(repeated(65_536, 20_000)),
    "runs.arrow": lambda: arrow(run(20_000_000, 100), None),
    "views.arrow": lambda: arrow(views(65_536, 20_000), "lz4"),
    "cells.arrow": lambda: arrow(three(["x" * (12 << 20)])),
    "cells.parquet": lambda: parquet(three(["x" * (12 << 20)])),
    "turns.parquet": lambda: parquet(turns(20_000, 30_000), store_schema=False),
    "prefixes.parquet": lambda: prefixes(1500, 10_000),
    "rows.csv.gz": lambda: gzip.compress(b"prompt,response_a,response_b\n" + b"hello,yes,no\n" * 2_800_000),
    "rows.jsonl.zst": lambda: zstd_stream(b'{"prompt":"hello","response_a":"y"}\n' * 1_000_000),
    "zeros.parquet.gz": lambda: gzip.compress(b"PAR1" + bytes(33 << 20)),
}


def drain(path: Path) -> list[BadRow]:
    bad: list[BadRow] = []
    with open_table(path, on_bad_row=bad.append) as stream:
        for batch in stream:
            assert batch.table.nbytes < 48 << 20
    return bad


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_of_gigabytes_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BOMBS[name]())
    assert path.stat().st_size < 2 << 20
    if name == "turns.parquet":
        assert ["holds 1,800,000,000 bytes, at most 16,777,216" in row.reason for row in drain(path)] == [True]
    else:
        with pytest.raises(DataError, match="unpack|more than is read"):
            drain(path)


def test_a_bomb_is_refused_before_work_on_its_rows_begins(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(BOMBS["rows.csv.gz"]())
    rows = 0
    with open_table(path) as stream, pytest.raises(DataError, match="unpacks to"):
        for batch in stream:
            rows = int(batch.rows[-1])
    assert rows == 0


CHILD = """
import sys
from pathlib import Path
from votecast.data.io import open_table
from votecast.errors import DataError

rows = 0
try:
    with open_table(sys.argv[1], on_bad_row=lambda bad: None) as stream:
        for batch in stream:
            rows += batch.table.num_rows
except DataError as error:
    print("refused")
status = Path("/proc/self/status").read_text()
print(int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", ["dictionary.parquet", "dictionary.arrow", "runs.arrow", "turns.parquet"])
def test_it_takes_little_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BOMBS[name]())
    ran = subprocess.run([sys.executable, "-c", CHILD, path], capture_output=True, text=True, check=True)
    assert float(ran.stdout.split()[-1]) < 400


@pytest.mark.parametrize("make", [parquet, arrow])
@pytest.mark.parametrize("split", [1, 4])
def test_the_largest_row_of_a_table_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[pa.Table], bytes], split: int
) -> None:
    for module in ("parquet_reader", "record_blocks"):
        monkeypatch.setattr(f"votecast.data.io.{module}.LARGEST_ROW", 400)
    path = tmp_path / "votes"
    texts = [["x" * (size // split)] * split for size in (400, 404, 8)]
    path.write_bytes(make(pa.table({"id": ["", "", "z"], "t": texts})))
    bad: list[BadRow] = []
    with open_table(path, on_bad_row=bad.append) as stream:
        rows = [row for batch in stream for row in batch.rows]
    assert rows == [1, 3]
    assert [(row.row, row.reason.split(",")[0]) for row in bad] == [(2, "the row holds 404 bytes")]


@pytest.mark.parametrize("name", ["votes.csv", "votes.jsonl", "votes.parquet", "votes.arrow"])
def test_more_columns_than_are_read(tmp_path: Path, name: str) -> None:
    names = [f"c{number}" for number in range(1001)]
    table = pa.table({name: ["v"] for name in names})
    line = ("{" + ",".join(f'"{name}":"v"' for name in names) + "}\n").encode()
    content = {
        "votes.csv": (",".join(names) + "\n" + ",".join("v" for _ in names) + "\n").encode(),
        "votes.jsonl": line,
        "votes.parquet": parquet(table),
        "votes.arrow": arrow(table),
    }
    path = tmp_path / name
    path.write_bytes(content[name])
    with pytest.raises(DataError, match="more than 1,000 columns"):
        drain(path)


def test_texts_that_repeat_are_read(tmp_path: Path) -> None:
    prompts = [f"prompt {number % 80} " + "y" * 900 for number in range(5000)]
    answers = [[f"answer {number} " + "z" * (number % 700)] for number in range(5000)]
    table = pa.table(
        {"prompt": prompts, "answer": answers, "talk": [[{"role": "user", "content": t}] for t in prompts]}
    )
    for name, content in {"votes.parquet": parquet(table), "votes.arrow": arrow(table)}.items():
        path = tmp_path / name
        path.write_bytes(content)
        with open_table(path) as stream:
            assert pa.concat_tables([batch.table for batch in stream]).to_pylist() == table.to_pylist()


def test_more_turns_than_a_conversation_has_are_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    rows = [{"id": str(n), "prompt": ["x"] * n, "response_a": ["y"], "response_b": ["z"]} for n in (1, 10_000, 10_001)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    votes = read_votes(path, bad_rows="quarantine", quarantine=tmp_path / "side.jsonl")
    assert votes.ids == ["1", "10000"]
    assert "there are 10,001 turns, at most 10,000" in (tmp_path / "side.jsonl").read_text()


def test_a_header_beyond_all_measure_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_bytes(b"," * (2 << 20))
    with pytest.raises(DataError, match="a header of more than 1 MB"):
        drain(path)


def test_a_footer_on_which_pyarrow_aborts_is_an_error(tmp_path: Path) -> None:
    content = parquet(three(["x"]))
    optional = b"\x25\x02\x18\x06prompt"  # of the schema; the statistics of the column are those of an optional one
    assert content.count(optional) == 1
    path = tmp_path / "votes.parquet"
    path.write_bytes(content.replace(optional, b"\x25\x00\x18\x06prompt"))
    ran = subprocess.run([sys.executable, "-c", CHILD, path], capture_output=True, text=True, check=False)
    assert ran.stdout.split()[0] == "refused"


@pytest.mark.parametrize(
    "options",
    [{}, {"data_page_version": "2.0"}, {"use_dictionary": False}, {"write_statistics": False}, {"data_page_size": 64}],
    ids=str,
)
def test_pages_are_those_of_the_footer(options: dict[str, Any]) -> None:
    texts = [None, *(f"text {number}" for number in range(400))]
    table = pa.table({"t": texts, "l": [[text, "x"] for text in texts], "n": list(range(401))})
    content = parquet(table, row_group_size=150, **options)
    meta = pq.ParquetFile(io.BytesIO(content)).metadata
    file = pa.BufferReader(content)
    for group, chunks in enumerate(read_chunks(file)):
        for number, chunk in enumerate(chunks):
            stated = meta.row_group(group).column(number)
            pages = list(read_pages(file, chunk))
            assert sum(page.values for page in pages if not page.is_dictionary) == stated.num_values
            assert 0 <= stated.total_uncompressed_size - sum(page.size for page in pages) < 100 * len(pages)
