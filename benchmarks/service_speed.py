"""Compare the service with the offline engine and a naive endpoint.

    python benchmarks/service_speed.py [--only baseline encoder naive] [--rows 4096 384] [--rounds 2] [--seconds 30]

Pairs are simulated and as long as those of a public arena. Offline is `predict_proba` over pairs that lie in memory, on
all cores, in a process of its own; reading files, start and loading are apart. The service has two workers and answers
one pair a request over 64 connections; its front and the generator of load take their share of the same cores. Latency
is measured in an open loop at half of the load that the closed loop reached: a request counts from when it was planned.
Requests come evenly, which is what the mark is about, and at random moments, where several that come at once wait for
each other. The naive endpoint is `_naive_service.py` in its simplest form; two better ones stand beside it: forward
passes one at a time, and these on votecast's own engine. The best round counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from _load import Plan, write_requests
from _service import Outcome, Service, load, simulated, word

Floats = NDArray[np.float64]
PLACES = {"baseline": "bundled:baseline", "encoder": "bundled:encoder"}
EQUAL = {"baseline": 0.0, "encoder": 1e-5}
MARKS = {"baseline": (0.5, 0.7), "encoder": (0.8, 0.9)}
NAIVE, NAIVE_CONNECTIONS = (1.5, 3.0), 32
SLOWEST, SLOWEST_AIM = 0.250, 0.100
WARM, PATIENCE = 64, 300
NAIVE_COMMAND = [sys.executable, str(Path(__file__).with_name("_naive_service.py"))]


def score_offline(place: str, pairs: Path, out: Path) -> None:
    """Load, warm up and score in this process; write predictions and seconds."""
    import votecast
    from votecast.data import Battles

    judge = votecast.load_judge(place)
    battles = Battles.from_rows(json.loads(pairs.read_text("utf-8")))
    judge.predict_proba(battles[:16])
    start, cpu = time.perf_counter(), time.process_time()
    p = judge.predict_proba(battles)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    np.save(out.with_suffix(".npy"), p)
    out.with_suffix(".json").write_text(json.dumps({"seconds": seconds, "cpu": cpu}))


def offline(name: str, work: Path) -> tuple[Floats, float]:
    """Return predictions and seconds of the offline engine."""
    out = work / f"offline {name}"
    command = [sys.executable, __file__, "--offline", PLACES[name], "--pairs", str(work / f"{name}.json"), str(out)]
    subprocess.run(command, check=True)
    took = json.loads(out.with_suffix(".json").read_text())
    p = np.load(out.with_suffix(".npy"))
    print(f"  offline: {len(p) / took['seconds']:,.1f} pairs/s, {1000 * took['cpu'] / len(p):.2f} ms of CPU a pair")
    return p, took["seconds"]


def served(service: Service, plan: Plan, title: str) -> tuple[Floats, float]:
    """Return predictions and seconds of the service, one request per pair."""
    before = service.cpu()
    found = load(plan)
    used = {part: now - before[part] for part, now in service.cpu().items()}
    if found.count(200, 429) < len(found):
        raise SystemExit(f"{title} did not answer every request: {found.summary()}")
    p = np.empty((found.count(200), 3))
    for request, answer, status in zip(found.request.astype(int), found.answers, found.status, strict=True):
        if status == 200:
            p[request] = [json.loads(answer)["probabilities"][side] for side in ("a", "b", "tie")]
    each = ", ".join(f"{part} {1000 * spent / len(p):.2f}" for part, spent in [*used.items(), ("generator", found.cpu)])
    print(f"  {title}: {len(p) / found.seconds:,.1f} pairs/s ({found.summary()}); ms of CPU a pair: {each}", flush=True)
    return p, found.seconds


def throughput(name: str, service: Service, work: Path, asked: argparse.Namespace) -> tuple[bool, float]:
    """Compare outputs and speed with the offline engine; return marks and rate."""
    plan = Plan(service.port, work / f"{name}.requests", asked.connections, keep=True, patience=PATIENCE)
    best = {"offline": np.inf, "service": np.inf}
    for _ in range(asked.rounds):
        exact, seconds = offline(name, work)
        best["offline"] = min(best["offline"], seconds)
        p, seconds = served(service, plan, "service")
        best["service"] = min(best["service"], seconds)
        gap = float(np.abs(p - exact).max())
    same = gap <= EQUAL[name]
    print(f"predictions of both differ by {gap:.1e}, at most {EQUAL[name]:.0e}: {word(same)}")
    ratio, (reach, aim) = best["offline"] / best["service"], MARKS[name]
    print(
        f"{name}, service against offline: {ratio:.2f} x; reach {reach}, aim {aim}: {word(ratio >= reach)}", flush=True
    )
    return same and ratio >= reach, len(p) / best["service"]


def latency(name: str, service: Service, work: Path, rate: float, asked: argparse.Namespace) -> bool:
    """Print latencies at half load; return whether p99 reaches its mark."""
    fine, slow = True, {}
    for way, random in (("at random moments", True), ("evenly", False)):
        plan = Plan(service.port, work / f"{name}.requests", asked.connections, asked.seconds, rate / 2, random=random)
        found = load(plan)
        middle, slow[way] = found.latency(50), found.latency(99)
        reported = f"p50 {1000 * middle:.0f} ms, p99 {1000 * slow[way]:.0f} ms"
        print(f"{name}, {rate / 2:,.1f} requests a second {way}, {found.summary()}: {reported}", flush=True)
        fine &= found.count(200) == len(found)
    reached = slow["evenly"] <= SLOWEST
    print(f"p99: reach {SLOWEST * 1000:.0f} ms, aim {SLOWEST_AIM * 1000:.0f} ms: {word(reached)}", flush=True)
    return fine and reached


def against_offline(name: str, work: Path, asked: argparse.Namespace) -> bool:
    """Measure throughput and latency with one judge."""
    print(f"\n{name}: load of the machine {os.getloadavg()[0]:.1f}", flush=True)
    with Service.votecast([PLACES[name]], *options(asked)) as service:
        warm_up(service, work, name)
        reached, rate = throughput(name, service, work, asked)
        return latency(name, service, work, rate, asked) and reached


def against_naive(work: Path, asked: argparse.Namespace) -> bool:
    """Measure throughput beside the naive endpoint with the encoder."""
    print(f"\nnaive endpoint: load of the machine {os.getloadavg()[0]:.1f}", flush=True)
    seconds: dict[str, float] = {}
    predictions: dict[str, Floats] = {}
    started = [*NAIVE_COMMAND, PLACES["encoder"]]
    services = {
        "service": Service.votecast([PLACES["encoder"]], *options(asked)),
        "naive endpoint": Service(started),
        "one pass at a time": Service([*started, "--one-at-a-time"]),
        "one pass at a time on votecast's engine": Service([*started, "--one-at-a-time", "--engine", "votecast"]),
    }
    for title, service in services.items():
        with service:
            warm_up(service, work, "encoder")
            plan = Plan(service.port, work / "encoder.requests", NAIVE_CONNECTIONS, keep=True, patience=PATIENCE)
            for _ in range(asked.rounds):
                predictions[title], took = served(service, plan, title)
                seconds[title] = min(seconds.get(title, np.inf), took)
    gaps = [float(np.abs(predictions["service"] - predictions[title]).max()) for title in services]
    gap, most = max(gaps), EQUAL["encoder"]
    print(f"predictions of all differ by {gap:.1e}, at most {most:.0e}: {word(gap <= most)}")
    (reach, aim), ratios = NAIVE, {title: took / seconds["service"] for title, took in seconds.items()}
    mark = f"; reach {reach}, aim {aim}: {word(ratios['naive endpoint'] >= reach)}"
    for title in list(services)[1:]:
        reported = mark if title == "naive endpoint" else ""
        print(f"service against {title}: {ratios[title]:.2f} x{reported}", flush=True)
    return gap <= most and ratios["naive endpoint"] >= reach


def options(asked: argparse.Namespace) -> list[str]:
    """Return service options; slow machines need a longer queue for encoders."""
    return ["--workers", str(asked.workers), "--timeout", str(PATIENCE)]


def warm_up(service: Service, work: Path, name: str) -> Outcome:
    """Send a few requests first."""
    return load(Plan(service.port, work / f"{name}.warm", connections=8))


def prepare(work: Path, rows: Iterable[int]) -> None:
    """Write pairs and requests of both judges."""
    for name, count in zip(PLACES, rows, strict=True):
        pairs = simulated(count)
        (work / f"{name}.json").write_text(json.dumps(pairs), "utf-8")
        for kind, part in (("requests", pairs), ("warm", pairs[:WARM])):
            write_requests(work / f"{name}.{kind}", (("/v1/compare", pair) for pair in part))


def main() -> int:
    """Print the figures; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*PLACES, "naive"], default=[*PLACES, "naive"])
    parser.add_argument("--rows", type=int, nargs=2, default=[4096, 384], metavar=("BASELINE", "ENCODER"))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each open loop")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    for internal in ("--offline", "--pairs"):
        parser.add_argument(internal, help="for the process that this one starts")
    parser.add_argument("out", nargs="?", help="for the process that this one starts")
    asked = parser.parse_args()
    if asked.offline:
        score_offline(asked.offline, Path(asked.pairs), Path(asked.out))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), asked.rows)
        reached = [against_offline(name, Path(folder), asked) for name in PLACES if name in asked.only]
        if "naive" in asked.only:
            reached.append(against_naive(Path(folder), asked))
    return int(not all(reached))


if __name__ == "__main__":
    raise SystemExit(main())
