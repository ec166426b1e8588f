"""Messages between the front process and its workers: JSON after its length, over a socket pair.

`worker_processes` reads and writes them in the front, `worker` in the other process.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any, BinaryIO

_LENGTH = struct.Struct("!I")


def pack(message: object) -> bytes:
    """Encode a message as JSON; numbers come back bit-equal.

    Example:
        >>> unpack(pack({"p": [0.1, "é"]}))
        {'p': [0.1, 'é']}
    """
    # surrogatepass: turns may hold lone surrogates, which the judges replace themselves
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def unpack(body: bytes) -> dict[str, Any]:
    """Decode a message."""
    message: dict[str, Any] = json.loads(body.decode("utf-8", "surrogatepass"))
    return message


def frame(body: bytes) -> bytes:
    """Put the length of a packed message before it."""
    return _LENGTH.pack(len(body)) + body


def read_message(stream: BinaryIO) -> dict[str, Any] | None:
    """Block until a message comes; None if the other end is gone."""
    try:
        head = stream.read(_LENGTH.size)
        size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else -1
        body = stream.read(max(size, 0))
    except OSError:
        return None
    return unpack(body) if len(body) == size else None


async def receive_message(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """Wait for a message; None if the other end is gone."""
    try:
        head = await reader.readexactly(_LENGTH.size)
        return unpack(await reader.readexactly(*_LENGTH.unpack(head)))
    except (asyncio.IncompleteReadError, OSError):
        return None
