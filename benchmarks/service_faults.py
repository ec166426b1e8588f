"""Check that the service loses no requests under load, kills and shutdown.

    python benchmarks/service_faults.py [--only crowd kills half stop] [--judge bundled:baseline] [--seconds 60]

- crowd: 512 connections, each with a request at all times. Failed is what ends in anything but 200 or 429.
- kills: one worker is killed with SIGKILL every 20 s under load. Lost is every request without a 200. A worker is
  replaced when `/ready` reports as many workers as before; shown are the seconds from each kill until then.
- half: one worker is killed every 5 s for a minute, if the last one is replaced, under half of its load.
  Lost or refused is every request without a 200.
- stop: SIGTERM under load. Accepted is every request that was written to its connection before the signal was sent;
  lost is each of them without a 200. Later ones may only be refused (503, or no connection).
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import _load
from _load import Plan, write_requests
from _service import Load, Outcome, Service, load, simulated, word

REPLACED_WITHIN, STOPPED_WITHIN = 10.0, 30.0
CROWD, BUSY = 512, 32
HALF_SECONDS, HALF_BETWEEN = 60.0, 5.0


def crowd(work: Path, asked: argparse.Namespace) -> bool:
    """Load the service with many connections."""
    with started(asked) as service:
        found = load(Plan(service.port, work / "requests", CROWD, asked.seconds))
    failed = len(found) - found.count(200, 429)
    print(f"{CROWD} connections for {asked.seconds:.0f} s: {found.summary()}")
    print(f"{found.count(200) / found.seconds:,.0f} answers a second")
    print(f"p50 {1000 * found.latency(50):.0f} ms, p99 {1000 * found.latency(99):.0f} ms")
    print(f"failed requests other than 429: {failed}; reach 0: {word(not failed)}", flush=True)
    return not failed


def kills(work: Path, asked: argparse.Namespace) -> bool:
    """Kill workers one after the other under load."""
    dice, times = random.Random(0), []
    with started(asked) as service:
        running = Load(Plan(service.port, work / "requests", BUSY, asked.between * (asked.kills + 1)))
        for _ in range(asked.kills):
            time.sleep(asked.between)
            os.kill(dice.choice(service.busiest(asked.workers)), signal.SIGKILL)
            times.append(until_whole(service, asked.workers))
        found = running.outcome()
    lost, slowest = len(found) - found.count(200), max(times)
    print(f"{asked.kills} kills, one every {asked.between:.0f} s, {BUSY} connections: {found.summary()}")
    print(f"requests lost: {lost}; reach 0: {word(not lost)}")
    reported = ", ".join(f"{seconds:.1f}" for seconds in times)
    print(
        f"replaced after {reported} s; at most {REPLACED_WITHIN:.0f} s: {word(slowest <= REPLACED_WITHIN)}", flush=True
    )
    return not lost and slowest <= REPLACED_WITHIN


def half(work: Path, asked: argparse.Namespace) -> bool:
    """Kill a worker every few seconds under half load."""
    dice = random.Random(0)
    with started(asked) as service:
        whole = load(Plan(service.port, work / "requests", BUSY, HALF_SECONDS / 6))
        rate = whole.count(200) / whole.seconds / 2
        running = Load(Plan(service.port, work / "requests", 4 * BUSY, HALF_SECONDS, rate=rate, random=True))
        killed, end = 0, time.monotonic() + HALF_SECONDS
        while time.monotonic() + HALF_BETWEEN < end:
            time.sleep(HALF_BETWEEN)
            # one that serves: on a busy machine the last one may not be replaced yet
            if service.workers_ready() == asked.workers:
                os.kill(dice.choice(service.busiest(asked.workers)), signal.SIGKILL)
                killed += 1
        found = running.outcome()
    lost = len(found) - found.count(200)
    print(f"{killed} kills, one every {HALF_BETWEEN:.0f} s, at {rate:.1f} requests a second: {found.summary()}")
    print(f"p50 {1000 * found.latency(50):.0f} ms, p99 {1000 * found.latency(99):.0f} ms")
    print(f"requests lost or refused: {lost} of {len(found)}; reach 0: {word(not lost)}", flush=True)
    return not lost


def until_whole(service: Service, workers: int) -> float:
    """Return the seconds until all workers are ready again."""
    start, gone = time.monotonic(), False
    while time.monotonic() - start < 6 * REPLACED_WITHIN:
        ready = service.workers_ready()
        gone |= ready < workers
        if gone and ready == workers:
            break
        time.sleep(0.02)
    return time.monotonic() - start


def stop(work: Path, asked: argparse.Namespace) -> bool:
    """Send SIGTERM under load."""
    with started(asked) as service:
        running = Load(Plan(service.port, work / "requests", BUSY, asked.stop_after + 3.0))
        time.sleep(asked.stop_after)
        signalled = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        code = service.process.wait(2 * STOPPED_WITHIN)
        seconds = time.monotonic() - signalled
        found = running.outcome()
    accepted, lost, odd = sorted_out(found, signalled)
    print(f"SIGTERM under load of {BUSY} connections: {found.summary()}; exit code {code} after {seconds:.1f} s")
    print(f"accepted and open at the signal: {accepted}; lost of all accepted: {lost}; reach 0: {word(not lost)}")
    print(f"later requests that ended in anything but 200, 503 or no connection: {odd}: {word(not odd)}", flush=True)
    return not (lost or odd or code) and seconds <= STOPPED_WITHIN


def sorted_out(found: Outcome, signalled: float) -> tuple[int, int, int]:
    """Count accepted requests open at the signal, lost ones and odd endings."""
    before = found.sent < signalled
    open_then = int((before & (found.done > signalled)).sum())
    lost = int((before & ~np.isin(found.status, (200, _load.REFUSED))).sum())
    turned_away = np.isin(found.status, (200, 503, _load.REFUSED))
    return open_then, lost, int((~before & ~turned_away).sum())


def started(asked: argparse.Namespace) -> Service:
    """Start the service under test."""
    print(f"\nload of the machine {os.getloadavg()[0]:.1f}", flush=True)
    return Service.votecast([asked.judge], "--workers", str(asked.workers))


def main() -> int:
    """Print the figures; return 1 if a mark is missed."""
    trials = {"crowd": crowd, "kills": kills, "half": half, "stop": stop}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(trials), default=list(trials))
    parser.add_argument("--judge", default="bundled:baseline")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the crowd")
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--between", type=float, default=20.0, help="seconds from one kill to the next")
    parser.add_argument("--stop-after", type=float, default=5.0, help="seconds of load before SIGTERM")
    parser.add_argument("--rows", type=int, default=1024)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_requests(work / "requests", (("/v1/compare", pair) for pair in simulated(asked.rows)))
        reached = [trials[name](work, asked) for name in asked.only]
    return int(not all(reached))


if __name__ == "__main__":
    sys.exit(main())
