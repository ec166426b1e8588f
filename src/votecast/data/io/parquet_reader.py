"""Read Parquet and Arrow files, a few megabytes at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from votecast.data.io.byte_source import ByteSource
from votecast.data.io.stream import BadRow, RawBatch, Reject, check_names

_MOST_ROWS = 1 << 16
_RELEASE_EVERY = 4


class ParquetReader:
    """Rows of a Parquet or Arrow file, types as they are, dictionaries and string views unpacked.

    Args:
        source: The bytes.
        reject: Called with rows with broken text.
        container: parquet or arrow.

    Raises:
        DataError: If two columns have the same name.
    """

    def __init__(self, source: ByteSource, reject: Reject, container: str) -> None:
        self._reject = reject
        self._batch_bytes = source.batch_bytes
        self.count: int | None = None
        if container == "parquet":
            file = pq.ParquetFile(source.seekable(), pre_buffer=False, buffer_size=1 << 20)
            self.count, schema = file.metadata.num_rows, file.schema_arrow
            self._parts = self._parquet_parts(file)
        elif source.head.startswith(b"ARROW1"):
            opened = pa.ipc.open_file(source.seekable())
            schema, self._parts = opened.schema, map(opened.get_batch, range(opened.num_record_batches))
        else:
            opened = pa.ipc.open_stream(source.seekable())
            schema, self._parts = opened.schema, iter(opened)
        check_names(source.path, schema.names)
        self.schema = pa.schema([pa.field(f.name, _plain(f.type)) for f in schema], metadata=schema.metadata)

    def batches(self) -> Iterator[RawBatch]:
        """Yield the rows, some megabytes at a time."""
        row = 1
        for batch in self._parts:
            is_text = _has_valid_text(batch)
            # Batches of the file can be of any size: they are sliced to some megabytes.
            step = max(1, int(self._batch_bytes * batch.num_rows // max(batch.nbytes, 1)))
            for start in range(0, batch.num_rows, step):
                part = batch.slice(start, step)
                rows = np.arange(row, row + part.num_rows, dtype=np.int64)
                row += part.num_rows
                if not is_text:
                    broken = [_broken_column(part.slice(at, 1)) for at in range(part.num_rows)]
                    for number, name in zip(rows.tolist(), broken, strict=True):
                        if name is not None:
                            reason = "the text is not UTF-8, the only encoding allowed; write the file again"
                            self._reject(BadRow(number, name, "", reason))
                    good = np.flatnonzero([name is None for name in broken])
                    part, rows = part.take(pa.array(good)), rows[good]
                yield RawBatch(pa.Table.from_batches([part]).cast(self.schema), rows)

    def _parquet_parts(self, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
        meta = file.metadata
        size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        rows = min(_MOST_ROWS, max(1, int(self._batch_bytes * meta.num_rows // max(size, 1))))
        for count, batch in enumerate(file.iter_batches(batch_size=rows, use_threads=False)):
            yield batch
            if count % _RELEASE_EVERY == 0:
                pa.default_memory_pool().release_unused()  # the decoder's pages would pile up in the allocator


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return pa.large_string() if pa.types.is_string_view(kind) else kind


def _has_valid_text(batch: pa.RecordBatch) -> bool:
    """Return whether all text is UTF-8.

    Raises:
        ArrowInvalid: If lengths or offsets do not fit together: reading on could crash the process.
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
    """Return the same array without the promise that its texts are UTF-8."""
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
    """Return the first column of one row whose text is not UTF-8."""
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            pa.concat_arrays([column]).take(pa.array([0])).validate(full=True)
        except pa.ArrowInvalid:
            return str(name)
    return None
