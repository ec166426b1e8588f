"""Test CSV and TSV: exact cells for every block size."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from votecast.data.io import BadRow, open_table, record_blocks
from votecast.errors import DataError

CELLS = st.text(st.sampled_from('ab",\n\r é😀\0;\\'), max_size=12)
TABLES = st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=8))


def read(path: Path, **options: Any) -> tuple[list[list[str]], list[int]]:
    with open_table(path, **options) as stream:
        batches = list(stream)
    rows = [list(row.values()) for batch in batches for row in batch.table.to_pylist()]
    return rows, [int(number) for batch in batches for number in batch.rows]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("votecast.data.io.byte_source.BATCH_BYTES", 16)
    monkeypatch.setattr(record_blocks, "LEAST_READ", 8)
    monkeypatch.setattr(record_blocks, "_WINDOW", 5)
    monkeypatch.setattr("votecast.data.io.byte_source.HEAD_BYTES", 8)


def test_cells_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text('id,n,empty,word\n007,1.50,,null\n8,1e5,"",NaN\n')
    with open_table(path) as stream:
        assert stream.names == ["id", "n", "empty", "word"]
        assert (stream.container, stream.compression) == ("csv", None)
        (batch,) = stream
    assert {field.type for field in batch.table.schema} == {pa.large_string()}
    assert batch.table.to_pylist() == [
        {"id": "007", "n": "1.50", "empty": "", "word": "null"},
        {"id": "8", "n": "1e5", "empty": "", "word": "NaN"},
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_every_line_end(tmp_path: Path, end: str, last: bool) -> None:
    path = tmp_path / "votes.csv"
    path.write_bytes(("id,text" + end + '1,"a' + end + 'b"' + end + "2,c" + (end if last else "")).encode())
    assert read(path) == ([["1", f"a{end}b"], ["2", "c"]], [1, 2])


def test_a_mark_before_utf8_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_bytes(b'\xef\xbb\xbf"id",x\n1,2\n')
    with open_table(path) as stream:
        assert stream.names == ["id", "x"]


def test_tabs(tmp_path: Path) -> None:
    path = tmp_path / "votes.tsv"
    path.write_text('id\ttext\n1\t"a\tb, c"\n')
    assert read(path) == ([["1", "a\tb, c"]], [1])


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("id,text")
    assert read(path) == ([], [])


def test_a_cell_of_ten_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    large = 'x",\n' * 2_500_000
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["id", "text"], ["1", "a"], ["2", large], ["3", "b"]])
    rows, numbers = read(path)
    assert numbers == [1, 2, 3]
    assert rows[1][1] == large


def test_a_row_beyond_all_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_blocks, "LARGEST_ROW", 1 << 20)
    path = tmp_path / "votes.csv"
    path.write_text('id,text\n1,"' + "x" * (6 << 20))
    with pytest.raises(DataError, match="a row of more than 1 MB"):
        read(path)


def test_bad_rows_are_set_aside_and_the_numbers_stay_right(tmp_path: Path, small_blocks: None) -> None:
    path = tmp_path / "votes.csv"
    path.write_bytes(b"id,text\n1,a\n2\n\n3,\xff\n4,b,c\n5,d\n")
    bad: list[BadRow] = []
    assert read(path, on_bad_row=bad.append) == ([["1", "a"], ["5", "d"]], [1, 5])
    assert [(row.row, row.column) for row in bad] == [(2, None), (3, "text"), (4, None)]
    assert bad[0].value == "2"
    with pytest.raises(DataError, match="row 2: there are 1 cells, expected are 2"):
        read(path)


def test_a_file_cut_in_a_quote_loses_only_its_last_row(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text('id,text\n1,a\n2,"half of a cel')
    bad: list[BadRow] = []
    assert read(path, on_bad_row=bad.append) == ([["1", "a"]], [1])
    assert [(row.row, row.value) for row in bad] == [(2, '2,"half of a cel')]


@given(TABLES)
@example([["\r", '"'], ['""', "\n\r\n"]])
def test_csv_written_by_python_is_read(tmp_path_factory: pytest.TempPathFactory, table: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "votes.csv"
    header = [f"c{i}" for i in range(len(table[0]))]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, *table])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("votecast.data.io.byte_source.BATCH_BYTES", 16)
        patch.setattr(record_blocks, "LEAST_READ", 8)
        patch.setattr(record_blocks, "_WINDOW", 5)
        rows, numbers = read(path)
    assert rows == table
    assert numbers == list(range(1, len(table) + 1))


@given(st.text(st.sampled_from('ab",\n'), max_size=60))
@example('a"b,c\nd,"e\n"f",g"h\n')
@example('"a""",b\n')
def test_quotation_marks_in_bare_cells_are_text_as_python_reads_them(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "votes.csv"
    path.write_text("x,y\n" + text + "\n", newline="")
    bad: list[BadRow] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("votecast.data.io.byte_source.BATCH_BYTES", 16)
        patch.setattr(record_blocks, "LEAST_READ", 8)
        patch.setattr(record_blocks, "_WINDOW", 5)
        rows, numbers = read(path, on_bad_row=bad.append)
    expected = [row for row in csv.reader(io.StringIO(text + "\n", newline="")) if row]
    is_open = bool(bad) and "never closed" in bad[-1].reason
    expected = expected[:-1] if is_open else expected
    assert rows == [row for row in expected if len(row) == 2]
    assert len(rows) + len(bad) - is_open == len(expected)
    assert numbers == [number for number, row in enumerate(expected, 1) if len(row) == 2]
