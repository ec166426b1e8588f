"""Read the headers of Parquet pages: what a page unpacks to is known before it is unpacked.

The footer counts a dictionary once, however often its values are used, and gives no size of a single page. The reader
of Parquet plans its batches with `read_pages`. Source: parquet-format's `parquet.thrift`, in Thrift's compact protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

_FIRST_READ, _MOST_READ = 1 << 10, 1 << 24  # bytes of a header; its statistics may hold whole texts
_INDEX_PAGE, _DICTIONARY_PAGE = 1, 2
_PLAIN, _PLAIN_DICTIONARY, _RLE_DICTIONARY, _DELTA_BYTE_ARRAY = 0, 2, 8, 7
_MOST_BYTES = 1 << 62
_Fields = dict[int, Any]


@dataclass(frozen=True)
class Page:
    """One page of a column, as its header states it."""

    is_dictionary: bool
    uses_dictionary: bool
    shares_prefixes: bool  # its values may be longer than what the page holds
    values: int
    size: int  # bytes once it is unpacked


@dataclass(frozen=True)
class Chunk:
    """One column in one row group, as the footer states it."""

    start: int  # byte at which its first page begins
    values: int


def read_chunks(file: pa.NativeFile) -> list[list[Chunk]]:
    """Read the columns of all row groups from the footer; pyarrow aborts on one whose statistics are damaged.

    Raises:
        ValueError: If the footer is damaged.
    """
    end = file.size() - 8
    length = int.from_bytes(file.read_at(4, end), "little")
    try:
        footer = _read_struct(file.read_at(length, end - length), 0, 0)[0]
        groups = [[column[3] for column in group[1]] for group in footer.get(4, [])]
        return [[_chunk(column, end) for column in columns] for columns in groups]
    except (IndexError, KeyError, TypeError):
        raise ValueError("the footer is damaged") from None


def _chunk(column: _Fields, end: int) -> Chunk:
    data = _natural(column, 9, end, _MOST_BYTES)
    dictionary = _natural(column, 11, end, _MOST_BYTES) if 11 in column else 0
    return Chunk(dictionary if 0 < dictionary < data else data, _natural(column, 5, end, _MOST_BYTES))


def read_pages(file: pa.NativeFile, column: Chunk) -> Iterator[Page]:
    """Read the headers of the pages of one column in one row group.

    Raises:
        ValueError: If a header is damaged.
    """
    at, values = column.start, 0
    while values < column.values:
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


def _natural(fields: _Fields, number: int, at: int, most: int = 1 << 31) -> int:
    value = fields.get(number)
    if not isinstance(value, int) or not 0 <= value < most:
        raise ValueError(f"the header at byte {at} is damaged")
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
    if depth > 16:
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
    if kind in (9, 10):
        return _read_list(data, at, depth)
    if kind == 12:
        return _read_struct(data, at, depth + 1)
    raise ValueError(f"a page header has a field of the unknown type {kind}")


def _read_list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    size, kind = data[at] >> 4, data[at] & 15
    at += 1
    if size == 15:
        size, at = _read_varint(data, at)
    found = []
    for _ in range(size):
        item, at = (None, at + 1) if kind in (1, 2) else _read_value(data, at, kind, depth + 1)
        found.append(item)
        if at > len(data):
            raise IndexError
    return found, at


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
