"""Thresholds on how sure a decision is, above which decisions are wrong no more often than was asked for.

Each test is of the hypothesis that decisions at or above a threshold are wrong more often than allowed. Given how many
rows reach the threshold, the number of wrong ones among them is binomial as long as rows are independent, so that the
lower tail is a p-value without any approximation, whatever the scores are worth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

Method = Literal["ltt", "sgr"]

PILOT: Final = 0.2
"""Share of the rows that chooses which thresholds are tested, and tests none."""
STEPS: Final = 50
"""Thresholds are shares of the pilot rows: 1/50, 2/50, ..., all of them."""

_ABOUT: Final = 0.9


@dataclass(frozen=True)
class Selection:
    """A threshold and what was seen above it.

    Args:
        threshold: Scores from here on are decided; None where nothing can be.
        rows: Rows that tested thresholds, decided or not.
        decided: Of these, the ones at or above the threshold; where none holds, above the one that came nearest.
        wrong: Of these, the wrong ones.
        tests: How many thresholds were tested.
    """

    threshold: float | None
    rows: int
    decided: int
    wrong: int
    tests: int


def fewest_rows(error: float, confidence: float) -> int:
    """How many rows must be decided, all of them rightly, before an error above the allowed one can be ruled out.

    Example:
        >>> fewest_rows(0.10, 0.90)
        22
    """
    return math.ceil(math.log1p(-confidence) / math.log1p(-error))


def learn_then_test(scores: Floats, wrong: Bools, *, error: float, confidence: float, seed: int = 0) -> Selection:
    """The lowest threshold that fixed-sequence testing accepts.

    Learn then Test (Angelopoulos, Bates, Candes, Jordan and Lei 2021), with the sequence chosen on a part of the rows
    of its own (their split fixed-sequence testing): a pilot of a fifth of the rows gives the thresholds, as quantiles
    of its scores, and the one to begin with, the highest that is about as likely to pass as any. The others test it,
    and then ever lower ones, each at the full level, until one fails. That the error exceeds the allowed one at the
    threshold given has at most the probability 1 - confidence, if rows are independent draws; nothing is assumed of
    the scores.

    Args:
        scores: How sure each decision is, shape (n,); minus infinity is never decided.
        wrong: Whether each is wrong, shape (n,).
        error: Allowed share of wrong decisions among the decided.
        confidence: How surely it is kept.
        seed: Seed of the draw of the pilot.

    Example:
        >>> scores = np.linspace(0, 1, 1000)
        >>> found = learn_then_test(scores, scores < 0.4, error=0.1, confidence=0.9)
        >>> 0.3 < found.threshold < 0.4
        True
    """
    order = np.random.default_rng(seed).permutation(len(scores))
    pilot, rest = order[: round(PILOT * len(order))], order[round(PILOT * len(order)) :]
    thresholds = _quantiles(scores[pilot])
    reached, missed = _above(scores[rest], wrong[rest], thresholds)
    passed = np.asarray(bdtr(missed, reached, error)) <= 1 - confidence
    first = _first(*_above(scores[pilot], wrong[pilot], thresholds), len(rest) / max(len(pilot), 1), error, confidence)
    steps = int(np.argmin(np.append(passed[first:], False)))  # the first that fails
    last = first + max(steps - 1, 0)
    seen = (int(reached[last]), int(missed[last])) if len(thresholds) else (0, 0)
    tests = min(steps + 1, len(thresholds) - first)
    return Selection(float(thresholds[last]) if steps else None, len(rest), *seen, tests)


def selection_with_guaranteed_risk(scores: Floats, wrong: Bools, *, error: float, confidence: float) -> Selection:
    """The lowest threshold that a search by halves accepts (Geifman and El-Yaniv 2017, algorithm 1).

    All rows take part; each of the about log2(n) steps is tested at its share of the level. Rows of one score are taken
    together, so that a threshold decides exactly the rows that tested it.

    Args:
        scores: How sure each decision is, shape (n,); minus infinity is never decided.
        wrong: Whether each is wrong, shape (n,).
        error: Allowed share of wrong decisions among the decided.
        confidence: How surely it is kept.

    Example:
        >>> scores = np.linspace(0, 1, 1000)
        >>> found = selection_with_guaranteed_risk(scores, scores < 0.4, error=0.1, confidence=0.9)
        >>> 0.3 < found.threshold < 0.4
        True
    """
    thresholds = np.unique(scores[np.isfinite(scores)])[::-1]
    reached, missed = _above(scores, wrong, thresholds)
    steps = max(math.ceil(math.log2(max(len(thresholds), 2))), 1)
    low, high = -1, len(thresholds)  # the last that passed, the first that failed
    tested: dict[int, float] = {}
    while high - low > 1 and len(tested) < steps + 1:
        middle = (low + high) // 2
        tested[middle] = float(bdtr(missed[middle], reached[middle], error))
        low, high = (middle, high) if tested[middle] <= (1 - confidence) / (steps + 1) else (low, middle)
    shown = low if low >= 0 else min(tested, key=lambda place: tested[place], default=0)
    seen = (int(reached[shown]), int(missed[shown])) if len(thresholds) else (0, 0)
    return Selection(float(thresholds[low]) if low >= 0 else None, len(scores), *seen, len(tested))


def _quantiles(scores: Floats) -> Floats:
    """Scores of the pilot by which 1/50, 2/50, ... of it are decided, from the highest on."""
    known = np.sort(scores[np.isfinite(scores)])[::-1]
    places = np.ceil(np.arange(1, STEPS + 1) * len(known) / STEPS).astype(np.int64) - 1
    return np.unique(known[places[places >= 0]])[::-1] if len(known) else known


def _above(scores: Floats, wrong: Bools, thresholds: Floats) -> tuple[Ints, Ints]:
    """How many rows reach each threshold, and how many of them are wrong."""
    order = np.argsort(scores)
    reached = len(scores) - np.searchsorted(scores[order], thresholds)
    missed = np.append(0, np.cumsum(wrong[order][::-1]))[reached]
    return reached.astype(np.int64), missed.astype(np.int64)


def _first(reached: Ints, missed: Ints, scale: float, error: float, confidence: float) -> int:
    """The highest threshold that is about as likely to pass as any, if decisions are wrong as often as in the pilot."""
    chances = np.array(
        [
            _power(round(rows * scale), (bad + 0.5) / (rows + 1), error, confidence)
            for rows, bad in zip(reached.tolist(), missed.tolist(), strict=True)
        ]
    )
    best = float(chances.max(initial=0.0))
    return int(np.argmax(chances >= _ABOUT * best)) if best > 0 else max(len(chances) - 1, 0)


def _power(rows: int, share: float, error: float, confidence: float) -> float:
    """The chance that so many decisions, wrong at this share, pass the test."""
    allowed = np.arange(int(rows * error) + 1)
    passing = int((bdtr(allowed, rows, error) <= 1 - confidence).sum())
    return float(bdtr(passing - 1, rows, share)) if passing else 0.0
