"""Test pools whose workers die, hang or cannot start."""

import os
import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from tests.serving.pools import RunningPool, rows, running, until

from votecast.serving.request_errors import QueueFullError, RequestTimeoutError, WorkerLostError


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_killed_worker_loses_nothing_and_is_replaced() -> None:
    battles = rows(12)
    with running(workers=2) as pool:
        expected = pool.ask(battles)
        asked = [pool.asked(battles) for _ in range(30)]
        dead = pool.kill()
        assert all(answers.result() == expected for answers in asked)
        until(lambda: pool.pool.workers_ready == 2)
        assert dead not in pool.pids and not is_alive(dead)
        assert pool.watch.count("votecast_worker_restarts") == 1 and pool.watch.count("votecast_retried_battles") > 0
        assert pool.ask(battles) == expected


def kill_two_workers(pool: RunningPool) -> Future[Any]:
    """Ask for a prediction, and kill the two workers that get it one after the other."""
    for number in range(2):
        pool.kill(number, signal.SIGSTOP)
    asked = pool.asked(rows(1))
    until(pool.given)
    first = pool.pids[0]
    pool.kill(0)
    until(lambda: first not in pool.pids and pool.given())
    pool.kill(0)
    return asked


def test_a_request_outlives_two_workers_that_are_killed() -> None:
    with running(workers=2) as pool:
        assert len(kill_two_workers(pool).result(60)) == 1


def test_a_request_that_kills_many_workers_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("votecast.serving.pool._MOST_TRIES", 2)
    with running(workers=2) as pool:
        asked = kill_two_workers(pool)
        with pytest.raises(WorkerLostError):
            asked.result(60)
        until(lambda: pool.pool.workers_ready == 2)
        assert len(pool.ask(rows(1))) == 1


def test_a_worker_that_hangs_is_replaced_and_its_request_times_out() -> None:
    with running(timeout=2) as pool:
        hung = pool.kill(sign=signal.SIGSTOP)
        with pytest.raises(RequestTimeoutError, match="no answer in time"):
            pool.ask(rows(1))
        until(lambda: hung not in pool.pids and pool.pool.workers_ready == 1)
        assert len(pool.ask(rows(1))) == 1
        assert pool.watch.count("votecast_retried_battles") == 0


def test_a_full_queue_refuses_and_abandoned_requests_are_dropped() -> None:
    with running(in_flight=1) as pool:
        pool.kill(sign=signal.SIGSTOP)
        first = pool.asked(rows(1))
        until(pool.given)
        waiting = [pool.asked(rows(2)) for _ in range(2)]
        until(lambda: pool.pool.queued("it") == 4)
        with pytest.raises(QueueFullError) as refused:
            pool.ask(rows(1))
        assert refused.value.retry_after is not None and refused.value.retry_after >= 1
        for request in waiting:
            request.cancel()
        until(lambda: not pool.pool.queued("it"))
        pool.kill(sign=signal.SIGCONT)
        assert len(first.result()) == 1


def test_the_text_of_open_requests_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("votecast.serving.pool._HELD_CHARACTERS", 1_000)
    long = [rows(1)[0] | {"response_a": "word " * 300}]
    with running() as pool:
        pool.kill(sign=signal.SIGSTOP)
        first = pool.asked(long)
        until(pool.given)
        with pytest.raises(QueueFullError):
            pool.ask(long)
        pool.kill(sign=signal.SIGCONT)
        assert len(first.result()) == len(pool.ask(long)) == 1


def test_workers_end_when_the_server_decides() -> None:
    with running() as pool:
        pids = pool.pids
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            pool.kill(sign=sign)
        assert len(pool.ask(rows(1))) == 1 and pool.pids == pids
    assert not any(map(is_alive, pids))


def test_workers_end_with_the_server() -> None:
    script = (
        "from tests.serving.pools import RunningPool\n"
        "pool = RunningPool({'it': 'bundled:baseline'}, workers=2)\n"
        "print(*pool.pids, flush=True)\n"
    )
    root = str(Path(__file__).parents[2])
    front = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root, text=True)
    assert front.stdout is not None
    with front.stdout as out:
        pids = [int(word) for word in out.readline().split()]
    assert len(pids) == 2 and all(map(is_alive, pids))
    os.kill(front.pid, signal.SIGKILL)
    front.wait()
    until(lambda: not any(map(is_alive, pids)))
