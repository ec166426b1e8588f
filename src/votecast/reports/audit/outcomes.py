"""Votes against top choices, ties above all, and the rows to read: most confident mistakes and closest calls.

Called by `votecast.reports.audit.audit_judge`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from votecast.data.battles import TEXT_COLUMNS
from votecast.metrics import Figure, auc
from votecast.metrics.scores import decisions, row_sum
from votecast.reports.audit.audit_rows import AuditRows
from votecast.reports.audit.findings import Finding
from votecast.types import CLASSES, Floats

BINS: Final = 5
MOST_EXAMPLES: Final = 6
LONGEST_TEXT: Final = 1500
"""Characters of a text that are kept."""


@dataclass(frozen=True)
class Confusion:
    """Votes against top choices.

    Args:
        classes: Names of rows and columns; without a tie where none was voted.
        counts: Weight of the votes for each class (rows) with each top choice (columns); equal probabilities share.
        recall: Of the votes for each class, the share with that top choice.
        precision: Of the top choices of each class, the share voted so.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]
    recall: Mapping[str, Figure]
    precision: Mapping[str, Figure]

    @property
    def shares(self) -> list[list[float]]:
        """Share of the votes for each class (rows) with each top choice (columns)."""
        return [[count / max(sum(row), 1e-12) for count in row] for row in self.counts]

    @classmethod
    def of(cls, rows: AuditRows) -> Confusion:
        """Count votes against top choices."""
        classes = CLASSES[:2] if rows.binary else CLASSES
        d = decisions(rows.p)  # (n, 3)
        counts = (rows.targets * rows.sums.weights[:, None]).T @ d
        share = rows.sums.share
        return cls(
            classes,
            tuple(tuple(map(float, row[: len(classes)])) for row in counts[: len(classes)]),
            {name: share(rows.targets[:, k] * d[:, k], rows.targets[:, k]) for k, name in enumerate(classes)},
            {name: share(rows.targets[:, k] * d[:, k], d[:, k]) for k, name in enumerate(classes)},
        )


@dataclass(frozen=True)
class Ties:
    """Predicted against voted ties.

    Args:
        predicted: Mean predicted probability of a tie.
        voted: Share of votes for a tie.
        gap: Predicted minus voted.
        decided: Share of rows whose top choice is a tie.
        recall: Of the voted ties, the share whose top choice is a tie.
        precision: Of the rows whose top choice is a tie, the share voted so.
        auc: Probability that a voted tie has a larger predicted one than another vote.
        closeness: Ties among rows of about the same predicted lead, closest first: "low" and "high" of the lead (the
            larger of the probabilities of a and b, over both), "rows", and "predicted" and "voted" as above.
    """

    predicted: Figure
    voted: Figure
    gap: Finding
    decided: Figure
    recall: Figure
    precision: Figure
    auc: float
    closeness: tuple[Mapping[str, float | Figure], ...]

    @classmethod
    def of(cls, rows: AuditRows) -> Ties | None:
        """Compare predicted and voted ties; None for binary votes."""
        if rows.binary:
            return None
        p, tie, t, sums = rows.p[:, 2], decisions(rows.p)[:, 2], rows.targets[:, 2], rows.sums
        # AUC of "tie" against "no tie": both as columns a and b of a table without ties
        scores, votes = (np.column_stack([x, 1 - x, np.zeros(len(x))]) for x in (p, t))
        return cls(
            predicted=sums.mean(p),
            voted=sums.mean(t),
            gap=sums.test_mean(rows.tie_gap, noise=rows.tie_noise),
            decided=sums.mean(tie),
            recall=sums.share(t * tie, t),
            precision=sums.share(t * tie, tie),
            auc=auc(votes, np.clip(scores, 0, 1), sums.weights),
            closeness=_ties_by_lead(rows),
        )


@dataclass(frozen=True)
class ExampleRow:
    """One row to read: prediction and vote, the models behind a and b, and the texts, truncated to 1500 characters."""

    id: str
    predicted: tuple[float, float, float]
    vote: tuple[float, float, float]
    models: tuple[str | None, str | None]
    prompt: str
    a: str
    b: str


def _ties_by_lead(rows: AuditRows) -> tuple[Mapping[str, float | Figure], ...]:
    a, b = rows.p[:, 0], rows.p[:, 1]
    lead = np.maximum(a, b) / np.maximum(a + b, 1e-12)
    # bins of about equally many rows
    edges = np.unique(np.quantile(lead, np.linspace(0, 1, BINS + 1)[1:-1]))
    place = np.searchsorted(edges, lead, side="left")
    out: list[dict[str, float | Figure]] = []
    for number in np.unique(place):
        part = place == number
        low, high, count = float(lead[part].min()), float(lead[part].max()), int(part.sum())
        predicted, voted = (rows.sums.mean(values, part) for values in (rows.p[:, 2], rows.targets[:, 2]))
        out.append({"low": low, "high": high, "rows": count, "predicted": predicted, "voted": voted})
    return tuple(out)


def find_mistakes(rows: AuditRows) -> tuple[ExampleRow, ...]:
    """Return the most confident top choices that no vote of their row matched."""
    is_wrong = (rows.targets * (decisions(rows.p) > 0)).sum(axis=1) == 0
    return _best_rows(rows, np.where(is_wrong, rows.p.max(axis=1), -np.inf))


def find_closest(rows: AuditRows) -> tuple[ExampleRow, ...]:
    """Return the rows whose prediction has the largest entropy."""
    return _best_rows(rows, -row_sum(rows.p * np.log(np.maximum(rows.p, 1e-300))))


def truncate_text(text: str, longest: int = LONGEST_TEXT) -> str:
    """Truncate a text, with a remark on how much is missing.

    Example:
        >>> truncate_text("a long story", 6)
        'a long … (6 more characters)'
    """
    return text if len(text) <= longest else f"{text[:longest]} … ({len(text) - longest:,} more characters)"


def _best_rows(rows: AuditRows, score: Floats) -> tuple[ExampleRow, ...]:
    """Return the rows with weight that score highest, one per prompt; equal scores in the order of their ids."""
    score = np.where(rows.sums.weights > 0, score, -np.inf)
    if not rows.has_texts or not np.isfinite(score).any():
        return ()
    taken: dict[int, int] = {}  # cluster -> row
    for row in np.lexsort((np.arange(len(score)), np.array(rows.battles.ids, dtype=object), -score)).tolist():
        if len(taken) == MOST_EXAMPLES or not np.isfinite(score[row]):
            break
        taken.setdefault(int(rows.sums.clusters[row]), row)
    chosen = list(taken.values())
    shown = rows.battles.take(chosen)
    texts = ([truncate_text(text) for text in shown.text(name)] for name in TEXT_COLUMNS)
    models = zip(*(shown.column(name).to_pylist() for name in ("model_a", "model_b")), strict=True)
    figures = (tuple(map(tuple, values[chosen].tolist())) for values in (rows.p, rows.targets))
    return tuple(ExampleRow(*row) for row in zip(shown.ids, *figures, models, *texts, strict=True))
