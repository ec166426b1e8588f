"""Read one JSON array of objects as if each stood on a line of its own."""

from __future__ import annotations

import codecs
import json
import re

from votecast.data.io.byte_source import ByteSource
from votecast.data.io.json_rows import DEEPEST
from votecast.data.io.stream import LARGEST_ROW, encoding_problem
from votecast.errors import DataError

_LEAST_READ = 1 << 20
_DECODER = json.JSONDecoder(parse_int=str)
_SPACE = re.compile(r"[ \t\r\n]*")
_TRUNCATED = "the array ends inside it, so the file is truncated"


class ArrayLines:
    """The elements of an array as lines, with the interface of a `ByteSource`.

    Args:
        source: Bytes that begin with `[`.
    """

    head = b""

    def __init__(self, source: ByteSource) -> None:
        self.path = source.path
        self._source = source
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._row = 0
        self._is_open = True
        self._is_whole = False
        self._read_on()
        self._at = self._text.index("[") + 1

    def read(self, size: int) -> bytes:
        """Read lines of at least `size` bytes together, as far as there are elements."""
        lines: list[bytes] = []
        while size > 0 and self._is_open and (line := self._next()) is not None:
            lines.append(line)
            size -= len(line)
        return b"".join(lines)

    def _next(self) -> bytes | None:
        sign = self._sign()
        if self._row and sign == ",":
            self._at += 1
            sign = self._sign()
        elif self._row and sign != "]":
            raise self._error(f"after it there is {sign!r} in place of a comma or ]" if sign else _TRUNCATED)
        if sign == "]":
            self._at += 1
            self._is_open = False
            if self._sign():
                raise DataError(f"{self.path} continues after its array; write one array, or one object a line")
            return None
        self._row += 1
        start, self._at = self._at, self._end_of_element()
        return self._text[start : self._at].replace("\n", " ").replace("\r", " ").encode("utf-8") + b"\n"

    def _end_of_element(self) -> int:
        while True:
            try:
                end = _DECODER.raw_decode(self._text, self._at)[1]
                if end < len(self._text) or self._is_whole:
                    return end
            except RecursionError as error:
                raise self._error(f"the value is nested too deeply, at most {DEEPEST} deep is read") from error
            except json.JSONDecodeError as error:
                if self._is_whole:
                    is_truncated = error.pos >= len(self._text.rstrip())
                    reason = _TRUNCATED if is_truncated else f"the element is not JSON: {error.msg}"
                    raise self._error(reason) from error
            self._read_on()

    def _sign(self) -> str:
        """Return the next character that is no white space; empty at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._is_whole:
                return self._text[self._at : self._at + 1]
            self._read_on()

    def _read_on(self) -> None:
        """Drop what was read, and double what is ahead, so that long elements are scanned few times."""
        self._text = self._text[self._at :]
        self._at = 0
        chunk = self._source.read(max(_LEAST_READ, len(self._text)))
        self._is_whole = not chunk
        try:
            self._text += self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            raise self._error(encoding_problem(error.object, error)) from error
        if len(self._text) > LARGEST_ROW:
            raise self._error(f"it holds more than {LARGEST_ROW >> 20} MB, the most that is read")

    def _error(self, reason: str) -> DataError:
        return DataError(
            f"{self.path}, row {max(self._row, 1)}: {reason}; write one object a line to have bad rows quarantined"
        )
