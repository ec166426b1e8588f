"""Estimate time and cost of predicting many pairs on several actors.

    python scripts/sizing.py [--hours 24] [--pairs 1e6 1e8 1e10] [--price 0.05] [--seed 0]
    python scripts/sizing.py --pairs-per-second 40 --start 30 --price 2.50 --pairs 1e8 --actors 16
    python scripts/sizing.py --measure JUDGE --input pairs.parquet [--limit 200]

Without --actors as many are taken as finish within --hours. The run is simulated: actors of unequal speed take parts
from one queue, share the bandwidth of the store, fail at random, lose the part they were at, start anew.
--measure prints the pairs one thread predicts per second, how long a start takes, and the memory (on Linux).
"""

from __future__ import annotations

import argparse
import heapq
import math
import resource
import time
from dataclasses import dataclass, replace

import numpy as np

from votecast.errors import VotecastError

STEP, MOST, PART_SECONDS = 1024, 131_072, 600
"""Rows of a part: a multiple of the first, at most the second, and about this many seconds of work."""
SIMULATED = 100_000
"""Parts that are simulated; of a larger run an equal share of parts and actors."""


@dataclass(frozen=True)
class Family:
    """Speed and cost of one actor of a kind of judge.

    Args:
        name: In the table.
        rate: Pairs a second.
        start: Seconds until an actor predicts its first pair.
        price: Of an actor for an hour.
        origin: Where the rate is from.
    """

    name: str
    rate: float
    start: float
    price: float
    origin: str


CORE, CARD = "one core, measured", "one GPU, ASSUMED"
FAMILIES = (
    Family("baseline", 800.0, 5.0, 0.05, CORE),
    Family("encoder (MiniLM)", 6.5, 12.0, 0.05, CORE),
    Family("decoder (135M, LoRA)", 0.75, 20.0, 0.05, CORE),
    Family("encoder (DeBERTa-v3-large)", 60.0, 60.0, 2.50, CARD),
    Family("decoder (9B, bf16)", 6.0, 180.0, 2.50, CARD),
)


@dataclass(frozen=True)
class Store:
    """Limits shared by the actors.

    Args:
        read: Bytes of a pair that are read, compressed.
        written: Bytes of a prediction.
        bandwidth: Bytes a second of the store, over all actors.
        link: Bytes a second of one actor.
        failures: Of one actor in a thousand hours.
        wait: Seconds until a failure is seen and a new actor has its place.
        spread: Standard deviation of the actors' speeds, as a share.
    """

    read: float = 1500.0
    written: float = 40.0
    bandwidth: float = 1e9
    link: float = 1e8
    failures: float = 5.0
    wait: float = 60.0
    spread: float = 0.1


@dataclass(frozen=True)
class Outcome:
    """Seconds, paid actor seconds, lost seconds and failures of one run."""

    actors: int
    rows: int
    seconds: float
    paid: float
    lost: float
    failures: int


