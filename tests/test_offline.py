"""No test reaches the network, nor does any process that a test starts."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from pytest_socket import SocketBlockedError

ASK = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=1)"
LOOK_UP = "import socket; socket.getaddrinfo('example.org', 443)"
SEND = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))"


@pytest.mark.filterwarnings("ignore:A test tried")
def test_a_test_reaches_no_network() -> None:
    with pytest.raises(SocketBlockedError):
        socket.create_connection(("127.0.0.1", 9), timeout=1)


@pytest.mark.parametrize("code", [ASK, LOOK_UP, SEND])
def test_a_process_started_by_a_test_reaches_no_network(code: str) -> None:
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert "tests use no network" in child.stderr
