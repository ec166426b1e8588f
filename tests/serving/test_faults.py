"""Workers that die or hang, a full house, a killed front: nothing accepted is lost, and nobody is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import Any

import httpx
import pytest
from tests.serving.asking import BATTLE, refused
from tests.serving.load import Load
from tests.serving.running import Service, Start, wait_for


def replaced(service: Service, killed: int, workers: int) -> bool:
    with service.client() as client:
        text = client.get("/metrics").text
    return killed not in service.workers() and f"votecast_workers_ready {workers}.0" in text


def test_killed_workers_lose_nothing_and_are_replaced(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "2").ready()
    wait_for(lambda: len(service.workers()) == 2, "two workers")
    with Load(service) as load:
        for _ in range(3):
            more = load.statuses[200] + 50
            wait_for(lambda more=more: load.statuses[200] > more, "answers")
            killed = service.workers()[0]
            os.kill(killed, signal.SIGKILL)
            began = time.monotonic()
            wait_for(lambda killed=killed: replaced(service, killed, 2), "a new worker", 60)
            assert time.monotonic() - began < 60
    assert set(load.statuses) == {200}, load.statuses
    assert not load.unanswered and not load.mixed_up
    with service.client() as client:
        assert "votecast_worker_restarts_total 3.0" in client.get("/metrics").text


def test_all_workers_killed_at_once_come_back(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "2").ready()
    for worker in wait_for(lambda: len(found := service.workers()) == 2 and found, "two workers"):
        os.kill(worker, signal.SIGKILL)
    with service.client() as client:

        def answered() -> bool:
            answer = client.post("/v1/compare", json=BATTLE)
            return answer.status_code == 200 or not refused(answer, 503)

        wait_for(answered, "an answer")
        wait_for(lambda: len(service.workers()) == 2, "two workers")
        assert client.get("/health").status_code == 200


def test_a_request_that_kills_every_worker_is_given_up(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "1").ready()
    stop = threading.Event()

    def kill() -> None:
        while not stop.is_set():
            for worker in service.workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with service.client() as client:
            refused(client.post("/v1/compare", json=BATTLE), 503)
    finally:
        stop.set()
        killer.join()
    with service.client() as client:
        wait_for(lambda: client.post("/v1/compare", json=BATTLE).status_code == 200, "an answer")


def test_a_worker_that_hangs_is_replaced_and_its_request_told(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "1", "--timeout", "1").ready()
    (hung,) = service.workers()
    os.kill(hung, signal.SIGSTOP)
    with service.client() as client:
        refused(client.post("/v1/compare", json=BATTLE), 504)
        wait_for(lambda: client.post("/v1/compare", json=BATTLE).status_code == 200, "an answer")
    assert hung not in service.workers()


def test_a_full_house_sends_away_and_keeps_what_is_inside(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "1", "--in-flight", "4").ready()
    (worker,) = service.workers()
    os.kill(worker, signal.SIGSTOP)
    inside: list[httpx.Response] = []

    def ask() -> None:
        with service.client() as client:
            inside.append(client.post("/v1/compare", json=BATTLE))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    with service.client() as client:

        def full() -> bool:
            return "votecast_requests_in_flight 4.0" in client.get("/metrics").text

        wait_for(full, "a full house")
        for _ in range(3):
            refused(client.post("/v1/compare", json=BATTLE), 429)
        assert client.get("/health").status_code == 200
        os.kill(worker, signal.SIGCONT)
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in inside] == [200] * 4
        assert client.post("/v1/compare", json=BATTLE).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load_finishes_what_was_accepted(start: Start, number: int) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "2").ready()
    with Load(service, connections=16) as load:
        wait_for(lambda: load.statuses[200] > 100, "answers")
        service.process.send_signal(number)
        assert service.wait() == 0, service.said
        wait_for(load.ended, "the end of all connections")
    assert set(load.statuses) <= {200, 503}, load.statuses
    assert not load.unanswered and not load.mixed_up
    assert not service.orphans()


def test_a_stop_waits_for_a_slow_answer_and_takes_nothing_new(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "1").ready()
    (worker,) = service.workers()
    os.kill(worker, signal.SIGSTOP)
    slow: list[Any] = []
    with service.client() as client, service.client() as other:
        assert other.get("/health").status_code == 200
        thread = threading.Thread(target=lambda: slow.append(client.post("/v1/compare", json=BATTLE)))
        thread.start()
        wait_for(lambda: "votecast_requests_in_flight 1.0" in other.get("/metrics").text, "the request")
        service.terminate()
        time.sleep(0.3)
        assert service.process.poll() is None
        os.kill(worker, signal.SIGCONT)
        thread.join()
    assert slow[0].status_code == 200
    assert service.wait() == 0


def test_what_does_not_finish_in_time_is_told(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "1", "--drain", "1").ready()
    (worker,) = service.workers()
    os.kill(worker, signal.SIGSTOP)
    slow: list[Any] = []
    with service.client() as client, service.client() as other:
        thread = threading.Thread(target=lambda: slow.append(client.post("/v1/compare", json=BATTLE)))
        thread.start()
        wait_for(lambda: "votecast_requests_in_flight 1.0" in other.get("/metrics").text, "the request")
        service.terminate()
        thread.join()
    refused(slow[0], slow[0].status_code)
    assert slow[0].status_code in (503, 504)
    service.wait()
    assert not service.orphans()


def test_a_killed_front_leaves_no_worker_behind(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "2").ready()
    assert len(service.workers()) == 2
    service.process.kill()
    service.process.wait()
    wait_for(lambda: not service.orphans(), "the end of all workers", 30)


def test_a_killed_front_under_load_leaves_no_worker_behind(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "2").ready()
    service.workers()
    with Load(service) as load:
        wait_for(lambda: load.statuses[200] > 20, "answers")
        service.process.kill()
        wait_for(lambda: not service.orphans(), "the end of all workers", 30)
