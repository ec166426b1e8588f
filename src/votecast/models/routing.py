"""Which rows of a cascade go on to the next judge: those whose forecast is too uncertain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from votecast.metrics.scores import EPSILON, row_sum
from votecast.types import Probabilities

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

NOTCHES: Final = 20
"""Thresholds hold back 0/20, 1/20, ..., 20/20 of the rows they are fitted on."""


@dataclass(frozen=True)
class Plan:
    """Who passes on what.

    A row goes on where the entropy of the forecast reaches the threshold of the judge that made it. Confidence alone
    is what a cascade of calibrated judges needs, where no judge is better on some kinds of rows and worse on others
    (Jitkrittum et al. 2023, "When does confidence-based cascade deferral suffice?"). A score learnt from the forecasts
    and the lengths of the texts did not order the rows better.

    Args:
        thresholds: For every judge but the last, the entropy in nats from which a row goes on; None where none does.

    Example:
        >>> cheap, dear = np.array([[0.9, 0.05, 0.05], [0.3, 0.3, 0.4]]), np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        >>> Plan((1.0,)).answering(np.stack([cheap, dear])).tolist()
        [0, 1]
    """

    thresholds: tuple[float | None, ...]

    def goes_on(self, stage: int, p: Probabilities) -> Bools:
        """Which of the rows that a judge forecast go on to the next, shape (n,)."""
        least = self.thresholds[stage]
        return np.zeros(len(p), dtype=bool) if least is None else np.asarray(entropy(p) >= least)

    def answering(self, forecasts: Floats) -> Ints:
        """The place of the judge that answers each row, given forecasts of all judges of shape (judges, n, 3)."""
        stage = np.zeros(forecasts.shape[1], dtype=np.int64)
        for number in range(len(self.thresholds)):
            stage += (stage == number) & self.goes_on(number, forecasts[number])
        return stage


def entropy(p: Probabilities) -> Floats:
    """How uncertain a forecast is, in nats, shape (n,).

    Exchanging the answers changes not one bit of it, and nor do the rows beside.

    Example:
        >>> entropy(np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])).round(4).tolist()
        [0.0, 1.0986]
    """
    clipped = np.clip(p, EPSILON, 1.0)
    return np.maximum(-row_sum(clipped * np.log(clipped)), 0.0)


def fit_plan(forecasts: Floats, notches: Sequence[int]) -> Plan:
    """Thresholds that hold back so many twentieths of these rows, each halfway between the scores of two rows.

    Args:
        forecasts: Of all judges, shape (judges, n, 3).
        notches: For every judge but the last, from 0, where every row goes on, to 20, where none does.

    Example:
        >>> p = np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.4, 0.3, 0.3]])
        >>> fit_plan(np.stack([p, p]), [10]).goes_on(0, p).tolist()
        [False, False, True, True]
    """
    scores = [np.sort(entropy(p)) for p in forecasts[:-1]]
    return Plan(tuple(_threshold(score, notch) for score, notch in zip(scores, notches, strict=True)))


def _threshold(scores: Floats, notch: int) -> float | None:
    held = -(-len(scores) * notch // NOTCHES)
    if not held:
        return 0.0
    above = scores[scores > scores[held - 1]]
    return float((scores[held - 1] + above[0]) / 2) if len(above) and notch < NOTCHES else None
