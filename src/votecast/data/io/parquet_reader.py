"""Read Parquet and Arrow files, a few megabytes at a time.

`open_table` calls `read_parquet`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from votecast.data.io.byte_source import ByteSource
from votecast.data.io.stream import BadRow, RawBatch, Reject

_MOST_ROWS = 1 << 16
_RELEASE_EVERY = 4


def read_parquet(
    source: ByteSource, reject: Reject, container: str
) -> tuple[pa.Schema, Iterator[RawBatch], int | None]:
    """Read a Parquet or Arrow file, types as they are, dictionaries and string views unpacked.

    Returns:
        The schema, the batches, and the number of rows where the file states it; rows with broken text are rejected.
    """
    count: int | None = None
    parts: Iterable[pa.RecordBatch]
    if container == "parquet":
        file = pq.ParquetFile(source.seekable(), pre_buffer=False, buffer_size=1 << 20)
        count, found, parts = file.metadata.num_rows, file.schema_arrow, _parquet_parts(file, source.batch_bytes)
    elif source.head.startswith(b"ARROW1"):
        opened = pa.ipc.open_file(source.seekable())
        found, parts = opened.schema, map(opened.get_batch, range(opened.num_record_batches))
    else:
        stream = pa.ipc.open_stream(source.seekable())
        found, parts = stream.schema, stream
    schema = pa.schema([pa.field(f.name, _unpacked(f.type)) for f in found], metadata=found.metadata)
    return schema, _read_batches(parts, schema, source.batch_bytes, reject), count


def _read_batches(
    parts: Iterable[pa.RecordBatch], schema: pa.Schema, batch_bytes: int, reject: Reject
) -> Iterator[RawBatch]:
    row = 1
    for batch in parts:
        is_text = True
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid as error:
            if "UTF8" not in str(error):
                raise  # offsets do not fit: reading on could crash the process
            is_text = False
            for column in batch.columns:
                _as_bytes(column).validate(full=True)
        # Batches of the file can be of any size: they are sliced to some megabytes.
        step = max(1, int(batch_bytes * batch.num_rows // max(batch.nbytes, 1)))
        for start in range(0, batch.num_rows, step):
            part = batch.slice(start, step)
            rows = np.arange(row, row + part.num_rows, dtype=np.int64)
            row += part.num_rows
            if not is_text:
                broken = [_broken_column(part.slice(at, 1)) for at in range(part.num_rows)]
                for number, name in zip(rows.tolist(), broken, strict=True):
                    if name is not None:
                        reason = "the text is not UTF-8, the only encoding allowed; write the file again"
                        reject(BadRow(number, name, "", reason))
                good = np.flatnonzero([name is None for name in broken])
                part, rows = part.take(pa.array(good)), rows[good]
            yield RawBatch(pa.Table.from_batches([part]).cast(schema), rows)


def _parquet_parts(file: pq.ParquetFile, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    meta = file.metadata
    size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    rows = min(_MOST_ROWS, max(1, int(batch_bytes * meta.num_rows // max(size, 1))))
    for count, batch in enumerate(file.iter_batches(batch_size=rows, use_threads=False)):
        yield batch
        if count % _RELEASE_EVERY == 0:
            pa.default_memory_pool().release_unused()  # the decoder's pages would pile up in the allocator


def _unpacked(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _unpacked(kind.value_type)
    return pa.large_string() if pa.types.is_string_view(kind) else kind


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
            # `take` copies the one cell: validation would see the whole buffer of a slice.
            pa.concat_arrays([column]).take(pa.array([0])).validate(full=True)
        except pa.ArrowInvalid:
            return str(name)
    return None
