"""Divide a stream of bytes into blocks of whole records, so that each block can be parsed on its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from votecast.data.io.byte_source import ByteSource
from votecast.data.io.json_array import ArrayLines
from votecast.data.io.stream import BATCH_BYTES, LARGEST_ROW
from votecast.errors import DataError

_QUOTE, _NEWLINE, _RETURN = b'"\n\r'
LEAST_READ = 1 << 16
_WINDOW = 1 << 20
_BOM = b"\xef\xbb\xbf"


class RecordBlocks:
    """Blocks of whole records from a source; a block grows until at least one record fits.

    Args:
        source: The bytes; a byte order mark is skipped.
        delimiter: What separates cells, to tell quotes from quotation marks; None for lines without quoting.
        size: Bytes of a block; 0 for the usual number.

    Attributes:
        unfinished: The last record, where the file ends inside a quote; None until then.
    """

    def __init__(self, source: ByteSource | ArrayLines, delimiter: str | None = None, size: int = 0) -> None:
        self.unfinished: bytes | None = None
        self._source = source
        self._delimiter = delimiter
        self._size = size or BATCH_BYTES
        self._pending = source.read(len(source.head)).removeprefix(_BOM)

    def first_record(self) -> bytes:
        """Take the header off the stream.

        Raises:
            DataError: If a quote in it is never closed.
        """
        scanner = _Scanner(self._delimiter or ",")
        while True:
            self._pending = self._pending.lstrip(b"\r\n")
            end = next(scanner.record_ends(self._pending), 0)
            more = b"" if end else self._source.read(max(len(self._pending), LEAST_READ))
            if not more:
                if not end and _Scanner(self._delimiter or ",").cut(self._pending)[1]:
                    raise DataError(
                        f"{self._source.path}, header: a quote is opened and never closed; check how it was written"
                    )
                break
            self._pending += more
            self._check_size(len(self._pending))
        end = end or len(self._pending)
        record, self._pending = self._pending[:end], self._pending[end:]
        return record

    def __iter__(self) -> Iterator[memoryview]:
        size = self._size
        while True:
            chunk = self._source.read(max(size - len(self._pending), LEAST_READ))
            block = self._pending + chunk if self._pending else chunk
            cut, is_open = self._cut(block)
            if not chunk:
                self.unfinished = block[cut:] if is_open else None
                cut = cut if is_open else len(block)
            if cut:
                size = self._size
                yield memoryview(block)[:cut]
            else:
                self._check_size(len(block))
                size = max(self._size, 2 * len(block))
            self._pending = block[cut:]
            if not chunk:
                return

    def _cut(self, block: bytes) -> tuple[int, bool]:
        """Return where the last whole record ends, and whether the block ends inside a quote.

        Quotes are counted with NumPy while each one that opens stands at the start of a cell; else the scanner decides.
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
                return _Scanner(self._delimiter).cut(block)
            newlines = np.flatnonzero(window == _NEWLINE)
            outside = newlines[np.searchsorted(quotes, newlines) % 2 == int(is_open)]
            cut = start + int(outside[-1]) + 1 if len(outside) else cut
            is_open ^= bool(len(quotes) % 2)
        return cut, is_open

    def _check_size(self, size: int) -> None:
        if size > LARGEST_ROW:
            raise DataError(
                f"{self._source.path} has a row of more than {LARGEST_ROW >> 20} MB, the most that is read; "
                "most likely a quote is never closed or the line ends are missing: check how the file was written"
            )


class _Scanner:
    """Scan records field by field: slower, and right where quotation marks stand inside unquoted cells."""

    def __init__(self, delimiter: str) -> None:
        rest = rb"[^%s\r\n]*+" % re.escape(delimiter.encode())
        self._field = re.compile(rb'(?:"[^"]*+(?:""[^"]*+)*+("?)|())' + rest)
        self._delimiter = ord(delimiter)

    def record_ends(self, block: bytes) -> Iterator[int]:
        """Yield the position after each whole record; the last one only if its line end is there."""
        at = 0
        while (match := self._field.match(block, at)) and match.end() < len(block):
            end = match.end()
            at = end + (2 if block[end : end + 2] == b"\r\n" else 1)
            if block[end] != self._delimiter:
                yield at

    def cut(self, block: bytes) -> tuple[int, bool]:
        """Return where the last whole record ends, and whether the block ends inside a quote."""
        cut = max(self.record_ends(block), default=0)
        at, is_open = cut, False
        while at < len(block) and (match := self._field.match(block, at)):
            at, is_open = match.end() + 1, match.group(1) == b""
        return cut, is_open
