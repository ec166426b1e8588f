"""Divide record batches into parts by the bytes of their decoded rows, and decode them part by part.

A dictionary, a run or a view may stand for far more text than it holds. The reader of Parquet and Arrow takes its
parts from `decode_parts`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_MOST_ROWS = 1 << 16  # a run may stand for billions of rows
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)

Bytes = NDArray[np.int64]


def decode_parts(batch: pa.RecordBatch, size: int, largest: int) -> Iterator[pa.RecordBatch | int]:
    """Divide a batch into parts that decode to about `size` bytes, a row beyond that being a part of its own.

    Args:
        batch: The rows, valid throughout.
        size: Bytes of a part.
        largest: Bytes of the largest row that is decoded.

    Yields:
        The rows of each part, encodings and views resolved; in place of a row that is too large, its bytes.

    Example:
        >>> cells = pa.DictionaryArray.from_arrays([0, 0, 2, 1], ["x" * 6, "y", "z" * 200])
        >>> parts = decode_parts(pa.record_batch({"c": cells}), 10, 100)
        >>> [part if isinstance(part, int) else part.to_pydict() for part in parts]
        [{'c': ['xxxxxx']}, {'c': ['xxxxxx']}, 200, {'c': ['y']}]
    """
    schema = pa.schema([field.with_type(decoded_type(field.type)) for field in batch.schema], batch.schema.metadata)
    for first in range(0, batch.num_rows, _MOST_ROWS):
        rows = batch.slice(first, _MOST_ROWS)
        sizes = _sum(map(row_bytes, rows.columns), rows.num_rows)  # (n,)
        fits = sizes <= largest
        part = np.cumsum(np.where(fits, sizes, 0)) // size  # (n,) each row's part
        begins = (np.diff(part, prepend=-1) != 0) | ~fits | ~np.append(True, fits[:-1])
        bounds = np.append(np.flatnonzero(begins), rows.num_rows).tolist()
        for start, stop in itertools.pairwise(bounds):
            if fits[start]:
                columns = [decode(column) for column in rows.slice(start, stop - start).columns]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)
            else:
                yield int(sizes[start])


def row_bytes(array: pa.Array) -> Bytes:
    """Count the bytes of each row once it is decoded, shape (n,)."""
    kind, count = array.type, len(array)
    if pa.types.is_dictionary(kind):
        values = np.append(row_bytes(array.dictionary), 0)
        places = array.indices.cast(pa.int64()).fill_null(len(values) - 1)
        return np.asarray(np.take(values, places.to_numpy()), np.int64)
    if pa.types.is_run_end_encoded(kind):
        return row_bytes(array.values)[_runs(array)]
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        views = np.frombuffer(array.buffers()[1], np.int32)[4 * array.offset : 4 * (array.offset + count)]
        lengths = views[::4].astype(np.int64)  # a view of 16 bytes begins with its length
        return np.asarray(np.multiply(lengths, array.is_valid().to_numpy(zero_copy_only=False)), np.int64)
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        starts = array.offsets.to_numpy().astype(np.int64)
        totals = np.append(0, np.cumsum(row_bytes(array.values)))
        return np.asarray(np.subtract(totals[starts + array.sizes.to_numpy()], totals[starts]), np.int64)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        if not count:
            return _sum([], 0)
        offsets = array.offsets.to_numpy().astype(np.int64)
        first, length = offsets[0], offsets[-1] - offsets[0]
        children = [array.keys, array.items] if pa.types.is_map(kind) else [array.values]
        totals = np.append(0, np.cumsum(_sum((row_bytes(each.slice(first, length)) for each in children), length)))
        return np.asarray(np.diff(totals[offsets - first]), np.int64)
    if pa.types.is_fixed_size_list(kind):
        child = array.values.slice(array.offset * kind.list_size, count * kind.list_size)
        items = row_bytes(child).reshape(count, kind.list_size)
        return np.asarray(items.sum(axis=1), np.int64)
    if pa.types.is_struct(kind):
        return _sum(map(row_bytes, array.flatten()), count)
    if isinstance(array, pa.ExtensionArray):
        return row_bytes(array.storage)
    if any(check(kind) for check in _TEXTS):
        wide = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
        offsets = np.frombuffer(array.buffers()[1] or b"", np.int64 if wide else np.int32)
        offsets = offsets[array.offset : array.offset + count + 1].astype(np.int64)
        return np.asarray(np.subtract(offsets[1:], offsets[:-1]), np.int64)
    width = 0 if pa.types.is_null(kind) or pa.types.is_union(kind) else -(-kind.bit_width // 8)
    return np.full(count, width, np.int64)


def decode(array: pa.Array) -> pa.Array:
    """Resolve dictionaries, runs and views; other arrays stay as they are."""
    kind = decoded_type(array.type)
    if kind == array.type:
        return array
    if pa.types.is_dictionary(array.type):
        return decode(array.dictionary).take(array.indices)
    if pa.types.is_run_end_encoded(array.type):
        return decode(array.values).take(pa.array(_runs(array)))
    if pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type):
        return array.cast(kind)
    return pa.array(array.to_pylist(), kind)  # an encoding inside a list or object


def decoded_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of an array of this type once it is decoded."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return decoded_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(_decoded_field(kind.value_field))
    if pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind):
        return pa.large_list(_decoded_field(kind.value_field))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_decoded_field(kind.value_field), kind.list_size)
    if pa.types.is_struct(kind):
        return pa.struct([_decoded_field(kind.field(i)) for i in range(kind.num_fields)])
    return kind


def _sum(sizes: Iterable[Bytes], count: int) -> Bytes:
    return sum(sizes, start=np.zeros(count, np.int64))


def _decoded_field(field: pa.Field) -> pa.Field:
    return field.with_type(decoded_type(field.type))


def _runs(array: pa.Array) -> NDArray[np.intp]:
    """Return the position of each row's run, shape (n,)."""
    places = np.arange(array.offset, array.offset + len(array))
    return np.searchsorted(array.run_ends.to_numpy(), places, side="right")
