"""Time a leaderboard of many votes with bootstrap intervals, beside arena-rank.

Votes are simulated. Both get the same table and give Bradley and Terry's scores with intervals from files drawn from
it; their results are compared first: scores to 1e-6 log odds (arena-rank's optimiser set to go on until nothing moves),
widths of intervals to the noise of few draws. Then both are timed with the settings they come with, each in a
process of its own on the same two cores. arena-rank draws rows; here whole prompts are drawn, of which every vote has
its own in this table. Below that are the other fits, intervals from the sandwich, and style control.

    python benchmarks/ranking_speed.py [--votes 1000000] [--models 100] [--draws 200] [--peer-draws 20] [--cores 2]
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from queue import Empty
from typing import Any

import numpy as np
from numpy.typing import NDArray

from votecast.leaderboard import Games, Ranking, rank_models

Floats = NDArray[np.float64]
REACH, AIM = 60.0, 15.0
UNIT = 400 / np.log(10)
EQUAL, NOISE = 1e-6, 0.2
WORDS = np.array(["model_a", "model_b", "tie"])
Table = dict[str, Any]


def simulated(models: int, votes: int) -> Table:
    """Draw votes from Davidson's model, with one style feature."""
    rng = np.random.default_rng(0)
    strengths = rng.normal(size=models) * 0.7
    a = rng.integers(models, size=votes)
    b = (a + rng.integers(1, models, size=votes)) % models
    style = rng.normal(size=votes)
    lead = strengths[a] - strengths[b] + 0.3 * style
    odds = np.stack([np.exp(lead / 2), np.exp(-lead / 2), np.full(votes, 0.9)], axis=1)
    edges = (odds / odds.sum(axis=1, keepdims=True)).cumsum(axis=1)
    outcome = (rng.random(votes)[:, None] > edges[:, :2]).sum(axis=1)
    return {"models": models, "a": a, "b": b, "outcome": outcome, "style": style}


def names(models: int) -> list[str]:
    return [f"m{number:04}" for number in range(models)]


def ours(table: Table, *, style: bool = False, **settings: Any) -> tuple[Ranking, float]:
    """Return a ranking and its seconds, from arrays to the end."""
    start = time.perf_counter()
    styled = {"style": table["style"][:, None], "style_names": ["form"]} if style else {}
    games = Games.of(names(table["models"]), table["a"], table["b"], np.eye(3)[table["outcome"]], **styled)
    return rank_models(games, **settings), time.perf_counter() - start


def theirs(table: Table, draws: int, cores: int, **settings: Any) -> tuple[Floats, Floats, float]:
    """Return log odds, standard errors and seconds of arena-rank."""
    import pandas as pd
    from arena_rank.models.bradley_terry import BradleyTerry
    from arena_rank.utils.data_utils import PairDataset

    known = np.array(names(table["models"]))
    columns = {"model_a": known[table["a"]], "model_b": known[table["b"]], "winner": WORDS[table["outcome"]]}
    frame = pd.DataFrame(columns)
    start = time.perf_counter()
    data = PairDataset.from_pandas(frame)
    model = BradleyTerry(table["models"], **settings)
    kind = {"ci_method": "bootstrap", "num_bootstrap": draws, "n_jobs": cores} if draws else {}
    found = model.compute_ratings_and_cis(data, **kind)
    ratings, errors = np.asarray(found["ratings"]), np.sqrt(np.asarray(found["variances"]))
    return (ratings - ratings.mean()) / UNIT, errors / UNIT, time.perf_counter() - start


def _put(queue: Any, work: Callable[..., Any], arguments: tuple[Any, ...], settings: dict[str, Any]) -> None:
    queue.put(work(*arguments, **settings))


def apart(limit: float, work: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """Run work in a separate process; None on timeout or failure."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_put, args=(queue, work, arguments, settings))
    process.start()
    end = time.perf_counter() + limit
    while time.perf_counter() < end:
        alive = process.is_alive()
        with contextlib.suppress(Empty):
            return _ended(process, queue.get(timeout=1))
        if not alive:
            break
    return _ended(process, None)


def _ended(process: Any, found: Any) -> Any:
    process.kill()
    process.join()
    return found


def compared(table: Table, cores: int, limit: float) -> bool:
    """Print whether both agree; return whether arena-rank finished."""
    exact = apart(limit, theirs, table, 0, cores, ftol=0.0, gtol=1e-12)
    if exact is None:
        print("arena-rank is not installed or gives no answer: times here alone")
        return False
    ranking, _ = ours(table)
    order = np.argsort(ranking.models)
    scores = (ranking.score[order] - 1000) / UNIT
    off = float(np.abs(scores - exact[0]).max())
    print(f"largest difference of log odds: {off:.1e} (must be below {EQUAL:.0e})")
    assert off < EQUAL, "the fits differ"
    return True


def timed(table: Table, asked: argparse.Namespace) -> float:
    """Print both times; return that of votecast."""
    ranking, seconds = apart(asked.limit, ours, table, intervals="bootstrap", draws=asked.draws)
    print(f"votecast, {asked.draws} draws: {seconds:.1f} s", flush=True)
    if compared(table, asked.cores, asked.limit):
        found = apart(asked.limit, theirs, table, asked.peer_draws, asked.cores)
        if found is None:
            print(f"arena-rank, {asked.peer_draws} draws: no answer within {asked.limit:.0f} s")
        else:
            each = found[2] / asked.peer_draws
            print(f"arena-rank, {asked.peer_draws} draws on {asked.cores} cores: {found[2]:.1f} s, {each:.2f} s a draw")
            width = float(np.mean(ranking.high - ranking.low) / (2 * 1.96 * UNIT) / np.mean(found[1]))
            print(f"width of intervals: {width:.3f} of that of arena-rank's standard errors")
            assert abs(width - 1) < NOISE, "the intervals differ"
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=int, default=1_000_000)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--peer-draws", type=int, default=20, help="of arena-rank, which compiles anew for each")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which arena-rank is given up")
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: asked.cores])
    table = simulated(asked.models, asked.votes)
    print(f"{asked.votes:,} votes, {asked.models} models")
    seconds = timed(table, asked)
    for method in ("bradley_terry", "davidson", "rao_kupper"):
        for style in (False, True):
            took = ours(table, method=method, style=style)[1]
            print(f"{method}{', style control' if style else ''}, sandwich: {took:.1f} s", flush=True)
    for method in ("davidson", "rao_kupper"):
        took = ours(table, method=method, intervals="bootstrap", draws=asked.draws)[1]
        print(f"{method}, {asked.draws} draws: {took:.1f} s", flush=True)
    print(f"votecast, bootstrap: {seconds:.1f} s (reach {REACH:.0f}, aim {AIM:.0f})")
    return int(seconds > REACH)


if __name__ == "__main__":
    sys.exit(main())
