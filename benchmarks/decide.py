"""Measure error and coverage of `decide` on a simulated arena.

    python benchmarks/decide.py [--rows 12000] [--votes 2000] [--resamples 200] [--error 0.10] [--confidence 0.90]
                                [--clearer 4]

A third of the rows trains a baseline; of the rest one row of each prompt is the population. Each resample draws so many
of its rows, with replacement, and fresh votes on them, and fits a rule, each row counting as a prompt of its own. It is
measured by the true probabilities over the whole population: the error among the pairs that it decides, and how many
these are, against the threshold of an oracle that knows the true error at every threshold of the same judge.

The raters of the simulated arena agree so little that even the true probabilities are wrong more often
than 0.10 on nearly every pair: there, abstaining on every pair is correct, which is checked too. So the votes are
drawn from raters who see differences in quality four times as clearly (`--clearer`) and less often call a tie.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast import Battles, TrainedJudge, simulate
from votecast.data.battles import TEXT_COLUMNS
from votecast.data.duplicates import prompt_clusters
from votecast.data.simulation import Truth
from votecast.data.simulation.votes import davidson
from votecast.jobs.decide import fit_rule
from votecast.types import CLASSES

Floats = NDArray[np.float64]
KEPT, SHARE = 0.90, 0.80
TIES = 0.6


@dataclass(frozen=True)
class FixedJudge:
    """A judge that returns given predictions by id."""

    predictions: dict[str, Floats]
    name: str = "baseline"
    hash: str = ""
    prompt_hashes: Any = None

    def predict_proba(self, battles: Battles) -> Floats:
        """Return the given predictions of these battles."""
        return np.array([self.predictions[name] for name in battles.ids])


def voted(battles: Battles, true: Floats, rng: np.random.Generator) -> Battles:
    """Return the same battles with fresh votes."""
    drawn = (rng.random(len(true))[:, None] >= np.cumsum(true, axis=1)[:, :2]).sum(axis=1)
    winners = pa.array(np.array(CLASSES, dtype=object)[drawn], pa.large_string())
    place = battles.table.schema.get_field_index("winner")
    return Battles(battles.table.set_column(place, battles.table.schema.field("winner"), winners))


def oracle(p: Floats, true: Floats, error: float) -> float:
    """Return the largest share of pairs decidable within a true error."""
    order = np.argsort(-p[:, :2].max(axis=1))
    wrong = 1 - np.where(p[:, 0] > p[:, 1], true[:, 0], true[:, 1])[order]
    fine = np.flatnonzero(np.cumsum(wrong) / np.arange(1, len(p) + 1) <= error)
    return float((fine.max() + 1) / len(p)) if len(fine) else 0.0


def resampled(
    pool: Battles, p: Floats, true: Floats, asked: argparse.Namespace, method: Any, rounds: int
) -> tuple[Floats, Floats]:
    """Return true error and share of decided pairs for each resample."""
    judge = FixedJudge(dict(zip(pool.ids, p, strict=True)))
    errors, shares = np.zeros(rounds), np.zeros(rounds)
    for number in range(rounds):
        rng = np.random.default_rng([asked.seed, number])
        rows = rng.integers(len(pool), size=asked.votes)
        votes = voted(pool.take(rows), true[rows], rng)
        rule = fit_rule(judge, votes, error=asked.error, confidence=asked.confidence, method=method, seed=number)
        decisions = np.array(rule.decide(p)[0])
        right = np.where(decisions == "a", true[:, 0], true[:, 1])
        decided = decisions != "open"
        shares[number] = decided.mean()
        errors[number] = (1 - right[decided]).mean() if decided.any() else 0.0
    return errors, shares


def bare(battles: Battles) -> Battles:
    """Return the rows without texts, so that each counts by itself."""
    table = battles.table
    for name in TEXT_COLUMNS:
        empty = pa.array([[]] * len(battles), table.schema.field(name).type)
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), empty)
    return Battles(table)


def population(rows: int, clearer: float, seed: int) -> tuple[Battles, Battles, Floats, Floats, Floats]:
    """Return training votes, one battle per other prompt, predictions and true probabilities."""
    parts = list(simulate(rows, seed))
    battles, truth = Battles.concat([b for b, _ in parts]), Truth.concat([t for _, t in parts])
    clear = davidson(clearer * (truth.qualities[:, 0] - truth.qualities[:, 1]), TIES)
    clusters = prompt_clusters(battles, seed=seed)
    first = np.unique(clusters, return_index=True)[1]
    train = np.flatnonzero(clusters < (clusters.max() + 1) // 3)
    rest = np.setdiff1d(first, train)
    votes = voted(battles.take(train), clear[train], np.random.default_rng(seed))
    judge = TrainedJudge("baseline", {"folds.n": 3}).fit(votes)
    pool = battles.take(rest)
    return votes, bare(pool), judge.predict_proba(pool), clear[rest], truth.probabilities[rest]


def main() -> int:
    """Print the figures; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--votes", type=int, default=2_000, help="calibration votes of each resample")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--error", type=float, default=0.10)
    parser.add_argument("--confidence", type=float, default=0.90)
    parser.add_argument("--clearer", type=float, default=4.0, help="how much more clearly raters see differences")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    start = time.perf_counter()
    votes, pool, p, clear, plain = population(asked.rows, asked.clearer, asked.seed)
    print(f"trained on {len(votes):,} votes; {len(pool):,} pairs, one of a prompt; {time.perf_counter() - start:.0f} s")
    best = oracle(p, clear, asked.error)
    print(f"error {asked.error:g}, confidence {asked.confidence:g}, {asked.votes:,} calibration votes: an oracle")
    print(f"threshold decides {best:.1%}; with the true probabilities in place of predictions it would be")
    print(f"{oracle(clear, clear, asked.error):.1%}, and under the votes of the arena as it is", end=" ")
    print(f"{oracle(plain, plain, asked.error):.2%}\n")
    print(f"{'method':8} {'kept':>7} {'mean error':>11} {'decided':>8} {'of oracle':>10} {'nothing':>8}")
    fine = True
    for method in ("ltt", "sgr"):
        errors, shares = resampled(pool, p, clear, asked, method, asked.resamples)
        kept, share = float((errors <= asked.error).mean()), float(shares.mean()) / best if best else 1.0
        some, none = shares > 0, float((shares == 0).mean())
        mean = float(errors[some].mean()) if some.any() else 0.0
        print(f"{method:8} {kept:7.1%} {mean:11.4f} {shares.mean():8.1%} {share:10.1%} {none:8.1%}")
        fine &= method == "sgr" or (kept >= KEPT and share >= SHARE)
    _, shares = resampled(pool, p, plain, asked, "ltt", min(asked.resamples, 20))
    print(f"\nvotes of the arena as it is: nothing decided in {float((shares == 0).mean()):.0%} of 20 resamples")
    word = "reached" if fine else "MISSED"
    print(f"error kept in {KEPT:.0%} of resamples, {SHARE:.0%} of the oracle's decisions (ltt): {word}")
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