def part_rows(rate: float) -> int:
    """Return the rows of a part: few lost per failure, few files.

    Example:
        >>> part_rows(900), part_rows(6), part_rows(0.3)
        (131072, 3072, 1024)
    """
    return min(MOST, max(STEP, int(rate * PART_SECONDS) // STEP * STEP))


def part_seconds(family: Family, store: Store, actors: int) -> float:
    """Return the mean seconds of a part; reading overlaps prediction."""
    rows, bandwidth = part_rows(family.rate), min(store.link, store.bandwidth / actors)
    return max(rows / family.rate, rows * store.read / bandwidth) + rows * store.written / bandwidth


def enough(family: Family, store: Store, pairs: int, hours: float) -> int:
    """Return actors that finish in time with a tenth to spare."""
    room, parts = 0.9 * hours * 3600 - family.start, math.ceil(pairs / part_rows(family.rate))
    if room <= 0 or pairs * (store.read + store.written) / store.bandwidth > room:
        raise SystemExit(f"{pairs:,} pairs are not read and written in {hours:g} hours; give more, or more bandwidth")
    actors = 1
    while math.ceil(parts / actors) * part_seconds(family, store, actors) > room:
        if actors >= parts:
            raise SystemExit(f"one part takes {family.name} more than {hours:g} hours; give more")
        actors = min(parts, max(actors + 1, int(actors * 1.02)))
    return actors


def simulate(family: Family, store: Store, pairs: int, actors: int, *, seed: int) -> Outcome:
    """Simulate actors that take parts from a queue."""
    rng, rows = np.random.default_rng(seed), part_rows(family.rate)
    parts = math.ceil(pairs / rows)
    actors = min(actors, parts)
    base, shares = part_seconds(family, store, actors), max(1, min(actors, math.ceil(parts / SIMULATED)))
    left, count = math.ceil(parts / shares), math.ceil(actors / shares)
    speed = np.maximum(rng.normal(1.0, store.spread, count), 0.2)
    between = 3.6e6 / store.failures if store.failures else math.inf
    fails = rng.exponential(1.0, count) * between
    free = [(family.start, actor) for actor in range(count)]
    last, lost, failures = 0.0, 0.0, 0
    while left:
        at, actor = heapq.heappop(free)
        end = at + base / speed[actor]
        if end > fails[actor]:
            end = max(at, fails[actor]) + store.wait + family.start
            lost, failures = lost + end - at, failures + 1
            fails[actor] = end + rng.exponential(1.0) * between
        else:
            left, last = left - 1, max(last, end)
        heapq.heappush(free, (end, actor))
    return Outcome(actors, rows, last, last * actors, lost * actors / count, failures * actors // count)


def table(families: tuple[Family, ...], store: Store, asked: argparse.Namespace) -> str:
    """Return one line per kind of judge and number of pairs."""
    head = ("judge", "one actor", "pairs/s", "pairs", "rows a part", "actors", "hours", "cost", "lost", "failures")
    lines = [head]
    for family in families:
        for pairs in map(int, asked.pairs):
            actors = asked.actors or enough(family, store, pairs, asked.hours)
            run = simulate(family, store, pairs, actors, seed=asked.seed)
            cost = run.paid / 3600 * family.price
            figures = (f"{family.rate:g}", size(pairs), f"{run.rows:,}", f"{run.actors:,}")
            ran = (f"{run.seconds / 3600:.2f}", f"{cost:,.2f}", f"{run.lost / run.paid:.2%}", f"{run.failures:,}")
            lines.append((family.name, family.origin, *figures, *ran))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at > 1 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def size(pairs: int) -> str:
    """Return a number of pairs in words.

    Example:
        >>> size(1_000_000), size(10_000_000_000)
        ('1 M', '10 B')
    """
    return f"{pairs / 1e9:g} B" if pairs >= 1e9 else f"{pairs / 1e6:g} M"


def measure(judge: str, file: str, limit: int) -> None:
    """Print one thread's pairs per second and start-up time."""
    from threadpoolctl import threadpool_limits

    from votecast.data import read_votes
    from votecast.judges.load import load_judge

    began = time.perf_counter()
    with threadpool_limits(1):
        battles = read_votes(file, limit=limit)
        loaded = load_judge(judge)
        loaded.predict_proba(battles.take(np.arange(min(8, len(battles)))))
        start, clock, cpu = time.perf_counter() - began, time.perf_counter(), time.process_time()
        loaded.predict_proba(battles)
        clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    rate, steady = len(battles) / clock, len(battles) / cpu
    print(f"{judge}: {len(battles):,} pairs, {rate:.4g} a second, {steady:.4g} a second of CPU; start {start:.0f} s")
    print(f"memory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")
    print(f"next: python scripts/sizing.py --pairs-per-second {rate:.4g} --start {start:.0f} --price YOURS")


def main() -> None:
    """Read the command line and print the estimate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=float, nargs="+", default=[1e6, 1e8, 1e10])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--actors", type=int)
    parser.add_argument("--pairs-per-second", type=float, help="of one actor; one line instead of the five families")
    parser.add_argument("--start", type=float, help="seconds until an actor predicts")
    parser.add_argument("--price", type=float, help="of one actor for an hour")
    parser.add_argument("--seed", type=int, default=0)
    for name, value in vars(Store()).items():
        parser.add_argument(f"--{name}", type=float, default=value, help=f"default {value:g}")
    parser.add_argument("--measure", metavar="JUDGE")
    parser.add_argument("--input")
    parser.add_argument("--limit", type=int, default=200)
    asked = parser.parse_args()
    if asked.measure:
        if not asked.input:
            parser.error("--measure needs pairs to predict: --input FILE")
        try:
            measure(asked.measure, asked.input, asked.limit)
        except VotecastError as error:
            parser.exit(1, f"error: {error}\n")
        return
    above = (asked.pairs_per_second, asked.actors, asked.hours, asked.bandwidth, asked.link, *asked.pairs)
    least = (asked.start, asked.price, asked.read, asked.written, asked.failures, asked.wait, asked.spread)
    if not all(value is None or 0 < value < math.inf for value in above) or min(asked.pairs) < 1:
        parser.error("--pairs-per-second, --actors, --hours, --bandwidth, --link are above 0, and --pairs at least 1")
    if not all(value is None or 0 <= value < math.inf for value in least):
        parser.error("--start, --price, --read, --written, --failures, --wait and --spread are at least 0")
    families: tuple[Family, ...] = FAMILIES
    if asked.pairs_per_second:
        families = (Family("yours", asked.pairs_per_second, 30.0, 1.0, "as you say"),)
    given = {"start": asked.start, "price": asked.price}
    families = tuple(replace(family, **{k: v for k, v in given.items() if v is not None}) for family in families)
    print(table(families, Store(**{name: getattr(asked, name) for name in vars(Store())}), asked))


if __name__ == "__main__":
    main()
