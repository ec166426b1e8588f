"""Parquet and Arrow files, a few megabytes at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from votecast.data.io.sources import Source
from votecast.data.io.stream import BadRow, RawBatch, Rejects, choose_columns

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
        self._batch_bytes = source.batch_bytes
        self._names = choose_columns(source.path, opened.schema.names, columns)
        plain = [pa.field(name, _plain(opened.schema.field(name).type)) for name in self._names]
        self.schema = pa.schema(plain, metadata=opened.schema.metadata)

    def batches(self) -> Iterator[RawBatch]:
        """The rows, some megabytes at a time."""
        row = 1
        for batch in self._parts.batches(self._names):
            is_text = _check(batch)
            step = max(1, int(self._batch_bytes * batch.num_rows // max(batch.nbytes, 1)))
            for start in range(0, batch.num_rows, step):
                part = batch.slice(start, step)
                rows = np.arange(row, row + part.num_rows, dtype=np.int64)
                row += part.num_rows
                good = np.arange(part.num_rows) if is_text else self._good_rows(part, rows)
                if len(good) < part.num_rows:
                    part, rows = part.take(pa.array(good)), rows[good]
                yield RawBatch(pa.Table.from_batches([part]).cast(self.schema), rows)

    def _good_rows(self, part: pa.RecordBatch, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of the rows whose text is UTF-8; the others are set aside."""
        good = []
        for at, row in enumerate(rows.tolist()):
            name = _broken_column(part.slice(at, 1))
            if name is None:
                good.append(at)
            else:
                self._rejects(
                    BadRow(row, name, "", "the text is not UTF-8, the only encoding allowed; write the file again")
                )
        return np.array(good, dtype=np.int64)


class _ParquetParts:
    def __init__(self, source: Source) -> None:
        self._batch_bytes = source.batch_bytes
        self._file = pq.ParquetFile(source.seekable(), pre_buffer=False, buffer_size=1 << 20)
        self.schema = self._file.schema_arrow

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of these columns, in parts of bounded size."""
        meta = self._file.metadata
        size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        rows = min(_MOST_ROWS, max(1, int(self._batch_bytes * meta.num_rows // max(size, 1))))
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
        """The rows of these columns, in the batches of the file."""
        batches = iter(self._reader) if self._count is None else map(self._reader.get_batch, range(self._count))
        for batch in batches:
            yield batch.select(list(names))


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return pa.large_string() if pa.types.is_string_view(kind) else kind


def _check(batch: pa.RecordBatch) -> bool:
    """Whether all text is UTF-8; nothing else about a batch may be wrong, or reading on could crash.

    Raises:
        ArrowInvalid: If lengths or offsets do not fit together.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise
        for column in batch.columns:
            _as_bytes(column).validate(full=True)
        return False
    return True


def _as_bytes(array: pa.Array) -> pa.Array:
    """The same array, without the promise that its texts are UTF-8."""
    if pa.types.is_string(array.type):
        return array.view(pa.binary())
    if pa.types.is_large_string(array.type):
        return array.view(pa.large_binary())
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        values = _as_bytes(array.values)
        kind = pa.list_(values.type) if pa.types.is_list(array.type) else pa.large_list(values.type)
        return pa.Array.from_buffers(kind, len(array), array.buffers()[:2], offset=array.offset, children=[values])
    return array


def _broken_column(row: pa.RecordBatch) -> str | None:
    """The first column of one row whose text is not UTF-8."""
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            pa.concat_arrays([column]).take(pa.array([0])).validate(full=True)
        except pa.ArrowInvalid:
            return str(name)
    return None
