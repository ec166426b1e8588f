"""JSON lines: Arrow reads whole blocks; what it refuses, or would not keep exactly, is read line by line."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json

from votecast.data.io.json_array import ArrayLines
from votecast.data.io.json_rows import DEEPEST, MOST_BRACKETS, RowError, decode_line, tables_of
from votecast.data.io.records import Blocks
from votecast.data.io.sources import Source
from votecast.data.io.stream import BadRow, RawBatch, Rejects
from votecast.errors import DataError

_EXACT_IN_FLOAT = 2.0**53


class JsonLinesReader:
    """Objects, one a line, or all in one array; empty lines are passed over.

    Columns may differ from batch to batch: a key that no row of a batch has may be absent from it, and a key that holds
    texts in one and lists in another has the type of each. Integers that no 64-bit integer holds come as text.

    Args:
        source: The bytes.
        rejects: Where lines go that are no JSON objects.
        columns: The keys to read; all when None. Keys that no row has are left out.

    Raises:
        DataError: If no line is a row.
    """

    def __init__(self, source: Source, rejects: Rejects, columns: Sequence[str] | None = None) -> None:
        self._path = source.path
        self._rejects = rejects
        self._columns = columns
        self._blocks = Blocks(ArrayLines(source) if _is_array(source.head) else source, size=source.batch_bytes)
        self._known: pa.Schema | None = None
        self._fault: BadRow | None = None
        self._waiting = self._read()
        self._first = next(self._waiting, None)
        if self._first is None and self._fault is not None:
            raise DataError(f"no line of the file is a row; {self._fault.message(source.path)}")
        self.schema = self._first.table.schema if self._first else pa.schema([])

    def batches(self) -> Iterator[RawBatch]:
        """The rows, some megabytes at a time."""
        if self._first is not None:
            yield self._first
            yield from self._waiting

    def _read(self) -> Iterator[RawBatch]:
        row = 1
        for block in self._blocks:
            text = _without_empty_lines(block)
            count = text.count(b"\n")
            table = self._quick(text, count)
            if table is not None:
                yield self._chosen(RawBatch(table, np.arange(row, row + count, dtype=np.int64)))
            else:
                yield from map(self._chosen, self._exact(text, row))
            row += count

    def _chosen(self, batch: RawBatch) -> RawBatch:
        if self._columns is None:
            return batch
        names = [name for name in self._columns if name in batch.table.column_names]
        return RawBatch(batch.table.select(names), batch.rows, batch.repairs, batch.encoded)

    def _quick(self, text: bytes, count: int) -> pa.Table | None:
        """The block as Arrow reads it; None where a line needs a closer look."""
        if not count or not _is_plain(text):
            return None
        try:
            table = self._arrow(text)
            table.validate(full=True)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
            return None
        is_exact = table.num_rows == count and _keeps_numbers(table) and _nesting(table.schema) <= DEEPEST
        return table if is_exact else None

    def _arrow(self, text: bytes) -> pa.Table:
        """Read with types settled beforehand: inferred ones turn texts into dates and lose a null that opens a list."""
        try:
            table = _read_json(text, self._known)
        except pa.ArrowInvalid:
            table = _read_json(text, None)
        settled = pa.schema([_settled(field) for field in table.schema if not pa.types.is_null(field.type)])
        if self._known is not None and settled.equals(self._known):
            return table
        self._known = settled
        return _read_json(text, settled)

    def _exact(self, text: bytes, first: int) -> Iterator[RawBatch]:
        values, rows, repairs = [], [], dict[str, list[int]]()
        for row, line in enumerate(io.BytesIO(text), start=first):
            try:
                value, repaired = decode_line(line.rstrip(b"\n"))
            except RowError as error:
                bad = BadRow(row, error.column, line.decode("utf-8", "replace").rstrip("\n"), str(error))
                self._fault = self._fault or bad
                self._rejects(bad)
                continue
            values.append(value)
            rows.append(row)
            for kind in repaired:
                repairs.setdefault(kind, []).append(row)
        yield from tables_of(values, np.array(rows, dtype=np.int64), repairs)


def _is_array(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _read_json(text: bytes, schema: pa.Schema | None) -> pa.Table:
    return pa_json.read_json(
        pa.BufferReader(text),
        read_options=pa_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        parse_options=pa_json.ParseOptions(explicit_schema=schema),
        memory_pool=pa.system_memory_pool(),  # gives back what it grew by; the default pool keeps a third on top
    )


def _without_empty_lines(block: memoryview) -> bytes:
    """The lines that hold something, each ended by a line feed."""
    text = bytes(block)
    if not text.endswith(b"\n"):
        text += b"\n"
    codes = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(codes == ord("\n"))
    if (codes[ends - 1] == ord("}")).all() and (codes[np.r_[0, ends[:-1] + 1]] == ord("{")).all():
        return text
    return b"".join(line + b"\n" for line in map(bytes.strip, text.split(b"\n")) if line)


def _is_plain(text: bytes) -> bool:
    """Whether each line runs from brace to brace, without NUL bytes and without nesting that could exhaust a stack."""
    codes = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(codes == ord("\n"))
    starts = np.r_[0, ends[:-1] + 1]
    if b"\0" in text or not ((codes[ends - 1] == ord("}")) & (codes[starts] == ord("{"))).all():
        return False
    brackets = np.flatnonzero((codes == ord("[")) | (codes == ord("{")))
    return bool((np.diff(np.searchsorted(brackets, np.r_[starts, len(codes)])) <= MOST_BRACKETS).all())


def _settled(field: pa.Field) -> pa.Field:
    return field.with_type(_settled_type(field.type))


def _settled_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_settled(kind.value_field))
    if pa.types.is_struct(kind):
        return pa.struct([_settled(kind.field(i)) for i in range(kind.num_fields)])
    return kind


def _nesting(kind: pa.Schema | pa.DataType) -> int:
    """How many brackets lie around the innermost value."""
    if isinstance(kind, pa.Schema) or pa.types.is_struct(kind):
        return 1 + max((_nesting(field.type) for field in kind), default=0)
    return 1 + _nesting(kind.value_type) if pa.types.is_list(kind) else 0


def _keeps_numbers(table: pa.Table) -> bool:
    """Whether no number is so large that a float would have rounded an integer."""
    floats = [column for column in table.columns if pa.types.is_float64(column.type)]
    return not any((np.abs(column.drop_null().to_numpy()) >= _EXACT_IN_FLOAT).any() for column in floats)
