"""Votes with the predictions for both orders of the responses, and the values of each row that an audit averages.

Built once by `votecast.reports.audit.audit_judge`; every other module of the audit takes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.data.reader import read_votes
from votecast.data.text_columns import has_texts
from votecast.errors import DataError
from votecast.judges.evaluate import Predictions, vote_clusters
from votecast.judges.predict_batch import reader_numbers, unknown_prompts
from votecast.judges.shared_rows import check_leaks, predict_unseen
from votecast.judges.trained import TrainedJudge
from votecast.metrics.checks import check_probabilities, check_rows
from votecast.metrics.intervals import ClusterDraws
from votecast.metrics.scores import EPSILON, decisions, log_losses, row_sum, without_ties
from votecast.reports.audit.findings import ClusterSums
from votecast.text.truncation import TruncationReport
from votecast.types import Judge, Probabilities, swap_columns

ORDER_ROWS: Final = 2_000
"""Rows predicted in the swapped order where the family of the judge declares that the order has no effect."""

_SAME: Final = 1e-6
NO_HASHES = "the training prompts of the judge are unknown, so overlap with these votes cannot be ruled out"
NO_PROMPTS = "the rows have no prompts: leaks are not checked, and every row is its own cluster"
NO_JUDGE = (
    "only predictions were given: the judge's training data, its truncation and its predictions for the swapped order "
    "are unknown"
)


@dataclass
class AuditRows:
    """Votes and predictions, row by row."""

    battles: Battles
    # votes and predictions, (n, 3); where no tie was voted the votes are binary and no tie is predicted
    targets: Probabilities
    p: Probabilities
    # predictions for the swapped order, columns swapped back, (n, 3)
    reverse: Probabilities | None
    sums: ClusterSums
    binary: bool
    has_texts: bool
    # None where the judge reads everything, or it is unknown
    cut: TruncationReport | None
    # how many rows have prompts of the judge's training data; None where unknown
    leaks: int | None
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Compute what the audit averages, shape (n,) each."""
        t, p = self.targets, self.p
        logs, lead = np.log(np.clip(p, EPSILON, 1 - EPSILON)), p[:, 0] - p[:, 1]
        self.losses = log_losses(t, p)
        # log loss minus the entropy of the prediction: 0 on average for a calibrated judge, above 0 for an
        # overconfident one; it is minus the derivative of the log-likelihood by the inverse temperature at 1
        self.excess = self.losses + row_sum(p * logs)
        # share of the votes that the top choice matches
        self.hits = np.asarray((t * decisions(p)).sum(axis=1))
        # predicted minus voted tie, and win share of a, a tie counting half
        self.tie_gap = np.asarray(p[:, 2] - t[:, 2])
        self.side_gap = np.asarray((lead - (t[:, 0] - t[:, 1])) / 2)
        # variances of these if the predictions are true; 0 for soft labels, which scatter less than single votes
        single = (t.max(axis=1) == 1).astype(np.float64)
        self.excess_noise = np.asarray(single * (row_sum(p * np.square(logs)) - np.square(row_sum(p * logs))))
        self.tie_noise = np.asarray(single * p[:, 2] * (1 - p[:, 2]))
        self.side_noise = np.asarray(single * ((p[:, 0] + p[:, 1]) - np.square(lead)) / 4)

    def __len__(self) -> int:
        return len(self.battles)


def predict_audit_rows(
    judge: Judge | Predictions, votes: object, *, allow_leak: bool, out_of_fold: bool, draws: int, seed: int
) -> AuditRows:
    """Predict the votes in both orders of the responses, once each.

    Raises:
        DataError: If there are no votes, one is missing, or predictions do not belong to them.
        LeakError: If the votes share prompts with the training data of the judge.
    """
    if isinstance(votes, str | Path):
        numbers = {} if isinstance(judge, Predictions) else reader_numbers(judge)
        votes = read_votes(votes, labels="required", **numbers)
    battles = as_battles(votes)
    if not len(battles):
        raise DataError("there are no votes to audit on; give at least one row with a vote")
    targets, weights = battles.targets(), battles.weights()
    leaks, notes = _count_leaks(judge, battles, allow=allow_leak or out_of_fold)
    cut, q = None, None
    if out_of_fold and leaks and not isinstance(judge, Predictions):
        p, swapped, note = predict_unseen(judge, battles)
        q, leaks, notes = swap_columns(swapped), 0, [*notes, note]
    elif isinstance(judge, Predictions):
        p = judge.on(battles)
        notes += judge.notes
    elif hasattr(judge, "predict_with_truncation"):  # only votecast's own judges truncate
        p, cut = judge.predict_with_truncation(battles)
    else:
        p = judge.predict_proba(battles)
    p = check_rows(targets, p, weights, notes=notes).probabilities
    if q is None and not isinstance(judge, Predictions):
        q, order_notes = _predict_swapped(judge, battles, p)
        notes += order_notes
    clusters = vote_clusters(battles, seed)
    binary = not weights @ targets[:, 2]
    if binary:
        p, q = without_ties(p), None if q is None else without_ties(q)
    sums = ClusterSums(weights, clusters, ClusterDraws(clusters, draws, seed))
    return AuditRows(battles, targets, p, q, sums, binary, has_texts(battles), cut, leaks, tuple(notes))


def _predict_swapped(judge: Judge, battles: Battles, p: Probabilities) -> tuple[Probabilities, list[str]]:
    """Predict the swapped order, columns swapped back."""

    def _predict(part: Battles) -> Probabilities:
        q = check_probabilities(judge.predict_proba(part.swapped()), "probabilities for the swapped order")
        if len(q) != len(part):
            raise DataError(f"the judge returned {len(q)} predictions for {len(part)} swapped rows")
        return swap_columns(q)

    # a family without an order effect predicts a part of the rows alone, and all of them if that part shows an effect
    is_symmetric = isinstance(judge, TrainedJudge) and not judge.fitted.members[0].order_matters
    if is_symmetric and len(battles) > ORDER_ROWS:
        rows = np.linspace(0, len(battles) - 1, ORDER_ROWS).astype(np.int64)
        if np.abs(_predict(battles.take(rows)) - p[rows]).max() <= _SAME:
            return p, [f"judges of this family ignore the order: checked on {ORDER_ROWS:,} rows, assumed for all"]
    return _predict(battles), []


def _count_leaks(judge: Judge | Predictions, battles: Battles, *, allow: bool) -> tuple[int | None, list[str]]:
    if isinstance(judge, Predictions):
        return None, [NO_JUDGE]
    if not has_texts(battles):
        return None, [NO_PROMPTS]
    hashes = judge.prompt_hashes if hasattr(judge, "prompt_hashes") else None
    if hashes is None:
        return None, [NO_HASHES]
    found, unknown = check_leaks(judge, hashes, battles, allow=allow), unknown_prompts(judge)
    return len(found), [f"{NO_HASHES}: {', '.join(map(str, unknown))}"] if unknown else []
