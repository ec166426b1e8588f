"""Read the headers of Parquet pages: what a page unpacks to is known before it is unpacked.

The footer counts a dictionary once, however often its values are used, and gives no size of a single page. The reader
of Parquet plans its batches with `read_pages`. Source: parquet-format's `parquet.thrift`, in Thrift's compact protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_FIRST_READ, _MOST_READ = 1 << 10, 1 << 24  # bytes of a header; its statistics may hold whole texts
_INDEX_PAGE, _DICTIONARY_PAGE = 1, 2
_PLAIN, _PLAIN_DICTIONARY, _RLE_DICTIONARY, _DELTA_BYTE_ARRAY = 0, 2, 8, 7
_Fields = dict[int, Any]


@dataclass(frozen=True)
class Page:
    """One page of a column, as its header states it."""

    is_dictionary: bool
    uses_dictionary: bool
    shares_prefixes: bool  # its values may be longer than what the page holds
    values: int
    size: int  # bytes once it is unpacked


def read_pages(file: pa.NativeFile, column: pq.ColumnChunkMetaData) -> Iterator[Page]:
    """Read the headers of the pages of one column in one row group.

    Raises:
        ValueError: If a header is damaged.
    """
    at, values = column.data_page_offset, 0
    if column.has_dictionary_page and 0 < (column.dictionary_page_offset or 0) < at:
        at = column.dictionary_page_offset
    while values < column.num_values:
        header, length = _read_header(file, at)
        kind, size, packed = (_natural(header, number, at) for number in (1, 2, 3))
        data = header.get(7) if kind == _DICTIONARY_PAGE else header.get(5, header.get(8))
        data = data if isinstance(data, dict) else {1: 0}
        count = _natural(data, 1, at)
        if kind != _INDEX_PAGE:
            encoding = data.get(2 if 5 in header else 4)
            is_dictionary = kind == _DICTIONARY_PAGE
            coded = not is_dictionary and encoding in (_PLAIN_DICTIONARY, _RLE_DICTIONARY)
            yield Page(is_dictionary, coded, not is_dictionary and encoding == _DELTA_BYTE_ARRAY, count, size)
            values += 0 if is_dictionary else count
        at += length + packed


def _natural(fields: _Fields, number: int, at: int) -> int:
    value = fields.get(number)
    if not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise ValueError(f"the page at byte {at} has no valid header")
    return value


def _read_header(file: pa.NativeFile, at: int) -> tuple[_Fields, int]:
    size = _FIRST_READ
    while True:
        data = file.read_at(size, at)
        try:
            return _read_struct(data, 0, 0)
        except IndexError:
            if len(data) < size or size >= _MOST_READ:
                raise ValueError(f"the header of the page at byte {at} is truncated") from None
            size *= 16


def _read_struct(data: bytes, at: int, depth: int) -> tuple[_Fields, int]:
    """Read a struct of Thrift's compact protocol: its fields by number, and where it ends."""
    fields: _Fields = {}
    number = 0
    while data[at]:
        step, kind = data[at] >> 4, data[at] & 15
        at += 1
        if step:
            number += step
        else:
            number, at = _read_integer(data, at)
        fields[number], at = _read_value(data, at, kind, depth)
    return fields, at + 1


def _read_value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if depth > 8:
        raise ValueError("a page header is nested too deeply")
    if kind in (1, 2):  # true and false stand in the type
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _read_integer(data, at)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = _read_varint(data, at)
        return None, at + length
    if kind == 12:
        return _read_struct(data, at, depth + 1)
    raise ValueError(f"a page header has a field of the unknown type {kind}")


def _read_integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _read_varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("a page header has a number of more than 64 bits")
