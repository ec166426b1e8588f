"""Read CSV and TSV: blocks of whole records, parsed by Arrow; a block with bad rows is parsed again, row by row."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from votecast.data.io.byte_source import ByteSource
from votecast.data.io.record_blocks import RecordBlocks
from votecast.data.io.stream import LARGE_FILE, BadRow, RawBatch, Reject, check_names, encoding_problem
from votecast.errors import DataError

_DELIMITERS = {";": "a semicolon", "\t": "a tab", "|": "a vertical bar", ",": "a comma"}


class CsvReader:
    """Rows of a CSV or TSV file, every cell as text.

    Quotes mean something only at the start of a field, a doubled quote stands for one, records end with LF, CRLF or CR,
    and empty lines are skipped (RFC 4180, as Arrow and Python's `csv` read it).

    Args:
        source: The bytes.
        reject: Called with rows with a wrong number of cells or broken text.
        delimiter: What separates two cells.

    Raises:
        DataError: If the header cannot be used.
    """

    count: int | None = None

    def __init__(self, source: ByteSource, reject: Reject, delimiter: str = ",") -> None:
        self._reject = reject
        self._delimiter = delimiter
        # Larger blocks parse faster, which is worth memory for large files alone.
        large = source.size >= LARGE_FILE and not source.lean
        self._blocks = RecordBlocks(source, delimiter, source.batch_bytes * (2 if large else 1))
        self._header = _read_header(self._blocks.first_record(), source.path, delimiter)
        self.schema = pa.schema([(name, pa.large_string()) for name in self._header])

    def batches(self) -> Iterator[RawBatch]:
        """Yield the rows, some megabytes at a time."""
        row = 1
        for block in self._blocks:
            try:
                table = self._parse(block)
                count = table.num_rows
                rows = np.arange(row, row + count, dtype=np.int64)
            except pa.ArrowInvalid:
                table, rows, count = self._parse_carefully(block, row)
            row += count
            if len(rows):
                yield RawBatch(table, rows)
        if self._blocks.unfinished is not None:
            text = self._blocks.unfinished.decode("utf-8", "replace")
            reason = "a quote is opened and never closed, so the file is truncated or damaged here"
            self._reject(BadRow(row, None, text, reason))

    def _parse_carefully(self, block: memoryview, first: int) -> tuple[pa.Table, NDArray[np.int64], int]:
        """Parse a block again as bytes, to find the rows at fault; also return how many rows it has."""
        bad: list[BadRow] = []

        def _note(invalid: pa_csv.InvalidRow) -> str:
            reason = (
                f"there are {invalid.actual_columns} cells, expected are {invalid.expected_columns} as in the header"
            )
            bad.append(BadRow(first + invalid.number - 1, None, invalid.text, reason))
            return "skip"

        try:
            str(block, "utf-8")
            is_utf8 = True
        except UnicodeDecodeError:  # each byte becomes one character, so that records can be found
            block, is_utf8 = memoryview(str(block, "latin-1").encode("utf-8")), False
        table = self._parse(block, _note)
        count = table.num_rows + len(bad)
        # Arrow leaves bad rows out, and reports their numbers in the block, from 1.
        rows = np.setdiff1d(np.arange(first, first + count, dtype=np.int64), [row.row for row in bad])
        keep = np.ones(len(rows), dtype=bool)
        if not is_utf8:
            table, found = _back_to_utf8(table, rows)
            keep = ~np.isin(rows, [row.row for row in found])
            bad = [replace(row, value=row.value.encode("latin-1").decode("utf-8", "replace")) for row in bad] + found
        for row in sorted(bad, key=lambda each: each.row):
            self._reject(row)
        return table.filter(pa.array(keep)), rows[keep], count

    def _parse(self, block: memoryview, on_invalid: Callable[[pa_csv.InvalidRow], str] | None = None) -> pa.Table:
        return pa_csv.read_csv(
            pa.BufferReader(pa.py_buffer(block)),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=self._header),
            parse_options=pa_csv.ParseOptions(
                delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=on_invalid
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.large_string() for name in self._header}, strings_can_be_null=False
            ),
        )


def _read_header(record: bytes, path: str, delimiter: str) -> list[str]:
    try:
        text = record.decode("utf-8").strip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, header: {encoding_problem(record, error)}") from error
    names = next(csv.reader([text], delimiter=delimiter), [])
    other = next((sign for sign in _DELIMITERS if len(names) == 1 and sign in text), None)
    if other is not None and other != delimiter:
        raise DataError(
            f"{path} seems to separate its columns by {_DELIMITERS[other]} ({other!r}), expected is "
            f"{_DELIMITERS[delimiter]}; the header is {text[:80]!r}: "
            "write it with commas as .csv, or with tabs as .tsv"
        )
    check_names(path, names)
    return names


def _back_to_utf8(table: pa.Table, rows: NDArray[np.int64]) -> tuple[pa.Table, list[BadRow]]:
    """Decode cells whose characters are bytes; also return the first cell of each row that is not UTF-8."""
    found: dict[int, BadRow] = {}
    columns = {}
    for name in table.column_names:
        cells = [cell.encode("latin-1") for cell in table.column(name).to_pylist()]
        columns[name] = pa.array([cell.decode("utf-8", "replace") for cell in cells], pa.large_string())
        for row, cell in zip(rows.tolist(), cells, strict=True):
            try:
                cell.decode("utf-8")
            except UnicodeDecodeError as error:
                bad = BadRow(row, name, cell.decode("utf-8", "replace"), encoding_problem(cell, error))
                found.setdefault(row, bad)
    return pa.table(columns), list(found.values())
