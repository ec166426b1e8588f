"""Selective prediction: thresholds of confidence above which predictions are wrong no more often than allowed.

Each test is of the hypothesis that predictions at or above a threshold are wrong more often than allowed. Given how
many rows reach the threshold, the number of wrong ones is binomial as long as rows are independent, so that the lower
tail is an exact p-value, whatever the scores are worth. Called by `votecast decide`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import bdtr

from votecast.types import Bools, Floats, Ints

Method = Literal["ltt", "sgr"]

PILOT: Final = 0.2
"""Share of the rows that chooses the thresholds to test, and tests none."""
STEPS: Final = 50
"""Thresholds are shares of the pilot rows: 1/50, 2/50, ..., all of them."""

_ABOUT: Final = 0.9
"""A threshold is about as likely to pass as the best where its chance is this share of the best chance."""


@dataclass(frozen=True)
class Selection:
    """A threshold and the rows above it."""

    threshold: float | None  # scores from here on are decided; None where every row is abstained on
    rows: int  # rows that tested thresholds, decided or not
    decided: int  # of these, the ones at or above the threshold; where none passes, above the one that came nearest
    wrong: int  # of these, the wrong ones
    tests: int  # how many thresholds were tested


def fewest_rows(error: float, confidence: float) -> int:
    """Return the fewest rows that can rule out a larger error.

    Example:
        >>> fewest_rows(0.10, 0.90)
        22
    """
    return math.ceil(math.log1p(-confidence) / math.log1p(-error))


def learn_then_test(scores: Floats, wrong: Bools, *, error: float, confidence: float, seed: int = 0) -> Selection:
    """Return the lowest threshold that fixed-sequence testing accepts.

    Learn then Test (Angelopoulos, Bates, Candes, Jordan and Lei 2021), with the sequence chosen on rows of its own
    (their split fixed-sequence testing). A pilot of a fifth of the rows gives the thresholds, as quantiles of its
    scores, and the one to begin with: the highest that is about as likely to pass as any. The other rows test it, and
    then ever lower ones, each at the full level, until one fails. If rows are independent draws, the error exceeds the
    allowed one at the threshold given with probability 1 - confidence at most; nothing is assumed of the scores.

    Args:
        scores: Confidence of each prediction, shape (n,); minus infinity is never decided.
        wrong: Whether each is wrong, shape (n,).
        error: Allowed share of wrong predictions among the decided.
        confidence: Probability that the error is kept.
        seed: Seed of the draw of the pilot.

    Example:
        >>> scores = np.linspace(0, 1, 1000)
        >>> found = learn_then_test(scores, scores < 0.4, error=0.1, confidence=0.9)
        >>> 0.3 < found.threshold < 0.4
        True
    """
    order = np.random.default_rng(seed).permutation(len(scores))
    pilot, rest = order[: round(PILOT * len(order))], order[round(PILOT * len(order)) :]
    known = np.sort(scores[pilot][np.isfinite(scores[pilot])])[::-1]
    places = np.ceil(np.arange(1, STEPS + 1) * len(known) / STEPS).astype(np.int64) - 1
    thresholds = np.unique(known[places[places >= 0]])[::-1] if len(known) else known  # from the highest on
    reached, missed = _count_above(scores[rest], wrong[rest], thresholds)
    passed = np.asarray(bdtr(missed, reached, error)) <= 1 - confidence
    first = 0
    if len(thresholds):  # the highest threshold about as likely to pass as any, if the error is that of the pilot
        counts, scale = _count_above(scores[pilot], wrong[pilot], thresholds), len(rest) / max(len(pilot), 1)
        pairs = zip(*(each.tolist() for each in counts), strict=True)
        chances = np.array([_power(round(n * scale), (bad + 0.5) / (n + 1), error, confidence) for n, bad in pairs])
        first = int(np.argmax(chances >= _ABOUT * chances.max())) if chances.any() else len(chances) - 1
    steps = int(np.argmin(np.append(passed[first:], False)))  # the first that fails
    last = first + max(steps - 1, 0)
    seen = (int(reached[last]), int(missed[last])) if len(thresholds) else (0, 0)
    tests = min(steps + 1, len(thresholds) - first)
    return Selection(float(thresholds[last]) if steps else None, len(rest), *seen, tests)


def selection_with_guaranteed_risk(scores: Floats, wrong: Bools, *, error: float, confidence: float) -> Selection:
    """Return the lowest threshold that a binary search accepts (Geifman and El-Yaniv 2017, algorithm 1).

    All rows take part; each of the about log2(n) steps is tested at its share of the level. Rows of one score are taken
    together, so that a threshold decides exactly the rows that tested it. The arguments are those of `learn_then_test`.

    Example:
        >>> scores = np.linspace(0, 1, 1000)
        >>> found = selection_with_guaranteed_risk(scores, scores < 0.4, error=0.1, confidence=0.9)
        >>> 0.3 < found.threshold < 0.4
        True
    """
    thresholds = np.unique(scores[np.isfinite(scores)])[::-1]
    reached, missed = _count_above(scores, wrong, thresholds)
    steps = max(math.ceil(math.log2(max(len(thresholds), 2))), 1)
    low, high = -1, len(thresholds)  # the last that passed, the first that failed
    tested: dict[int, float] = {}
    while high - low > 1 and len(tested) < steps + 1:
        middle = (low + high) // 2
        tested[middle] = float(bdtr(missed[middle], reached[middle], error))
        # each of the steps is tested at its share of the level (Bonferroni)
        low, high = (middle, high) if tested[middle] <= (1 - confidence) / (steps + 1) else (low, middle)
    shown = low if low >= 0 else min(tested, key=lambda place: tested[place], default=0)
    seen = (int(reached[shown]), int(missed[shown])) if len(thresholds) else (0, 0)
    return Selection(float(thresholds[low]) if low >= 0 else None, len(scores), *seen, len(tested))


def _count_above(scores: Floats, wrong: Bools, thresholds: Floats) -> tuple[Ints, Ints]:
    """Count the rows that reach each threshold, and the wrong ones among them."""
    order = np.argsort(scores)
    reached = len(scores) - np.searchsorted(scores[order], thresholds)
    missed = np.append(0, np.cumsum(wrong[order][::-1]))[reached]
    return reached.astype(np.int64), missed.astype(np.int64)


def _power(rows: int, share: float, error: float, confidence: float) -> float:
    """Return the chance that so many predictions, wrong at this share, pass the test."""
    allowed = np.arange(int(rows * error) + 1)
    passing = int((bdtr(allowed, rows, error) <= 1 - confidence).sum())
    return float(bdtr(passing - 1, rows, share)) if passing else 0.0
