"""Read Arrow files and streams, a few megabytes of decoded rows at a time.

`open_table` calls `read_arrow`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pyarrow as pa

from votecast.data.io.byte_source import ByteSource
from votecast.data.io.parquet_reader import decoded_batches, decoded_schema
from votecast.data.io.stream import RawBatch, Reject
from votecast.errors import DataError

_MAGIC = b"ARROW1\0\0"
_CONTINUATION = 0xFFFFFFFF
_DICTIONARY, _ROWS = 2, 3  # kinds of messages that hold columns
_MOST_AT_ONCE = 256 << 20
_MOST_EXPANSION = 16
"""A message may unpack to the first of these, or to so many times its size."""


def read_arrow(source: ByteSource, reject: Reject) -> tuple[pa.Schema, Iterator[RawBatch]]:
    """Read an Arrow file or stream, types as they are, dictionaries, runs and views decoded.

    A file is read as the stream that it holds between its magic bytes and its footer, in one pass.

    Returns:
        The schema and the batches; rows with broken text are rejected.
    """
    handle = source.seekable()
    is_file = source.head.startswith(_MAGIC)
    promised = pa.ipc.open_file(handle).num_record_batches if is_file else None  # raises where the footer is damaged
    start = len(_MAGIC) if is_file else 0
    _check_messages(source, handle, start)
    handle.seek(start)
    stream = pa.ipc.open_stream(handle)

    def _batches() -> Iterator[pa.RecordBatch]:
        count = 0
        for batch in stream:
            yield batch
            count += 1
        if promised not in (None, count):
            raise pa.ArrowInvalid(f"the footer promises {promised} batches of rows, and there are {count}")

    return decoded_schema(stream.schema), decoded_batches(_batches(), source, reject)


def _check_messages(source: ByteSource, handle: pa.NativeFile, at: int) -> None:
    """Raise if a compressed message unpacks to far more than it is: Arrow unpacks a message as a whole.

    Source: the IPC format of Arrow. A message is framed by its length; in a compressed one, each buffer begins with the
    length that it unpacks to.
    """
    total = 0
    while len(frame := handle.read_at(8, at)) == 8:
        mark, length = struct.unpack("<Ii", frame)
        if mark != _CONTINUATION:  # before Arrow 0.15 the length stood first
            length, at = mark, at - 4
        if length <= 0:
            return
        message = _FlatTable.root(handle.read_at(length, at + 8))
        body, packed = at + 8 + length, message.integer(3, "<q")
        kind, rows = message.integer(1, "<B"), message.table(2)
        if kind == _DICTIONARY and rows is not None:
            rows = rows.table(1)
        if kind in (_DICTIONARY, _ROWS) and rows is not None and rows.table(3) is not None:
            prefixes = [handle.read_at(8, body + start) for start, size in rows.pairs(2) if size >= 8]
            size = sum(max(struct.unpack("<q", each)[0], 0) for each in prefixes if len(each) == 8)
            total += size
            source.check_unpacked(total)
            if size > max(_MOST_AT_ONCE, _MOST_EXPANSION * packed):
                raise DataError(
                    f"{source.path} has a batch of {packed:,} bytes that unpacks to {size >> 20} MB, at most "
                    f"{_MOST_AT_ONCE >> 20} MB or {_MOST_EXPANSION} times its size is read; write smaller batches"
                )
        at = body + packed


class _FlatTable:
    """A table of a FlatBuffer: its fields by number."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - self._unpack("<i", at)

    @classmethod
    def root(cls, data: bytes) -> _FlatTable:
        """Return the outermost table."""
        return cls(data, struct.unpack_from("<I", data)[0]) if len(data) >= 4 else cls(b"\0" * 8, 0)

    def integer(self, number: int, kind: str) -> int:
        """Return a field that is an integer; 0 where it is absent."""
        place = self._place(number)
        return self._unpack(kind, place) if place else 0

    def table(self, number: int) -> _FlatTable | None:
        """Return a field that is a table."""
        place = self._place(number)
        return _FlatTable(self._data, place + self._unpack("<I", place)) if place else None

    def pairs(self, number: int) -> Iterator[tuple[int, int]]:
        """Yield the members of a field that is a vector of structs of two 64-bit integers."""
        if place := self._place(number):
            vector = place + self._unpack("<I", place)
            for index in range(self._unpack("<I", vector)):
                yield self._unpack("<q", vector + 4 + 16 * index), self._unpack("<q", vector + 12 + 16 * index)

    def _place(self, number: int) -> int | None:
        slot = 4 + 2 * number
        offset = self._unpack("<H", self._fields + slot) if slot < self._unpack("<H", self._fields) else 0
        return self._at + offset if offset else None

    def _unpack(self, kind: str, at: int) -> int:
        if not 0 <= at <= len(self._data) - struct.calcsize(kind):
            raise ValueError("the metadata of an Arrow message is damaged")
        return int(struct.unpack_from(kind, self._data, at)[0])
