"""Test dead workers and overload: no accepted request is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import httpx
from tests.serving.asking import BATTLE, refused
from tests.serving.load import Load
from tests.serving.running import Service, Start, wait_for


def replaced(service: Service, killed: int) -> bool:
    """Return whether the first dead worker was replaced."""
    with service.client() as client:
        text = client.get("/metrics").text
    return killed not in service.workers() and "votecast_worker_restarts_total 1.0" in text


@contextlib.contextmanager
def inside(service: Service, count: int) -> Iterator[list[httpx.Response]]:
    """Return requests inside the service; collect the responses at the end."""
    answers: list[httpx.Response] = []

    def ask() -> None:
        with service.client() as client:
            answers.append(client.post("/v1/compare", json=BATTLE))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    with service.client() as client:
        for thread in threads:
            thread.start()
        wait_for(lambda: f"requests_in_flight {count}.0" in client.get("/metrics").text, "requests inside")
    yield answers
    for thread in threads:
        thread.join()


def test_killed_workers_lose_nothing_and_are_replaced(start: Start) -> None:
    # long, since a busy machine may take its time to start workers: requests wait for them until their deadline
    service = start("--judge", "bundled:baseline", "--workers", "2", "--timeout", "120").ready()
    with Load(service) as load:
        wait_for(lambda: load.statuses[200] > 50, "answers")
        killed = service.workers()[0]
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: replaced(service, killed), "a new worker")
    assert set(load.statuses) == {200}, load.statuses
    assert not load.unanswered and not load.mixed_up
    with Load(service, connections=2) as load, service.client() as client:
        wait_for(lambda: load.statuses[200] > 20, "answers")
        for worker in service.workers():
            os.kill(worker, signal.SIGKILL)
        assert client.get("/health").status_code == 200
        before = load.statuses[200]
        wait_for(lambda: load.statuses[200] > before + 20, "answers")
    assert set(load.statuses) == {200}, load.statuses
    assert not load.unanswered and not load.mixed_up


def test_bodies_that_never_come_take_no_places(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "1", "--in-flight", "4").ready()
    head = (
        b"POST /v1/compare HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    )
    with contextlib.ExitStack() as stack, service.client() as client:
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port))).sendall(head)
        time.sleep(0.2)
        assert client.post("/v1/compare", json=BATTLE).status_code == 200
        assert "requests_in_flight 0.0" in client.get("/metrics").text


def test_a_worker_that_hangs_is_replaced_and_its_request_fails(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "1", "--timeout", "1").ready()
    hung = service.workers()[0]
    os.kill(hung, signal.SIGSTOP)
    with service.client() as client:
        refused(client.post("/v1/compare", json=BATTLE), 504)
        wait_for(lambda: client.post("/v1/compare", json=BATTLE).status_code == 200, "an answer")
    assert hung not in service.workers()


def test_overload_refuses_and_shutdown_waits_for_open_requests(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "1", "--in-flight", "4").ready()
    worker = service.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    with inside(service, 4) as answers, service.client() as client:
        for _ in range(3):
            refused(client.post("/v1/compare", json=BATTLE), 429)
        assert client.get("/health").status_code == 200
        os.kill(worker, signal.SIGCONT)
    assert [answer.status_code for answer in answers] == [200] * 4
    os.kill(worker, signal.SIGSTOP)
    with inside(service, 2) as answers:
        service.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert service.process.poll() is None
        os.kill(worker, signal.SIGCONT)
    assert [answer.status_code for answer in answers] == [200] * 2
    assert service.wait() == 0


def test_a_stop_under_load_finishes_what_was_accepted(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "2").ready()
    with Load(service, connections=16) as load:
        wait_for(lambda: load.statuses[200] > 100, "answers")
        service.terminate()
        assert service.wait() == 0, service.output
        wait_for(load.ended, "the end of all connections")
    assert set(load.statuses) <= {200, 503}, load.statuses
    assert not load.unanswered and not load.mixed_up
    assert not service.orphans()


def test_requests_past_the_deadline_are_reported(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "1", "--drain", "1").ready()
    os.kill(service.workers()[0], signal.SIGSTOP)
    with inside(service, 1) as answers:
        service.terminate()
    assert answers[0].status_code in (503, 504)
    refused(answers[0], answers[0].status_code)
    service.wait()
    assert not service.orphans()


def test_a_killed_server_leaves_no_worker(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "2").ready()
    service.workers()
    with Load(service) as load:
        wait_for(lambda: load.statuses[200] > 20, "answers")
        service.process.kill()
        wait_for(lambda: not service.orphans(), "the end of all workers", 30)
