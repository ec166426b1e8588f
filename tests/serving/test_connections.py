"""Test broken, slow and non-HTTP connections."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from tests.serving.asking import BATTLE, GOOD
from tests.serving.running import PATIENCE, Service, wait_for

BODY = json.dumps(BATTLE).encode()
HEAD = b"POST /v1/compare HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CUT_OFF = [b"", HEAD, WHOLE[:40], WHOLE[:-5], HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"]
NO_HTTP = [
    b"VOTE / HTTP/1.1",
    b"GET / HTTP/9.9",
    b"GET",
    b"\x00\x01",
    b"x" * 100_000,
    b"GET / HTTP/1.1\r\nx",
    b"\r\n\r\n",
]
RESET = b"\1\0\0\0\0\0\0\0"
"""SO_LINGER for zero seconds: closing sends a reset."""

pytestmark = pytest.mark.usefixtures("workers_unchanged")


@contextlib.contextmanager
def line(service: Service) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE) as opened:
        yield opened


def answers(opened: socket.socket, count: int) -> list[int]:
    """Return the statuses of the next responses on this connection."""
    found: list[int] = []
    with opened.makefile("rb") as stream:
        while len(found) < count and (status := stream.readline()):
            found.append(int(status.split()[1]))
            headers = dict(line.lower().split(b":", 1) for line in iter(stream.readline, b"\r\n"))
            stream.read(int(headers[b"content-length"]))
    return found


@pytest.mark.parametrize("route", GOOD)
def test_three_megabytes_with_their_length_are_refused_unread(service: Service, route: str) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" % route.encode()
    with line(service) as opened:
        opened.sendall(head + b"Content-Length: 3000000\r\n\r\n" + b"[" * 1000)
        assert answers(opened, 1) == [413]


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999999999999999", "3000000, 3000000", " "])
def test_lengths_that_are_none(service: Service, length: str) -> None:
    with line(service) as opened:
        opened.sendall(HEAD + f"Content-Length: {length}\r\n\r\n".encode() + BODY)
        assert answers(opened, 1) in ([400], [413], [411])


@pytest.mark.parametrize("sent", NO_HTTP, ids=lambda sent: repr(sent[:12]))
def test_malformed_http_requests(service: Service, sent: bytes) -> None:
    with line(service) as opened, contextlib.suppress(OSError):
        opened.sendall(sent + b"\r\n\r\n")
        opened.shutdown(socket.SHUT_WR)
        assert all(status in (400, 404, 431, 505) for status in answers(opened, 1))


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"x" * 100_000,
        b"GET / HTTP/1.1\r\nHost: " + b"x" * 100_000,
        HEAD + b"".join(b"x%d: y\r\n" % n for n in range(20_000)),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 30_000,
    ],
    ids=["address", "header", "headers", "trailers"],
)
def test_a_head_without_an_end_is_not_kept(service: Service, sent: bytes) -> None:
    with line(service) as opened:
        with contextlib.suppress(OSError):  # it may close the door while we still speak
            for _ in range(2_000):  # far more than the buffers between us hold
                opened.sendall(sent)
                sent = sent[-50_000:]
            pytest.fail("all was taken")
        with contextlib.suppress(OSError):
            assert answers(opened, 1) in ([431], [400], [])


def test_requests_without_an_end_are_not_kept(service: Service) -> None:
    with line(service) as opened, contextlib.suppress(OSError):
        for _ in range(2_000):
            opened.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 1_000)
        pytest.fail("all were taken")


def test_malformed_requests_get_json_errors(service: Service) -> None:
    with line(service) as opened:
        opened.sendall(b"VOTE / HTTP/1.1\r\n\r\n")
        message = opened.makefile("rb").read()
    assert message.startswith(b"HTTP/1.1 400 ") and b"content-security-policy: default-src 'none'" in message
    assert json.loads(message.partition(b"\r\n\r\n")[2])["error"]["type"] == "no_http"


@pytest.mark.parametrize("sent", CUT_OFF, ids=len)
def test_a_connection_closed_in_the_middle_of_a_request(service: Service, sent: bytes) -> None:
    for _ in range(5):
        with line(service) as opened:
            opened.sendall(sent)
        with line(service) as opened:
            opened.sendall(sent)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def test_a_connection_closed_before_the_answer(service: Service, http: httpx.Client) -> None:
    for _ in range(20):
        with line(service) as opened:
            opened.sendall(WHOLE)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    assert http.post("/v1/compare", json=BATTLE).status_code == 200


def test_a_connection_closed_in_the_middle_of_an_answer(service: Service, http: httpx.Client) -> None:
    for _ in range(5):
        with line(service) as opened:
            opened.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20)
            opened.recv(10)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    assert http.get("/ready").status_code == 200


def test_a_slow_body_blocks_no_other_and_is_answered(service: Service, http: httpx.Client) -> None:
    with line(service) as slow:
        slow.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY))
        for place in range(0, len(BODY), 8):
            slow.sendall(BODY[place : place + 8])
            time.sleep(0.005)
            if place % 80 == 0:
                assert http.post("/v1/compare", json=BATTLE).status_code == 200
        assert answers(slow, 1) == [200]


def test_requests_in_a_row_are_answered_in_a_row(service: Service) -> None:
    wrong = WHOLE.replace(b"/v1/compare", b"/v1/compars")
    with line(service) as opened:
        opened.sendall(WHOLE + wrong + WHOLE * 3 + WHOLE.replace(b"POST", b"GET", 1))
        assert answers(opened, 6) == [200, 404, 200, 200, 200, 405]


def test_a_refused_long_body_does_not_spoil_the_next_request(service: Service) -> None:
    long = HEAD + b"Content-Length: 2500000\r\n\r\n" + b"x" * 2_500_000
    with line(service) as opened:
        with contextlib.suppress(OSError):
            opened.sendall(long + WHOLE)
        with contextlib.suppress(OSError):
            assert answers(opened, 2) in ([413], [413, 200])


def test_hundred_idle_open_connections(service: Service, http: httpx.Client) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(line(service)).sendall(HEAD)
        assert http.post("/v1/compare", json=BATTLE).status_code == 200
    wait_for(lambda: http.get("/ready").status_code == 200, "ready")
