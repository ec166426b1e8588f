"""Rows to be read: the surest forecasts that were wrong, and those that were least sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from votecast.metrics.scores import decisions, row_sum
from votecast.reports.audit.rows import Rows
from votecast.types import CLASSES, Floats

SHOWN: Final = 6
LONGEST: Final = 1500
"""Characters of a text that are kept."""


@dataclass(frozen=True)
class Shown:
    """One row.

    Args:
        id: Its name.
        forecast: Chances of a, b and tie.
        vote: Share of the votes for a, b and tie.
        models: Names of the models behind a and b, where they are known.
        prompt: The prompt, turns after one another, cut to 1500 characters.
        a: The first answer, the same way.
        b: The second answer.
    """

    id: str
    forecast: tuple[float, float, float]
    vote: tuple[float, float, float]
    models: tuple[str | None, str | None]
    prompt: str
    a: str
    b: str


def mistakes(rows: Rows, most: int = SHOWN) -> tuple[Shown, ...]:
    """The surest decisions that no vote of their row met, one for each prompt, surest first."""
    wrong = (rows.targets * (decisions(rows.p) > 0)).sum(axis=1) == 0
    return _shown(rows, np.where(wrong, rows.p.max(axis=1), -np.inf), most)


def closest(rows: Rows, most: int = SHOWN) -> tuple[Shown, ...]:
    """The rows whose forecast has the largest entropy, one for each prompt."""
    return _shown(rows, -row_sum(rows.p * np.log(np.maximum(rows.p, 1e-300))), most)


def cut_text(text: str, longest: int = LONGEST) -> str:
    """A text cut to a length, with a remark on how much is missing.

    Example:
        >>> cut_text("a long story", 6)
        'a long … (6 more characters)'
    """
    return text if len(text) <= longest else f"{text[:longest]} … ({len(text) - longest:,} more characters)"


def _shown(rows: Rows, score: Floats, most: int) -> tuple[Shown, ...]:
    """The rows that score highest and count, one for each prompt; equal scores in the order of their ids."""
    score = np.where(rows.sums.weights > 0, score, -np.inf)
    if not rows.has_texts or not np.isfinite(score).any():
        return ()
    ids = np.array(rows.battles.ids, dtype=object)
    taken: dict[int, int] = {}
    for row in np.lexsort((np.arange(len(score)), ids, -score)).tolist():
        if len(taken) == most or not np.isfinite(score[row]):
            break
        taken.setdefault(int(rows.sums.clusters[row]), row)
    return tuple(_row(rows, row) for row in taken.values())


def _row(rows: Rows, row: int) -> Shown:
    battles = rows.battles.take([row])
    texts = [cut_text(battles.text(name)[0]) for name in ("prompt", "response_a", "response_b")]
    models = [battles.column(name).to_pylist()[0] for name in ("model_a", "model_b")]
    p, t = (tuple(map(float, values[row])) for values in (rows.p, rows.targets))
    return Shown(battles.ids[0], p[: len(CLASSES)], t[: len(CLASSES)], (models[0], models[1]), *texts)  # type: ignore[arg-type]
