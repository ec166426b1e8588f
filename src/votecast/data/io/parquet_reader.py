"""Read Parquet, a few megabytes of decoded rows at a time.

`open_table` calls `read_parquet`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from votecast.data.io.byte_source import ByteSource
from votecast.data.io.decoded_rows import decode_parts, decoded_type
from votecast.data.io.parquet_pages import Chunk, Page, read_chunks, read_pages
from votecast.data.io.stream import LARGEST_ROW, BadRow, RawBatch, Reject
from votecast.errors import DataError

_MOST_ROWS = 1 << 16
_MOST_LEAVES = 10_000
"""Columns with those inside lists and objects: each takes time in every batch."""
_RELEASE_EVERY = 4
_MOST_AT_ONCE = 256 << 20
"""Bytes of the pages that are unpacked at the same time, one a column."""
_MOST_DECODED = 64 << 20
"""Bytes that a batch may have if all its values are as long as the longest one of their dictionary."""
_SMALL_DICTIONARY = 1 << 12
# Levels and value of an item of a list take 12 bytes; honest columns hold at least a twelfth of a byte for each.
_ITEM_BYTES, _MOST_ITEMS, _MOST_PACKED = 12, 128 << 20, 8


def read_parquet(source: ByteSource, reject: Reject) -> tuple[pa.Schema, Iterator[RawBatch], int]:
    """Read a Parquet file, types as they are, dictionaries and views decoded; rows with broken text are rejected.

    Returns:
        The schema, the batches, and the number of rows.
    """
    handle = source.seekable()
    file = pq.ParquetFile(handle, pre_buffer=False, buffer_size=1 << 20)
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    source.check_unpacked(sum(group.total_byte_size for group in groups))
    parts = _ParquetParts(source, handle, file)
    return decoded_schema(file.schema_arrow), decoded_batches(parts, source, reject), file.metadata.num_rows


def decoded_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema of the rows once they are decoded."""
    return pa.schema([field.with_type(decoded_type(field.type)) for field in schema], metadata=schema.metadata)


def decoded_batches(parts: Iterable[pa.RecordBatch], source: ByteSource, reject: Reject) -> Iterator[RawBatch]:
    """Yield batches of some megabytes of decoded rows; reject rows with broken text, and those that are too large."""
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
        for part in decode_parts(batch, source.batch_bytes, LARGEST_ROW):
            if isinstance(part, int):
                reason = f"the row holds {part:,} bytes, at most {LARGEST_ROW:,} ({LARGEST_ROW >> 20} MB) are read"
                reject(BadRow(row, None, "", f"{reason}; leave it out or shorten it"))
                row += 1
                continue
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
            yield RawBatch(pa.Table.from_batches([part]), rows)


