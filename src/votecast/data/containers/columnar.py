"""Parquet and Arrow files, a few megabytes at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from votecast.data.containers.sources import Source
from votecast.data.containers.stream import BATCH_BYTES, BadRow, RawBatch, Rejects, choose_columns

_MOST_ROWS = 1 << 16
_RELEASE_EVERY = 4


class ColumnarReader:
    """Rows of a Parquet or Arrow file, types as they are, dictionaries and string views unpacked.

    Args:
        source: The bytes.
        rejects: Where rows with broken text go.
        container: parquet or arrow.
        columns: The columns to read; all when None.

    Raises:
        DataError: If two columns have the same name.
    """

    def __init__(self, source: Source, rejects: Rejects, container: str, columns: Sequence[str] | None = None) -> None:
        self._rejects = rejects
        opened = _ParquetParts(source) if container == "parquet" else _ArrowParts(source)
        self._parts = opened
        self._names = choose_columns(source.path, opened.schema.names, columns)
        plain = [pa.field(name, _plain(opened.schema.field(name).type)) for name in self._names]
        self.schema = pa.schema(plain, metadata=opened.schema.metadata)

    def batches(self) -> Iterator[RawBatch]:
        """The rows, some megabytes at a time."""
        row = 1
        for batch in self._parts.batches(self._names):
            step = max(1, int(BATCH_BYTES * batch.num_rows // max(batch.nbytes, 1)))
            for start in range(0, batch.num_rows, step):
                table = pa.Table.from_batches([batch.slice(start, step)])
                yield self._checked(table, row)
                row += table.num_rows

    def _checked(self, table: pa.Table, first: int) -> RawBatch:
        rows = np.arange(first, first + table.num_rows, dtype=np.int64)
        table = table.cast(self.schema)
        try:
            table.validate(full=True)
        except pa.ArrowInvalid:
            table.validate()
            bad = [n for n in range(table.num_rows) if (reason := _fault(table.slice(n, 1))) and self._reject(rows[n], reason)]
            keep = np.setdiff1d(np.arange(table.num_rows), bad)
            table, rows = table.take(pa.array(keep)), rows[keep]
        return RawBatch(table, rows)

    def _reject(self, row: int, fault: tuple[str, str]) -> bool:
        self._rejects(BadRow(int(row), fault[0], "", fault[1]))
        return True


class _ParquetParts:
    def __init__(self, source: Source) -> None:
        self._file = pq.ParquetFile(source.seekable(), pre_buffer=False, buffer_size=1 << 20)
        self.schema = self._file.schema_arrow

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        meta = self._file.metadata
        size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        rows = min(_MOST_ROWS, max(1, int(BATCH_BYTES * meta.num_rows // max(size, 1))))
        for count, batch in enumerate(self._file.iter_batches(batch_size=rows, columns=list(names), use_threads=False)):
            yield batch
            if count % _RELEASE_EVERY == 0:
                pa.default_memory_pool().release_unused()  # the decoder's pages would pile up in the allocator


class _ArrowParts:
    def __init__(self, source: Source) -> None:
        is_file = source.head.startswith(b"ARROW1")
        self._reader = pa.ipc.open_file(source.seekable()) if is_file else pa.ipc.open_stream(source.seekable())
        self._count = self._reader.num_record_batches if is_file else None
        self.schema = self._reader.schema

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        batches = iter(self._reader) if self._count is None else map(self._reader.get_batch, range(self._count))
        for batch in batches:
            yield batch.select(list(names))


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return pa.large_string() if pa.types.is_string_view(kind) else kind


def _fault(row: pa.Table) -> tuple[str, str] | None:
    """Column and reason where one row is not valid."""
    for name in row.column_names:
        try:
            pa.concat_arrays(row.column(name).chunks).validate(full=True)
        except pa.ArrowInvalid as error:
            return name, f"the value is not valid ({str(error).splitlines()[0]}); text must be UTF-8"
    return None
