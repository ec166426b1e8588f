"""Read JSON lines: Arrow parses whole blocks; what it refuses, or would not keep exactly, is read line by line."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json

from votecast.data.io.byte_source import ByteSource
from votecast.data.io.json_array import ArrayLines
from votecast.data.io.json_rows import DEEPEST, MOST_BRACKETS, RowError, decode_line, tables_of
from votecast.data.io.record_blocks import RecordBlocks
from votecast.data.io.stream import BadRow, RawBatch, Reject
from votecast.errors import DataError

_EXACT_IN_FLOAT = 2.0**53


class JsonLinesReader:
    """Objects, one a line, or all in one array; empty lines are skipped.

    Columns may differ from batch to batch: a key that no row of a batch has may be missing in it, and a key that holds
    texts in one and lists in another has the type of each. Integers that no 64-bit integer holds come as text.

    Args:
        source: The bytes.
        reject: Called with lines that are not JSON objects.

    Raises:
        DataError: If no line is a row.
    """

    count: int | None = None

    def __init__(self, source: ByteSource, reject: Reject) -> None:
        self._reject = reject
        is_array = source.head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
        self._blocks = RecordBlocks(ArrayLines(source) if is_array else source, size=source.batch_bytes)
        self._known: pa.Schema | None = None
        self._fault: BadRow | None = None
        self._waiting = self._read()
        self._first = next(self._waiting, None)
        if self._first is None and self._fault is not None:
            raise DataError(f"no line of the file is a row; {self._fault.message(source.path)}")
        self.schema = self._first.table.schema if self._first else pa.schema([])

    def batches(self) -> Iterator[RawBatch]:
        """Yield the rows, some megabytes at a time."""
        if self._first is not None:
            yield self._first
            yield from self._waiting

    def _read(self) -> Iterator[RawBatch]:
        row = 1
        for block in self._blocks:
            text = _without_empty_lines(block)
            count = text.count(b"\n")
            table = self._parse(text, count)
            if table is not None:
                yield RawBatch(table, np.arange(row, row + count, dtype=np.int64))
            else:
                yield from self._parse_lines(text, row)
            row += count

    def _parse(self, text: bytes, count: int) -> pa.Table | None:
        """Parse a block with Arrow; None where a line needs a closer look."""
        if not count or not _is_plain(text):
            return None
        try:
            try:
                table = _read_json(text, self._known)
            except pa.ArrowInvalid:
                table = _read_json(text, None)
            # Inferred types turn texts into dates and lose a null that opens a list: settle them, then read again.
            settled = pa.schema([_settled(field) for field in table.schema if not pa.types.is_null(field.type)])
            if self._known is None or not settled.equals(self._known):
                self._known = settled
                table = _read_json(text, settled)
            table.validate(full=True)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
            return None
        floats = [column for column in table.columns if pa.types.is_float64(column.type)]
        rounded = any((np.abs(column.drop_null().to_numpy()) >= _EXACT_IN_FLOAT).any() for column in floats)
        return None if rounded or table.num_rows != count or _nesting(table.schema) > DEEPEST else table

    def _parse_lines(self, text: bytes, first: int) -> Iterator[RawBatch]:
        values, rows, repairs = [], [], dict[str, list[int]]()
        for row, line in enumerate(io.BytesIO(text), start=first):
            try:
                value, repaired = decode_line(line.rstrip(b"\n"))
            except RowError as error:
                bad = BadRow(row, error.column, line.decode("utf-8", "replace").rstrip("\n"), str(error))
                self._fault = self._fault or bad
                self._reject(bad)
                continue
            values.append(value)
            rows.append(row)
            for kind in repaired:
                repairs.setdefault(kind, []).append(row)
        yield from tables_of(values, np.array(rows, dtype=np.int64), repairs)


def _read_json(text: bytes, schema: pa.Schema | None) -> pa.Table:
    return pa_json.read_json(
        pa.BufferReader(text),
        read_options=pa_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        parse_options=pa_json.ParseOptions(explicit_schema=schema),
        memory_pool=pa.system_memory_pool(),  # gives back what it grew by; the default pool keeps a third on top
    )


def _without_empty_lines(block: memoryview) -> bytes:
    """Return the lines that hold something, each ended by a line feed."""
    text = bytes(block)
    if not text.endswith(b"\n"):
        text += b"\n"
    codes = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(codes == ord("\n"))
    if (codes[ends - 1] == ord("}")).all() and (codes[np.r_[0, ends[:-1] + 1]] == ord("{")).all():
        return text
    return b"".join(line + b"\n" for line in map(bytes.strip, text.split(b"\n")) if line)


def _is_plain(text: bytes) -> bool:
    """Return whether each line runs from brace to brace, without NUL bytes or nesting that could exhaust a stack."""
    codes = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(codes == ord("\n"))
    starts = np.r_[0, ends[:-1] + 1]
    if b"\0" in text or not ((codes[ends - 1] == ord("}")) & (codes[starts] == ord("{"))).all():
        return False
    brackets = np.flatnonzero((codes == ord("[")) | (codes == ord("{")))
    return bool((np.diff(np.searchsorted(brackets, np.r_[starts, len(codes)])) <= MOST_BRACKETS).all())


def _settled(field: pa.Field) -> pa.Field:
    """Replace inferred dates by texts, at any depth."""
    kind = field.type
    if pa.types.is_temporal(kind):
        return field.with_type(pa.string())
    if pa.types.is_list(kind):
        return field.with_type(pa.list_(_settled(kind.value_field)))
    if pa.types.is_struct(kind):
        return field.with_type(pa.struct([_settled(kind.field(i)) for i in range(kind.num_fields)]))
    return field


def _nesting(kind: pa.Schema | pa.DataType) -> int:
    """Count the brackets around the innermost value."""
    if isinstance(kind, pa.Schema) or pa.types.is_struct(kind):
        return 1 + max((_nesting(field.type) for field in kind), default=0)
    return 1 + _nesting(kind.value_type) if pa.types.is_list(kind) else 0
