"""Votes against decisions, and ties above all: where they are forecast and where they are voted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from votecast.metrics import Figure, auc
from votecast.metrics.scores import decisions
from votecast.reports.audit.correction import Finding
from votecast.reports.audit.rows import Rows
from votecast.types import CLASSES

BINS: Final = 5


@dataclass(frozen=True)
class Confusion:
    """Votes against decisions.

    Args:
        classes: Names of rows and columns; without a tie where none was voted.
        counts: Weight of the votes for each class (rows) that were decided as each (columns); a decision that draws
            counts in parts.
        recall: Of the votes for each class, the share decided so.
        precision: Of the decisions for each class, the share voted so.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]
    recall: Mapping[str, Figure]
    precision: Mapping[str, Figure]


@dataclass(frozen=True)
class Closeness:
    """Ties among rows whose two answers the judge takes to be about equally far apart.

    Args:
        low: Least distance: the larger of the chances of a and b, over both.
        high: Largest distance.
        rows: How many rows.
        forecast: Mean forecast of a tie.
        voted: Share of votes for a tie.
    """

    low: float
    high: float
    rows: int
    forecast: Figure
    voted: Figure


@dataclass(frozen=True)
class Ties:
    """Forecast against voted ties.

    Args:
        forecast: Mean forecast of a tie.
        voted: Share of votes for a tie.
        gap: Forecast minus voted.
        decided: Share of rows decided as a tie.
        recall: Of the voted ties, the share decided so.
        precision: Of the rows decided as ties, the share voted so.
        auc: Chance that a voted tie has a larger forecast of one than another vote.
        closeness: By how close the answers are to each other, closest first.
    """

    forecast: Figure
    voted: Figure
    gap: Finding
    decided: Figure
    recall: Figure
    precision: Figure
    auc: float
    closeness: tuple[Closeness, ...]


def confusion(rows: Rows) -> Confusion:
    """Count votes against decisions."""
    classes = CLASSES[:2] if rows.binary else CLASSES
    d = decisions(rows.p)
    counts = (rows.targets * rows.sums.weights[:, None]).T @ d
    share = rows.sums.share
    return Confusion(
        classes,
        tuple(tuple(map(float, row[: len(classes)])) for row in counts[: len(classes)]),
        {name: share(rows.targets[:, k] * d[:, k], rows.targets[:, k]) for k, name in enumerate(classes)},
        {name: share(rows.targets[:, k] * d[:, k], d[:, k]) for k, name in enumerate(classes)},
    )


def ties(rows: Rows) -> Ties | None:
    """Compare forecast and voted ties; None for binary votes."""
    if rows.binary:
        return None
    tie, t, sums = decisions(rows.p)[:, 2], rows.targets[:, 2], rows.sums
    forecast = np.column_stack([rows.p[:, 2], 1 - rows.p[:, 2], np.zeros(len(t))])
    votes = np.column_stack([t, 1 - t, np.zeros(len(t))])
    return Ties(
        forecast=sums.mean(rows.p[:, 2]),
        voted=sums.mean(t),
        gap=sums.tested(rows.tie_gap, noise=rows.tie_noise),
        decided=sums.mean(tie),
        recall=sums.share(t * tie, t),
        precision=sums.share(t * tie, tie),
        auc=auc(votes, np.clip(forecast, 0, 1), sums.weights),
        closeness=_closeness(rows),
    )


def _closeness(rows: Rows) -> tuple[Closeness, ...]:
    a, b = rows.p[:, 0], rows.p[:, 1]
    lead = np.maximum(a, b) / np.maximum(a + b, 1e-12)
    edges = np.unique(np.quantile(lead, np.linspace(0, 1, BINS + 1)[1:-1]))
    place, out = np.searchsorted(edges, lead, side="left"), []
    for number in np.unique(place):
        part = place == number
        figures = (rows.sums.mean(values, part) for values in (rows.p[:, 2], rows.targets[:, 2]))
        out.append(Closeness(float(lead[part].min()), float(lead[part].max()), int(part.sum()), *figures))
    return tuple(out)
