"""Read bytes from a file, a pipe or standard input, decompressed on the way.

The readers of all containers take their bytes from here.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pyarrow as pa

from votecast.data.io.stream import damaged
from votecast.errors import DataError

BATCH_BYTES = 2 << 20
"""Text of about this size is held at a time, or twice as much of a large file."""
LEAN_BATCH_BYTES = 512 << 10
"""The same where memory counts and time does not."""
# Enough for the magic bytes of a workbook, which stand behind its first entries.
HEAD_BYTES = 1 << 16
MOST_EXPANSION = 50
"""How many times as large as it is stored a file may become; texts become 3 to 20 times as large."""
FREE_BYTES = 32 << 20
"""Up to this size, how large the file was does not matter."""
_SUSPECT_EXPANSION, _SUSPECT_BYTES = 2, 1 << 20
_MOST_REREAD = 4 << 20  # bytes stored; what a larger file may become takes long to count
_CHUNK = 1 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_UNSUPPORTED = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x04\x22\x4d\x18": "lz4"}


class ByteSource(contextlib.ExitStack):
    """Bytes to read once from the start; the head can be looked at before, and `close` closes all that was opened.

    Args:
        path: A file, or "-" for standard input.
        lean: Whether memory counts more than time.
        name: What to call it in messages; by default its path.

    Attributes:
        head: The first bytes, decompressed.
        compression: gzip or zstd; None where the bytes are not compressed.
        bytes_on_disk: Size of the file; 0 for a pipe.
        batch_bytes: Text to hold at a time.

    Raises:
        DataError: If there is nothing to read; the message says why and what to do.
    """

    def __init__(self, path: str | Path, *, lean: bool = False, name: str | None = None) -> None:
        super().__init__()
        is_stdin = str(path) == "-"
        self.path = name or ("standard input" if is_stdin else str(path))
        self.lean = lean
        self.batch_bytes = LEAN_BATCH_BYTES if lean else BATCH_BYTES
        self.compression: str | None = None
        self._position = 0
        self._stored = self._unpacked = 0  # bytes read as they are stored, and decompressed
        self._opened = _open(path, self.path)
        if not is_stdin:
            self.callback(self._opened.close)
        self._file = None if is_stdin or not self._opened.seekable() else Path(path)
        self.bytes_on_disk = self._file.stat().st_size if self._file is not None else 0
        try:
            self.head = self._take(HEAD_BYTES)
            unsupported = next((name for magic, name in _UNSUPPORTED.items() if self.head.startswith(magic)), None)
            if unsupported:
                raise DataError(
                    f"{self.path} is compressed with {unsupported}; allowed are gzip and zstd: "
                    "compress it with one of these, or not at all"
                )
            self.compression = next((name for magic, name in _MAGIC.items() if self.head.startswith(magic)), None)
            if self.compression is not None:
                # The head was read before the compression was known: it goes first into the decompressor.
                packed = pa.PythonFile(io.BufferedReader(_Joined(self.head, self._take), _CHUNK), mode="r")
                self._rest = pa.CompressedInputStream(packed, self.compression)
                self.callback(self._rest.close)
                self.head = self._read_rest(HEAD_BYTES)
                if any(self.head.startswith(magic) for magic in _MAGIC):
                    raise DataError(f"{self.path} is compressed twice; unpack it once and try again")
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise DataError(damaged(self.path, error, self.compression)) from error
            raise

    @property
    def share_read(self) -> float | None:
        """Share of the bytes on disk that are read by now; None for a pipe."""
        if self._file is None or self._opened.closed:
            return None
        return self._opened.tell() / max(self.bytes_on_disk, 1)

    def read(self, size: int) -> bytes:
        """Read the next bytes; fewer than asked for only at the end."""
        ahead = self.head[self._position : self._position + size]
        self._position += len(ahead)
        return ahead if len(ahead) == size else ahead + self._read_rest(size - len(ahead))

    def check_unpacked(self, size: int) -> None:
        """Raise if what was read of the file is far larger than the file.

        Args:
            size: Bytes that came out of it by now.

        Raises:
            DataError: If they are more than `FREE_BYTES` and more than `MOST_EXPANSION` times the bytes stored.
        """
        stored = self.bytes_on_disk or self._stored
        if size > max(FREE_BYTES, MOST_EXPANSION * stored):
            raise DataError(
                f"{self.path} holds {stored:,} bytes and unpacks to {size >> 20} MB and more; at most "
                f"{FREE_BYTES >> 20} MB or {MOST_EXPANSION} times its size is read: write it again without compression "
                "or dictionaries if all of it is meant"
            )

    def is_suspect(self, size: int) -> bool:
        """Return whether a small file became larger than it is, so that it should first be read to its end."""
        most = max(_SUSPECT_BYTES, _SUSPECT_EXPANSION * self.bytes_on_disk)
        return 0 < self.bytes_on_disk <= _MOST_REREAD and size > most

    def _take(self, size: int) -> bytes:
        """Read the next bytes as they are stored."""
        found = _read(self._opened, size)
        self._stored += len(found)
        return found

    def _read_rest(self, size: int) -> bytes:
        """Read the next bytes after the head, decompressed."""
        if self.compression is None:
            return self._take(size)
        found = _read(self._rest, size)
        self._unpacked += len(found)
        self.check_unpacked(self._unpacked)
        return found

    def seekable(self) -> pa.NativeFile:
        """Open the bytes as a seekable file; compressed or piped ones go through a temporary file.

        Raises:
            DataError: If the folder for temporary files has no room.
        """
        if self._file is not None and self.compression is None:
            file = pa.OSFile(os.fsencode(self._file))
        else:
            spool = self.enter_context(tempfile.TemporaryFile(prefix="votecast-"))  # noqa: SIM115
            while chunk := self.read(_CHUNK):
                try:
                    spool.write(chunk)
                except OSError as error:
                    raise DataError(
                        f"{self.path} must be unpacked to be read, and the folder for temporary files "
                        f"({tempfile.gettempdir()}) has no room for it: {error}; set TMPDIR to a folder with room, or "
                        "unpack it yourself"
                    ) from error
            spool.seek(0)
            file = pa.PythonFile(spool, mode="r")
        self.callback(file.close)
        return file


class _Joined(io.RawIOBase):
    """A head that was read already, followed by what a function reads."""

    def __init__(self, head: bytes, read: Callable[[int], bytes]) -> None:
        self._head = head
        self._read = read

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the head while it lasts, then from the file."""
        part, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        part = part or self._read(len(buffer))
        buffer[: len(part)] = part
        return len(part)


def _open(path: str | Path, name: str) -> IO[bytes]:
    if str(path) == "-":
        if not hasattr(sys.stdin, "buffer"):
            raise DataError("standard input is not a stream of bytes; name a file instead of '-'")
        return sys.stdin.buffer
    try:
        if Path(path).is_dir():
            raise DataError(f"{name} is a folder; a file of votes is needed: name one inside it")
        return Path(path).open("rb", buffering=0)
    except FileNotFoundError:
        raise DataError(f"{name} not found; check the path (the working folder is {Path.cwd()})") from None
    except PermissionError:
        raise DataError(f"{name} may not be read; change its permissions (chmod u+r) or copy it") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{name} cannot be opened: {error}; name a file that can be read") from error


def _read(file: IO[bytes] | pa.NativeFile, size: int) -> bytes:
    """Read exactly `size` bytes, or all there are; one system call at a time, so that signals arrive in between."""
    parts: list[bytes] = []
    take = file.read1 if isinstance(file, io.BufferedIOBase) else file.read
    while size > 0 and (part := take(min(size, 1 << 30))):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
