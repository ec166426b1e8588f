"""Read CSV and TSV: blocks of whole records, parsed by Arrow; a block with bad rows is parsed again, row by row.

`open_table` calls `read_csv`.
"""

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
from votecast.data.io.stream import LARGE_FILE, BadRow, RawBatch, Reject, encoding_problem
from votecast.errors import DataError

_DELIMITERS = {";": "a semicolon", "\t": "a tab", "|": "a vertical bar", ",": "a comma"}

_Parse = Callable[[memoryview, Callable[[pa_csv.InvalidRow], str] | None], pa.Table]


def read_csv(source: ByteSource, reject: Reject, delimiter: str) -> tuple[pa.Schema, Iterator[RawBatch]]:
    """Read a CSV or TSV file, every cell as text; rows with a wrong number of cells or broken text are rejected.

    Quotes mean something only at the start of a field, a doubled quote stands for one, records end with LF, CRLF or CR,
    and empty lines are skipped (RFC 4180, as Arrow and Python's `csv` read it).

    Raises:
        DataError: If the header cannot be used.
    """
    # Larger blocks parse faster, which is worth memory for large files alone.
    is_large = not source.compression and not source.lean and source.bytes_on_disk >= LARGE_FILE
    blocks = RecordBlocks(source, source.batch_bytes * (2 if is_large else 1), delimiter)
    record = blocks.first_record()
    try:
        header = record.decode("utf-8").strip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{source.path}, header: {encoding_problem(record, error)}") from error
    names = next(csv.reader([header], delimiter=delimiter), [])
    other = next((sign for sign in _DELIMITERS if len(names) == 1 and sign in header), None)
    if other is not None and other != delimiter:
        raise DataError(
            f"{source.path} seems to separate its columns by {_DELIMITERS[other]} ({other!r}), expected is "
            f"{_DELIMITERS[delimiter]}; the header is {header[:80]!r}: "
            "write it with commas as .csv, or with tabs as .tsv"
        )
    types = {name: pa.large_string() for name in names}

    def _parse(block: memoryview, on_invalid: Callable[[pa_csv.InvalidRow], str] | None) -> pa.Table:
        return pa_csv.read_csv(
            pa.BufferReader(pa.py_buffer(block)),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=on_invalid
            ),
            convert_options=pa_csv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )

    return pa.schema([(name, pa.large_string()) for name in names]), _read_batches(blocks, _parse, reject)


def _read_batches(blocks: RecordBlocks, parse: _Parse, reject: Reject) -> Iterator[RawBatch]:
    row = 1
    for block in blocks:
        try:
            table = parse(block, None)
            count = table.num_rows
            rows = np.arange(row, row + count, dtype=np.int64)
        except pa.ArrowInvalid:
            table, rows, count = _parse_carefully(block, row, parse, reject)
        row += count
        if len(rows):
            yield RawBatch(table, rows)
    if blocks.unfinished is not None:
        reason = "a quote is opened and never closed, so the file is truncated or damaged here"
        reject(BadRow(row, None, blocks.unfinished.decode("utf-8", "replace"), reason))


def _parse_carefully(
    block: memoryview, first: int, parse: _Parse, reject: Reject
) -> tuple[pa.Table, NDArray[np.int64], int]:
    """Reject the rows at fault; return the good rows, their numbers, and how many rows the block has in all."""
    bad: list[BadRow] = []

    def _note(invalid: pa_csv.InvalidRow) -> str:
        reason = f"there are {invalid.actual_columns} cells, expected are {invalid.expected_columns} as in the header"
        if '\\"' in invalid.text and '""' not in invalid.text:
            reason += "; its quotes are escaped by backslashes, and CSV doubles them: write it so, or as Parquet"
        bad.append(BadRow(first + invalid.number - 1, None, invalid.text, reason))
        return "skip"

    try:
        str(block, "utf-8")
        is_utf8 = True
    except UnicodeDecodeError:  # each byte becomes one character, so that records can be found
        block, is_utf8 = memoryview(str(block, "latin-1").encode("utf-8")), False
    table = parse(block, _note)
    count = table.num_rows + len(bad)
    # Arrow leaves bad rows out, and reports their numbers in the block, from 1.
    rows = np.setdiff1d(np.arange(first, first + count, dtype=np.int64), [row.row for row in bad])
    keep = np.ones(len(rows), dtype=bool)
    if not is_utf8:
        table, found = _decode_again(table, rows)
        keep = ~np.isin(rows, [row.row for row in found])
        bad = [replace(row, value=row.value.encode("latin-1").decode("utf-8", "replace")) for row in bad] + found
    for row in sorted(bad, key=lambda each: each.row):
        reject(row)
    return table.filter(pa.array(keep)), rows[keep], count


def _decode_again(table: pa.Table, rows: NDArray[np.int64]) -> tuple[pa.Table, list[BadRow]]:
    """Decode cells whose characters are bytes; also return the first cell of each row that is not UTF-8."""
    found: dict[int, BadRow] = {}
    columns = {}
    for name in table.column_names:
        cells = [cell.encode("latin-1") for cell in table.column(name).to_pylist()]
        texts = [cell.decode("utf-8", "replace") for cell in cells]
        columns[name] = pa.array(texts, pa.large_string())
        for row, cell, text in zip(rows.tolist(), cells, texts, strict=True):
            try:
                cell.decode("utf-8")
            except UnicodeDecodeError as error:
                found.setdefault(row, BadRow(row, name, text, encoding_problem(cell, error)))
    return pa.table(columns), list(found.values())
