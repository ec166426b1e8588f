"""CSV and TSV: blocks of whole records, cut by quotes, parsed by Arrow."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from votecast.data.io.records import Blocks
from votecast.data.io.sources import Source
from votecast.data.io.stream import LARGE_FILE, BadRow, RawBatch, Rejects, choose_columns
from votecast.data.io.text import encoding_problem
from votecast.errors import DataError

_OTHER_DELIMITERS = {";": "a semicolon", "\t": "a tab", "|": "a vertical bar", ",": "a comma"}


class DelimitedReader:
    """Rows of a CSV or TSV file, every cell as text.

    Quotes mean something only at the start of a field, a doubled quote stands for one, records end with LF, CRLF or CR,
    and empty lines are passed over (RFC 4180, as Arrow and Python's `csv` read it).

    Args:
        source: The bytes.
        rejects: Where rows with a wrong number of cells or broken text go.
        delimiter: What stands between two cells.
        columns: The columns to read; all when None.

    Raises:
        DataError: If the header cannot be used.
    """

    def __init__(
        self, source: Source, rejects: Rejects, delimiter: str = ",", columns: Sequence[str] | None = None
    ) -> None:
        self._source = source
        self._rejects = rejects
        self._delimiter = delimiter
        self._blocks = Blocks(source, delimiter, _block_bytes(source))
        self._header = self._read_header()
        self.schema = pa.schema(
            [(name, pa.large_string()) for name in choose_columns(source.path, self._header, columns)]
        )

    def batches(self) -> Iterator[RawBatch]:
        """The rows, some megabytes at a time."""
        row = 1
        for block in self._blocks:
            table, rows, count = self._parse(block, row)
            row += count
            if len(rows):
                yield RawBatch(table, rows)
        if self._blocks.unfinished is not None:
            text = self._blocks.unfinished.decode("utf-8", "replace")
            self._rejects(
                BadRow(row, None, text, "a quote is opened and never closed, so the file is cut short or damaged here")
            )

    def _read_header(self) -> list[str]:
        path = self._source.path
        record = self._blocks.first_record()
        try:
            text = record.decode("utf-8").strip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, header: {encoding_problem(record, error)}") from error
        names = next(csv.reader([text], delimiter=self._delimiter), [])
        other = next((sign for sign in _OTHER_DELIMITERS if len(names) == 1 and sign in text), None)
        if other is not None and other != self._delimiter:
            raise DataError(
                f"{path} seems to separate its columns by {_OTHER_DELIMITERS[other]} ({other!r}), expected is "
                f"{_OTHER_DELIMITERS[self._delimiter]}; the header is {text[:80]!r}: "
                "write it with commas as .csv, or with tabs as .tsv"
            )
        return names

    def _parse(self, block: memoryview, first: int) -> tuple[pa.Table, NDArray[np.int64], int]:
        try:
            table = self._arrow(block)
        except pa.ArrowInvalid:
            return self._parse_carefully(block, first)
        return table, np.arange(first, first + table.num_rows, dtype=np.int64), table.num_rows

    def _parse_carefully(self, block: memoryview, first: int) -> tuple[pa.Table, NDArray[np.int64], int]:
        """The same block again, as bytes and row by row, to find the rows at fault."""
        bad: list[BadRow] = []

        def _note(invalid: pa_csv.InvalidRow) -> str:
            reason = (
                f"there are {invalid.actual_columns} cells, expected are {invalid.expected_columns} as in the header"
            )
            bad.append(BadRow(first + invalid.number - 1, None, invalid.text, reason))
            return "skip"

        text, is_utf8 = _decodable(block)
        table = self._arrow(text, _note)
        count = table.num_rows + len(bad)
        rows = np.setdiff1d(np.arange(first, first + count, dtype=np.int64), [row.row for row in bad])
        keep = np.ones(len(rows), dtype=bool)
        if not is_utf8:
            table, found = _back_to_utf8(table, rows)
            keep = ~np.isin(rows, [row.row for row in found])
            bad = [replace(row, value=_bytes_of(row.value).decode("utf-8", "replace")) for row in bad] + found
        for row in sorted(bad, key=lambda each: each.row):
            self._rejects(row)
        return table.filter(pa.array(keep)), rows[keep], count

    def _arrow(self, block: memoryview, on_invalid: Callable[[pa_csv.InvalidRow], str] | None = None) -> pa.Table:
        return pa_csv.read_csv(
            pa.BufferReader(pa.py_buffer(block)),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=self._header),
            parse_options=pa_csv.ParseOptions(
                delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=on_invalid
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.large_string() for name in self._header},
                strings_can_be_null=False,
                include_columns=self.schema.names,
            ),
        )


def _decodable(block: memoryview) -> tuple[memoryview, bool]:
    """The block, or where it is not UTF-8 each of its bytes as one character, so that records can be told apart."""
    try:
        str(block, "utf-8")
    except UnicodeDecodeError:
        return memoryview(str(block, "latin-1").encode("utf-8")), False
    return block, True


def _bytes_of(text: str) -> bytes:
    return text.encode("latin-1")


def _back_to_utf8(table: pa.Table, rows: NDArray[np.int64]) -> tuple[pa.Table, list[BadRow]]:
    """Cells of `_decodable` as the text they are, and the first cell of each row that is none."""
    found: dict[int, BadRow] = {}
    columns = {}
    for name in table.column_names:
        cells = [_bytes_of(cell) for cell in table.column(name).to_pylist()]
        columns[name] = pa.array([cell.decode("utf-8", "replace") for cell in cells], pa.large_string())
        for row, cell in zip(rows.tolist(), cells, strict=True):
            try:
                cell.decode("utf-8")
            except UnicodeDecodeError as error:
                bad = BadRow(row, name, cell.decode("utf-8", "replace"), encoding_problem(cell, error))
                found.setdefault(row, bad)
    return pa.table(columns), list(found.values())


def _block_bytes(source: Source) -> int:
    return source.batch_bytes * (2 if source.size >= LARGE_FILE and not source.lean else 1)