class _ParquetParts:
    """The rows of a Parquet file, row group by row group, in batches whose decoded size is bounded before."""

    def __init__(self, source: ByteSource, handle: pa.NativeFile, file: pq.ParquetFile) -> None:
        self._source = source
        self._handle = handle
        self._file = file

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        meta, count = self._file.metadata, 0
        if meta.num_columns > _MOST_LEAVES:
            raise self._too_much(f"{meta.num_columns:,} columns, with those inside lists and objects")
        chunks = read_chunks(self._handle)
        if [len(columns) for columns in chunks] != [meta.num_columns] * meta.num_row_groups:
            raise ValueError("the footer names other columns in some row groups")
        for group, columns in enumerate(chunks):
            rows, encoded = self._plan(group, columns)
            file = self._read_encoded(encoded) if encoded else self._file
            for batch in file.iter_batches(batch_size=rows, row_groups=[group], use_threads=False):
                yield batch
                count += 1
                if count % _RELEASE_EVERY == 0:
                    pa.default_memory_pool().release_unused()  # the decoder's pages would pile up in the allocator

    def _plan(self, group: int, chunks: list[Chunk]) -> tuple[int, list[str]]:
        """Return how many rows to decode at a time, and the columns whose dictionaries must be kept."""
        count = max(self._file.metadata.row_group(group).num_rows, 1)
        pages = [list(read_pages(self._handle, chunk)) for chunk in chunks]
        if (at_once := sum(max((page.size for page in column), default=0) for column in pages)) > _MOST_AT_ONCE:
            raise self._too_much(f"pages that unpack to {at_once >> 20} MB at once")
        usual = longest = 0.0  # bytes of a row: on average in the fullest pages, and at most
        lists = 0  # bytes of all lists of the row group, at most
        encoded: list[str] = []
        for number, column in enumerate(pages):
            schema, values = self._file.metadata.schema.column(number), chunks[number].values
            size = sum(page.size for page in column)
            fullest = max(
                (page.size / page.values for page in column if page.values and not page.is_dictionary), default=0
            )
            usual += fullest * values / count
            value = self._longest_value(group, number, column)
            shared = sum(page.values for page in column if page.uses_dictionary or page.shares_prefixes)
            if schema.max_repetition_level == 0:
                longest += value
            elif values * _ITEM_BYTES > max(_MOST_ITEMS, _MOST_PACKED * size):
                raise self._too_much(f"{values:,} items of lists in {size:,} bytes")
            elif lists + shared * value <= _MOST_AT_ONCE:
                lists += shared * value
            else:  # a single row may hold all of them
                if any(page.shares_prefixes for page in column):
                    raise self._too_much(f"lists of texts that share up to {value:,} bytes")
                encoded.append(schema.path)
        rows = min(self._source.batch_bytes / max(usual, 1), _MOST_DECODED / max(longest, 1), _MOST_ROWS)
        return max(int(rows), 1), encoded

    def _longest_value(self, group: int, number: int, column: list[Page]) -> int:
        """Return the bytes of the longest value that a column may repeat without holding it again."""
        schema = self._file.metadata.schema.column(number)
        if schema.physical_type != "BYTE_ARRAY":
            return max(int(schema.length), 16)
        size = max((page.size for page in column if page.is_dictionary or page.shares_prefixes), default=0)
        if size <= _SMALL_DICTIONARY or any(page.shares_prefixes for page in column):
            return size
        # Some rows, for the first list may be empty; their dictionary is that of all pages.
        batch = next(self._encoded.iter_batches(16, row_groups=[group], columns=[schema.path], use_threads=False), None)
        found = [each for each in (batch.columns if batch is not None else []) for each in _dictionaries(each)]
        values = sum(page.values for page in column if page.is_dictionary)
        lengths = [pc.binary_length(each) for each in found if len(each) >= values]
        return max((int(pc.max(each).as_py() or 0) for each in lengths), default=size)

    @functools.cached_property
    def _encoded(self) -> pq.ParquetFile:
        """The file with every dictionary kept, to look at them."""
        schema = self._file.metadata.schema
        return self._read_encoded([schema.column(i).path for i in range(len(schema))])

    def _read_encoded(self, paths: list[str]) -> pq.ParquetFile:
        return pq.ParquetFile(
            self._handle, metadata=self._file.metadata, read_dictionary=paths, pre_buffer=False, buffer_size=1 << 20
        )

    def _too_much(self, what: str) -> DataError:
        return DataError(
            f"{self._source.path} holds {what}, more than is read; write it again without dictionaries and with "
            "smaller pages and row groups if all of it is meant"
        )


def _dictionaries(array: pa.Array) -> Iterator[pa.Array]:
    """Yield the dictionaries in an array, at any depth."""
    if pa.types.is_dictionary(array.type):
        yield array.dictionary
    elif pa.types.is_map(array.type):
        yield from _dictionaries(array.keys)
        yield from _dictionaries(array.items)
    elif pa.types.is_struct(array.type):
        for field in array.flatten():
            yield from _dictionaries(field)
    elif pa.types.is_nested(array.type):
        yield from _dictionaries(array.values)


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
