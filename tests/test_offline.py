"""Test that no test or child process reaches the network."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from pytest_socket import SocketBlockedError

ASK = "import socket; socket.create_connection(('192.0.2.1', 9), timeout=1)"
LOOK_UP = "import socket; socket.getaddrinfo('example.org', 443)"
OLD_LOOK_UP = "import socket; socket.gethostbyname('example.org')"
LOOK_ALIKE = "import socket; socket.create_connection(('127.0.0.1.example.org', 9), timeout=1)"
SEND = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))"
TALK = """
import asyncio
async def talk():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), HOST, 0)
    reader, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
    assert await reader.read() == b""
    writer.close()
    server.close()
asyncio.run(talk())
"""


@pytest.mark.filterwarnings("ignore:A test tried")
def test_a_test_reaches_no_network() -> None:
    with pytest.raises(SocketBlockedError):
        socket.create_connection(("127.0.0.1", 9), timeout=1)


@pytest.mark.parametrize("code", [ASK, LOOK_UP, OLD_LOOK_UP, LOOK_ALIKE, SEND])
def test_a_process_started_by_a_test_reaches_no_network(code: str) -> None:
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert "tests use no network" in child.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_process_started_by_a_test_may_serve_this_machine(host: str) -> None:
    code = TALK.replace("HOST", repr(host))
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
