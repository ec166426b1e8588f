"""Divide a stream of bytes into blocks of whole records, so that each block can be parsed on its own.

The readers of CSV and of JSON lines read their files through these blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from votecast.data.io.byte_source import ByteSource
from votecast.data.io.stream import LARGEST_ROW
from votecast.errors import DataError

_QUOTE, _NEWLINE, _RETURN = b'"\n\r'
_LARGEST_HEADER = 1 << 20
LEAST_READ = 1 << 16
_WINDOW = 1 << 20  # quotes are counted in parts: their positions take eight bytes each
_LINE_ENDS = re.compile(rb"[\r\n]*+")
_BOM = b"\xef\xbb\xbf"


class RecordBlocks:
    """Blocks of whole records from a source; a block grows until at least one record fits.

    Args:
        source: The bytes; a byte order mark is skipped.
        size: Bytes of a block.
        delimiter: What separates cells, to tell quotes from quotation marks; None for lines without quoting.

    Attributes:
        unfinished: The last record, where the file ends inside a quote; None until then.
    """

    def __init__(self, source: ByteSource, size: int, delimiter: str | None = None) -> None:
        self.unfinished: bytes | None = None
        self._source = source
        self._size = size
        self._delimiter = delimiter
        bare = rb"[^%s\r\n]*+" % re.escape((delimiter or ",").encode())
        # A field: a quoted part (group 1 is empty where its quote is never closed), then text up to the delimiter.
        self._field = re.compile(rb'(?:"[^"]*+(?:""[^"]*+)*+("?)|())' + bare)
        self._pending = source.read(len(source.head)).removeprefix(_BOM)

    def first_record(self) -> bytes:
        """Take the header off the stream.

        Raises:
            DataError: If a quote in it is never closed.
        """
        while True:
            self._pending = self._pending.lstrip(b"\r\n")
            end = next(self._record_ends(self._pending), 0)
            more = b"" if end else self._source.read(max(len(self._pending), LEAST_READ))
            if not more:
                break
            self._pending += more
            if len(self._pending) > _LARGEST_HEADER:
                raise self._too_large("header", _LARGEST_HEADER)
        if not end and self._scan(self._pending)[1]:
            raise DataError(
                f"{self._source.path}, header: a quote is opened and never closed; check how it was written"
            )
        end = end or len(self._pending)
        record, self._pending = self._pending[:end], self._pending[end:]
        return record

    def __iter__(self) -> Iterator[memoryview]:
        size = self._size
        while True:
            # One byte beyond the largest row with its line feed shows that a row is larger.
            room = LARGEST_ROW + 1 - len(self._pending)
            chunk = self._source.read(min(max(size - len(self._pending), LEAST_READ), room))
            block = self._pending + chunk if self._pending else chunk
            cut, is_open = self._cut(block)
            if not cut and len(block) > LARGEST_ROW:
                raise self._too_large("row", LARGEST_ROW)
            if not chunk:
                self.unfinished = block[cut:] if is_open else None
                cut = cut if is_open else len(block)
            if cut:
                size = self._size
                yield memoryview(block)[:cut]
            else:
                size = max(self._size, 2 * len(block))
            self._pending = block[cut:]
            if not chunk:
                return

    def _cut(self, block: bytes) -> tuple[int, bool]:
        """Return where the last whole record ends, and whether the block ends inside a quote.

        Quotes are counted with NumPy while each one that opens stands at the start of a cell; else `_scan` decides.
        """
        if self._delimiter is None:
            return block.rfind(b"\n") + 1, False
        cut, is_open = 0, False
        for start in range(0, len(block), _WINDOW):
            window = np.frombuffer(block, dtype=np.uint8, count=min(_WINDOW, len(block) - start), offset=start)
            # Outside a quote every second quotation mark opens one, counted from the first.
            quotes = np.flatnonzero(window == _QUOTE)
            opening = quotes[int(is_open) :: 2]
            before = window[opening - 1]
            if len(opening) and opening[0] == 0:
                before[0] = block[start - 1] if start else _NEWLINE
            if not np.isin(before, (ord(self._delimiter), _NEWLINE, _RETURN, _QUOTE)).all():
                return self._scan(block)
            newlines = np.flatnonzero(window == _NEWLINE)
            outside = newlines[np.searchsorted(quotes, newlines) % 2 == int(is_open)]
            cut = start + int(outside[-1]) + 1 if len(outside) else cut
            is_open ^= bool(len(quotes) % 2)
        return (cut, is_open) if cut else self._scan(block)  # which also finds records that end with CR

    def _scan(self, block: bytes) -> tuple[int, bool]:
        """Do what `_cut` does, field by field: slower, and right where quotation marks stand in unquoted cells."""
        cut = max(self._record_ends(block), default=0)
        at, is_open = cut, False
        while at < len(block) and (match := self._field.match(block, at)):
            at, is_open = match.end() + 1, match.group(1) == b""
        return cut, is_open

    def _record_ends(self, block: bytes) -> Iterator[int]:
        """Yield the position after each whole record; the last one only if its line end is there."""
        at = 0
        while (match := self._field.match(block, at)) and match.end() < len(block):
            at = match.end() + 1
            if block[at - 1] in (_NEWLINE, _RETURN):
                lines = _LINE_ENDS.match(block, at)  # empty lines are skipped
                at = lines.end() if lines else at
                yield at

    def _too_large(self, what: str, most: int) -> DataError:
        return DataError(
            f"{self._source.path} has a {what} of more than {most >> 20} MB, the most that is read; "
            "most likely a quote is never closed or the line ends are missing: check how the file was written"
        )
