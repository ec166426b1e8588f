"""How often two people agree who voted on the same pair, and the bounds that follow for every judge.

Called by `votecast.reports.audit.audit_judge`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from votecast.data.text_columns import AnswerPairs, Ints
from votecast.metrics import Figure
from votecast.metrics.intervals import ClusterDraws
from votecast.metrics.scores import decisions
from votecast.reports.audit.audit_rows import AuditRows
from votecast.reports.audit.findings import ClusterSums
from votecast.types import Floats, swap_columns


@dataclass(frozen=True)
class Agreement:
    """Agreement of two people on a pair, over the pairs with several votes, each pair counted once.

    The agreement bounds every judge, however good.

    Args:
        pairs: Pairs with several votes.
        votes: Votes on them.
        agreement: Share of pairs of votes on one pair that agree, A.
        judge: Share of the votes on these pairs that the judge's top choice matches.
        majority: Share of these votes that the majority of the other votes on the pair matches.
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

    @classmethod
    def of(cls, rows: AuditRows, seed: int) -> Agreement | None:
        """Measure the agreement of two people; None where no pair has several votes."""
        if not rows.has_texts:
            return None
        counts, group, first = _votes_by_pair(rows)
        several = np.flatnonzero(counts.sum(axis=1) > 1.5)  # soft labels sum up to 1 within rounding
        if not len(several):
            return None
        votes = counts[several]  # (pairs, 3)
        total = votes.sum(axis=1)
        clusters = np.unique(rows.sums.clusters[first[several]], return_inverse=True)[1]
        drawn = ClusterDraws(clusters, len(rows.sums.drawn), seed)
        sums = ClusterSums(np.ones(len(several)), clusters, drawn)
        agreement = sums.mean((votes * (votes - 1)).sum(axis=1) / (total * (total - 1)))
        # From the probability A that two votes on a pair agree follows for every judge: its Brier score is at least
        # 1 - A, its log loss at least -log A (the entropy of votes is no less than their collision entropy, Rényi 1961,
        # and -log is convex), its accuracy at most (1 + sqrt(6 A - 2)) / 3 with ties and (1 + sqrt(2 A - 1)) / 2
        # without (the largest share that votes of this agreement can have; concave in A). An A below that of random
        # votes, which few pairs may show, is taken for it.
        a = np.maximum(agreement, 1 / 2 if rows.binary else 1 / 3)  # value, low, high
        spread = np.sqrt(np.maximum(2 * a - 1 if rows.binary else 6 * a - 2, 0))  # below 0 by rounding only
        accuracy = (1 + spread) / (2 if rows.binary else 3)
        w = np.maximum(rows.sums.weights, 1e-12)
        values = (np.ones(len(w)), rows.hits, rows.losses)
        mass, hits, losses = (np.bincount(group, w * each, len(counts))[several] for each in values)
        # how often one vote of a pair matches most of its other votes; equal outcomes share
        others = np.sum([votes[:, k] * decisions(votes - np.eye(3)[k])[:, k] for k in range(3)], axis=0)
        falling = [0, 2, 1]  # the lower bound of A is the upper one of what falls with it
        return cls(
            pairs=len(several),
            votes=round(float(total.sum())),
            agreement=agreement,
            judge=sums.mean(hits / mass),
            majority=sums.mean(others / total),
            log_loss=Figure(*(-np.log(a[falling])).tolist()),
            judge_log_loss=sums.mean(losses / mass),
            accuracy=Figure(*accuracy.tolist()),
            brier=Figure(*(1 - a[falling]).tolist()),
        )


def _votes_by_pair(rows: AuditRows) -> tuple[Floats, Ints, Ints]:
    """Return the votes for each outcome of each pair, the pair of each row, and the first row of each pair."""
    pairs = AnswerPairs.of(rows.battles)
    group = pairs.numbers(ordered=False)
    targets = np.where(pairs.reversed[:, None], swap_columns(rows.targets), rows.targets)
    weights, single = rows.sums.weights, (targets == 1).any(axis=1)
    # a single vote counts once, and a row whose shares are so many whole votes as often as its weight
    votes = targets * np.round(weights)[:, None]
    whole = (np.abs(votes - np.round(votes)) < 1e-6).all(axis=1) & (np.abs(weights - np.round(weights)) < 1e-6)
    many = (~single | (weights > 1)) & whole
    cast = np.where(many[:, None], np.round(votes), np.where(single[:, None], targets, 0.0))
    counts: Floats = np.stack([np.bincount(group, column) for column in cast.T], axis=1)  # (pairs, 3)
    return counts, group, np.unique(group, return_index=True)[1].astype(np.int64)
