"""How far two people agree who voted on the same pair, and what that leaves for any judge to reach."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from votecast.data.answer_pairs import AnswerPairs
from votecast.data.text_columns import Ints
from votecast.metrics.bootstrap import ClusterDraws
from votecast.metrics.result import Figure
from votecast.metrics.rows import Floats, decisions
from votecast.reports.audit.rows import Rows
from votecast.reports.audit.sums import Sums
from votecast.types import Probabilities, swap_columns


@dataclass(frozen=True)
class People:
    """Agreement of two people on a pair, over the pairs with several votes, each pair counted once.

    From the chance A that two votes on a pair agree follow bounds for every forecast, however good: its Brier score
    is at least 1 - A, its log loss at least -log A (the entropy of votes is no less than their collision entropy,
    Rényi 1961, and -log is convex), its accuracy at most (1 + sqrt(6 A - 2)) / 3 with ties and
    (1 + sqrt(2 A - 1)) / 2 without (the largest share that votes of this agreement can have; concave in A). An A below
    that of votes drawn by lot, which few pairs may show, is taken for it.

    Args:
        pairs: AnswerPairs with several votes.
        votes: Votes on them.
        agreement: Share of pairs of votes on one pair that agree, A.
        judge: Share of the votes on these pairs that the judge's decision meets.
        majority: Share of these votes that the majority of the other votes on the pair meets.
        log_loss: Log loss that no judge can be expected to go below.
        judge_log_loss: Log loss of the judge on these pairs.
        accuracy: Accuracy that no judge can be expected to go above.
        brier: Brier score that no judge can be expected to go below.
    """

    pairs: int
    votes: int
    agreement: Figure
    judge: Figure
    majority: Figure
    log_loss: Figure
    judge_log_loss: Figure
    accuracy: Figure
    brier: Figure


def people(rows: Rows, seed: int) -> People | None:
    """Measure the agreement of two people; None where no pair has several votes."""
    if not rows.has_texts:
        return None
    counts, group, first = _counted(rows)
    several = np.flatnonzero(counts.sum(axis=1) > 1.5)
    if not len(several):
        return None
    votes = counts[several]
    total = votes.sum(axis=1)
    clusters = np.unique(rows.sums.clusters[first[several]], return_inverse=True)[1]
    drawn = ClusterDraws(clusters, len(rows.sums.drawn), seed)
    sums = Sums(np.ones(len(several)), clusters, drawn)
    agreement = sums.mean((votes * (votes - 1)).sum(axis=1) / (total * (total - 1)))
    least = 1 / 2 if rows.binary else 1 / 3
    mine = [_per_pair(rows, values, group, len(counts))[several] for values in (rows.hits, rows.losses)]
    return People(
        pairs=len(several),
        votes=round(float(total.sum())),
        agreement=agreement,
        judge=sums.mean(mine[0]),
        majority=sums.mean(_majority(votes)),
        log_loss=_bound(agreement, lambda a: -math.log(a), least, falling=True),
        judge_log_loss=sums.mean(mine[1]),
        accuracy=_bound(agreement, _most_binary if rows.binary else _most, least),
        brier=_bound(agreement, lambda a: 1 - a, least, falling=True),
    )


def _counted(rows: Rows) -> tuple[Floats, Ints, Ints]:
    """Votes for each outcome of each pair in the order of its first row, the pair of each row, and first rows."""
    pairs = AnswerPairs.of(rows.battles)
    group = pairs.numbers(ordered=False)
    targets = np.where(pairs.reversed[:, None], swap_columns(rows.targets), rows.targets)
    cast = _cast(targets, rows.sums.weights)
    counts: Floats = np.stack([np.bincount(group, column) for column in cast.T], axis=1)
    return counts, group, np.unique(group, return_index=True)[1].astype(np.int64)


def _cast(targets: Probabilities, weights: Floats) -> Floats:
    """How many votes a row stands for: one for a single vote; its weight for shares that are so many whole votes."""
    single = (targets == 1).any(axis=1)
    votes = targets * np.round(weights)[:, None]
    whole = (np.abs(votes - np.round(votes)) < 1e-6).all(axis=1) & (np.abs(weights - np.round(weights)) < 1e-6)
    many = (~single | (weights > 1)) & whole
    return np.where(many[:, None], np.round(votes), np.where(single[:, None], targets, 0.0))


def _per_pair(rows: Rows, values: Floats, group: Ints, size: int) -> Floats:
    w = np.maximum(rows.sums.weights, 1e-12)
    return np.asarray(np.bincount(group, w * values, minlength=size) / np.bincount(group, w, minlength=size))


def _majority(votes: Floats) -> Floats:
    """Chance that one vote of a pair is what most of its other votes say; outcomes that draw share it."""
    met = np.zeros(len(votes))
    for k in range(3):
        others = votes - np.eye(3)[k]
        met += votes[:, k] * decisions(others)[:, k]
    return np.asarray(met / votes.sum(axis=1))


def _most(agreement: float) -> float:
    return (1 + math.sqrt(max(6 * agreement - 2, 0.0))) / 3


def _most_binary(agreement: float) -> float:
    return (1 + math.sqrt(max(2 * agreement - 1, 0.0))) / 2


def _bound(agreement: Figure, rule: Callable[[float], float], least: float, *, falling: bool = False) -> Figure:
    value, low, high = (float("nan") if math.isnan(a) else rule(max(a, least)) for a in agreement)
    return Figure(value, high, low) if falling else Figure(value, low, high)
