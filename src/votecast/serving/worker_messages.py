"""Messages between the front process and its workers: JSON after its length, over a socket pair."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Iterable
from typing import Any

_LENGTH = struct.Struct("!I")
_STEP = 1 << 20  # bytes that one call receives at most


def pack(message: object) -> bytes:
    """Encode a message as JSON; numbers come back bit-equal.

    Example:
        >>> unpack(pack({"p": [0.1, "é"]}))
        {'p': [0.1, 'é']}
    """
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def pack_list(name: str, parts: Iterable[bytes], **others: object) -> bytes:
    """Encode a message with a list of parts that are packed already.

    Example:
        >>> unpack(pack_list("rows", [pack(1), pack("b")], batch=7))
        {'batch': 7, 'rows': [1, 'b']}
    """
    head = pack(others)[:-1] + (b"," if others else b"")
    return b"".join([head, pack(name), b":[", b",".join(parts), b"]}"])


def unpack(body: bytes | bytearray) -> Any:
    """Decode a message."""
    return json.loads(body.decode("utf-8", "surrogatepass"))


def send(end: socket.socket, body: bytes) -> None:
    """Write one frame and block until it is taken.

    Raises:
        OSError: If the other end is gone.
    """
    end.sendall(_LENGTH.pack(len(body)) + body)


def receive(end: socket.socket) -> bytearray | None:
    """Block until a frame comes; None if the other end is gone."""
    head = _receive_exactly(end, _LENGTH.size)
    return None if head is None else _receive_exactly(end, *_LENGTH.unpack(head))


def write_frame(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Hand one frame to the event loop."""
    writer.write(_LENGTH.pack(len(body)))
    writer.write(body)


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Wait for one frame; None if the other end is gone."""
    try:
        head = await reader.readexactly(_LENGTH.size)
        return await reader.readexactly(*_LENGTH.unpack(head))
    except (asyncio.IncompleteReadError, OSError):
        return None


def _receive_exactly(end: socket.socket, size: int) -> bytearray | None:
    body = bytearray(size)
    view, done = memoryview(body), 0
    while done < size:
        try:
            count = end.recv_into(view[done:], min(size - done, _STEP))
        except OSError:
            return None
        if not count:
            return None
        done += count
    return body
