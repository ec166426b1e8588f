"""Divide one JSON array into lines, an element each, while its bytes arrive.

The reader of JSON lines reads arrays of objects through `array_blocks`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from votecast.data.io.byte_source import ByteSource
from votecast.data.io.stream import LARGEST_ROW
from votecast.errors import DataError

_LEAST_READ = 1 << 20
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
_CLOSING = {b"[": b"]", b"{": b"}"}
_STRING = rb'"(?:[^"\\\r\n]++|\\[^\r\n])*+'
# What stands before the next bracket, and between elements also before the next comma; whole strings are skipped.
_INSIDE, _BETWEEN = (re.compile(rb'(?:[^"\[\]{}%s]++|%s")*+' % (sign, _STRING)) for sign in (b"", b","))
_SPACES = re.compile(rb"[ \t\r\n]*+")
_OPEN_STRING = re.compile(_STRING)
_TRUNCATED = "the array ends inside it, so the file is truncated"


def array_blocks(source: ByteSource) -> Iterator[bytes]:
    """Yield the elements of an array as blocks of lines, whatever they hold.

    Raises:
        DataError: If the array is truncated, so damaged that nobody can say where an element ends, or has a row beyond
            `LARGEST_ROW`; it names the row.
    """
    lines, size = list[bytes](), 0
    for line in _ArrayElements(source):
        lines.append(line)
        size += len(line)
        if size >= source.batch_bytes:
            yield b"".join(lines)
            lines, size = [], 0
    yield b"".join(lines)


class _ArrayElements:
    """The elements of an array, found by brackets, commas and quotes alone."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._text = source.read(len(source.head)).removeprefix(_BOM)
        self._start = 0  # of the element, in `_text`
        self._at = 0  # up to here it is known
        self._row = 0

    def __iter__(self) -> Iterator[bytes]:
        self._at = self._text.index(b"[") + 1
        is_last = False
        while not is_last:
            self._row += 1
            self._skip_space()
            is_last = self._skip_element()
            element = self._text[self._start : self._at].strip(_SPACE)
            self._at += 1
            if element:
                yield element.translate(_ONE_LINE) + b"\n"
            elif self._row > 1 or not is_last:
                raise self._error("there is nothing before the next comma or the end of the array")
        if self._skip_space():
            raise DataError(f"{self._source.path} continues after its array; write one array, or one object a line")

    def _skip_space(self) -> bool:
        """Go to the next byte that is no space, where an element begins; return whether there is one."""
        while True:
            match = _SPACES.match(self._text, self._at)
            self._start = self._at = match.end() if match else self._at
            if self._at < len(self._text) or not self._read_on():
                return self._at < len(self._text)

    def _skip_element(self) -> bool:
        """Go to the comma or bracket behind the element; return whether it ends the array."""
        closing: list[bytes] = []
        while True:
            match = (_INSIDE if closing else _BETWEEN).match(self._text, self._at)
            self._at = match.end() if match else self._at
            self._check_size(self._at)
            sign = self._text[self._at : self._at + 1]
            if sign in (b"", b'"'):
                self._check_string()
                if not self._read_on():
                    raise self._error(_TRUNCATED)
                continue
            if not closing and sign in (b",", b"]"):
                return sign == b"]"
            if sign in _CLOSING:
                closing.append(_CLOSING[sign])
            elif not closing or closing.pop() != sign:
                raise self._error(f"there is a {sign.decode()} that closes no bracket")
            self._at += 1

    def _check_string(self) -> None:
        """Raise if the string that begins here holds a line end: then its closing quote is lost, or it is not JSON."""
        match = _OPEN_STRING.match(self._text, self._at)
        end = match.end() if match else self._at
        self._check_size(end)
        rest = self._text[end : end + 2]
        if rest.strip(b"\\"):
            raise self._error("a text holds a line end, which JSON writes as \\n; or its closing quote is missing")

    def _check_size(self, end: int) -> None:
        if end - self._start > LARGEST_ROW:
            raise self._error(f"it holds more than {LARGEST_ROW >> 20} MB, the most that is read")

    def _read_on(self) -> bool:
        """Drop the rows that are done and read more, doubling what is ahead; return False at the end."""
        self._text = self._text[self._start :]
        self._at -= self._start
        self._start = 0
        chunk = self._source.read(max(_LEAST_READ, len(self._text)))
        self._text += chunk
        return bool(chunk)

    def _error(self, reason: str) -> DataError:
        return DataError(
            f"{self._source.path}, row {self._row}: {reason}; write one object a line to have bad rows quarantined"
        )
