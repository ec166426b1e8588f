"""All figures of a file and of its slices, each with its bootstrap interval, from sums over clusters."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from votecast.metrics.bootstrap import ClusterDraws, interval
from votecast.metrics.checks import Checked
from votecast.metrics.reliability import BINS, EVENTS, events, perfect_errors
from votecast.metrics.result import Figure
from votecast.metrics.rows import Floats, brier_scores, decisions, log_losses, margins, preferences
from votecast.metrics.scores import auc_of_margins, flips, ratio
from votecast.types import CLASSES, Probabilities

_ERRORS: Final = tuple("ece" if event == "top" else f"ece_{event}" for event in EVENTS)
_PERFECT: Final = tuple("ece_perfect" if event == "top" else f"ece_perfect_{event}" for event in EVENTS)
_RECALLS: Final = tuple(f"recall_{name}" for name in CLASSES)
METRICS: Final = (
    *("log_loss", "accuracy", "brier"),
    *(name for pair in zip(_ERRORS, _PERFECT, strict=True) for name in pair),
    *_RECALLS,
    *("macro_f1", "auc", "flip_rate", "agreement_decided"),
)
"""Names of all figures, in the order in which they are written."""

_MEANS: Final = ("log_loss", "accuracy", "brier", "flip_rate")
_DENSE: Final = 1 + len(_MEANS) + 2 + 3 * len(CLASSES)
PERFECT_DRAWS: Final = 100
_LEVELS: Final = 64


class Measure:
    """One judge on one file: the terms of every row, from which the figures of any rows follow.

    Args:
        data: Votes, forecasts and weights.
        groups: Cluster of each row, numbered from 0, shape (n,).
        drawn: The bootstrap files.
        exchanged: Forecasts for the exchanged order; the flip rate is undefined without them.
        perfect: Whether to simulate the calibration error of a perfectly calibrated judge.
    """

    def __init__(
        self,
        data: Checked,
        groups: NDArray[np.int64],
        drawn: ClusterDraws,
        *,
        exchanged: Probabilities | None = None,
        perfect: bool = True,
    ) -> None:
        self.data, self.groups, self.drawn, self.perfect = data, groups, drawn, perfect
        self.events = events(data.targets, data.probabilities)
        self.gaps = data.weights[:, None] * (self.events.confidence - self.events.outcome)
        self.terms = _terms(data, exchanged)
        self.margins = margins(data.probabilities)
        self.sides = data.weights * data.targets[:, :2].T

    def figures(self, cuts: list[NDArray[np.int64]], seed: int) -> list[list[dict[str, Figure]]]:
        """Figures of every part of every cut.

        Args:
            cuts: For each way of cutting, the part of each row, numbered from 0, shape (n,).
            seed: Seed of the simulated votes.

        Returns:
            For each cut, for each part, name to figure.
        """
        found = [[self.part(np.flatnonzero(cut == part)) for part in range(int(cut.max()) + 1)] for cut in cuts]
        if self.perfect:
            self._add_perfect(found, cuts, seed)
        return [[{name: f[name] for name in METRICS if name in f} for f in parts] for parts in found]

    def part(self, rows: NDArray[np.int64]) -> dict[str, Figure]:
        """Figures of some rows."""
        values, draws = self._drawn(rows)
        return {name: _figure(name, value, draws.get(name)) for name, value in values.items()}

    def difference(self, other: Measure) -> dict[str, Figure]:
        """Every figure minus that of another judge on the same file, with the interval of draws made in pairs.

        Args:
            other: The other judge, on the same rows and the same bootstrap files.
        """
        rows = np.arange(len(self.groups))
        (own, drawn), (its, its_drawn) = self._drawn(rows), other._drawn(rows)
        found = {}
        for name, value in own.items():
            gap = value - its[name]
            if name not in drawn or np.isnan(gap):
                found[name] = Figure(gap, float("nan"), float("nan"))
                continue
            around = np.asarray(gap) if name in _ERRORS else None
            low, high = interval(drawn[name] - its_drawn[name], around=around)
            found[name] = Figure(gap, min(float(low), gap), max(float(high), gap))
        return {name: found[name] for name in METRICS if name in found}

    def _drawn(self, rows: NDArray[np.int64]) -> tuple[dict[str, float], dict[str, Floats]]:
        """Every figure of some rows, and its value in each bootstrap file; without values where there are no draws."""
        values = _from_sums(self._totals(rows))
        block = self.drawn.blocks[rows]
        few = block.min() == block.max() or not len(self.drawn)
        draws = {} if few else _from_sums(self.drawn.sums(self._sums(rows, block, self.drawn.counts.shape[1])))
        values["auc"], coarse = np.atleast_1d(auc_of_margins(self.margins[rows], *self.sides[:, rows])), values["auc"]
        if not few:
            draws["auc"] = draws["auc"] + (values["auc"] - coarse)
        return {name: float(value[0]) for name, value in values.items()}, draws

    def _sums(self, rows: NDArray[np.int64], block: NDArray[np.int64], size: int) -> Floats:
        """Sums of all terms over each block, shape (size, k)."""
        dense = [np.bincount(block, column, minlength=size) for column in self.terms[:, rows]]
        bins, level = self.events.bin[rows], _levels(self.margins[rows])
        spread = [_spread(block, bins[:, k], self.gaps[rows, k], size, BINS) for k in range(len(EVENTS))]
        spread += [_spread(block, level, side, size, _LEVELS) for side in self.sides[:, rows]]
        return np.concatenate([np.stack(dense, axis=1), *spread], axis=1)

    def _totals(self, rows: NDArray[np.int64]) -> Floats:
        """Sums of all terms over the rows, shape (1, k); the means to the last digit."""
        sums = self._sums(rows, np.zeros(len(rows), dtype=np.int64), 1)
        sums[0, : len(self.terms)] = np.ascontiguousarray(self.terms[:, rows]).sum(axis=1)
        return sums

    def _add_perfect(self, found: list[list[dict[str, Figure]]], cuts: list[NDArray[np.int64]], seed: int) -> None:
        errors = perfect_errors(self.events, self.data.weights, self.groups, np.stack(cuts), PERFECT_DRAWS, seed)
        for parts, drawn in zip(found, errors, strict=True):
            for number, figures in enumerate(parts):
                low, high = interval(drawn[:, number])
                for k, name in enumerate(_PERFECT):
                    figures[name] = Figure(float(drawn[:, number, k].mean()), float(low[k]), float(high[k]))


def _spread(block: NDArray[np.int64], bins: NDArray[np.int64], values: Floats, size: int, width: int) -> Floats:
    """Sums over each block and bin, shape (size, width)."""
    sums: Floats = np.bincount(block * width + bins, values, minlength=size * width).astype(np.float64)
    return sums.reshape(size, width)


def _levels(scores: Floats) -> NDArray[np.int64]:
    """Rank scores in at most 64 classes of about the same size: enough for how the area under the curve scatters."""
    levels, level = np.unique(scores, return_inverse=True)
    if len(levels) <= _LEVELS:
        return level.astype(np.int64)
    edges = np.quantile(scores, np.linspace(0, 1, _LEVELS + 1)[1:-1])
    return np.searchsorted(edges, scores).astype(np.int64)


def _terms(data: Checked, exchanged: Probabilities | None) -> Floats:
    """Terms to sum, shape (k, n): weight, means, decided, agreed, then hits, decisions and votes by class."""
    t, p, w = data
    d = decisions(p)
    flip = flips(p, exchanged) if exchanged is not None else np.full(len(w), np.nan)
    decided = t[:, 0] + t[:, 1]
    agreed = (t[:, :2] * preferences(p)).sum(axis=1)
    means = (log_losses(t, p), (t * d).sum(axis=1), brier_scores(t, p), flip)
    return np.asarray(w * np.stack([np.ones(len(w)), *means, decided, agreed, *(t * d).T, *d.T, *t.T]))


def _from_sums(sums: Floats) -> dict[str, Floats]:
    """Figures from sums over rows: shape (draws, k) to name and shape (draws,)."""
    mass, means, (decided, agreed) = sums[:, 0], sums[:, 1:5], sums[:, 5:7].T
    hits, decision, vote = np.split(sums[:, 7:_DENSE], 3, axis=1)
    ranks = _DENSE + len(EVENTS) * BINS
    gaps = np.abs(sums[:, _DENSE:ranks]).reshape(len(sums), len(EVENTS), BINS).sum(axis=2)
    up, down = np.split(sums[:, ranks:], 2, axis=1)
    out = {name: ratio(means[:, k], mass) for k, name in enumerate(_MEANS)}
    out |= {name: ratio(gaps[:, k], mass) for k, name in enumerate(_ERRORS)}
    out |= {name: ratio(hits[:, k], vote[:, k]) for k, name in enumerate(_RECALLS)}
    out["macro_f1"] = _mean_of_defined(ratio(2 * hits, decision + vote))
    out["auc"] = ratio((up * (np.cumsum(down, axis=1) - down / 2)).sum(axis=1), up.sum(axis=1) * down.sum(axis=1))
    out["agreement_decided"] = ratio(agreed, decided)
    return out


def _mean_of_defined(f1: Floats) -> Floats:
    known = ~np.isnan(f1)
    return ratio(np.where(known, f1, 0).sum(axis=1), known.sum(axis=1))


def _figure(name: str, value: float, draws: Floats | None) -> Figure:
    """A figure and its interval, which never leaves the figure out nor falls below 0 for an error."""
    if draws is None or np.isnan(value):
        return Figure(value, float("nan"), float("nan"))
    raised = name in _ERRORS
    low, high = interval(draws, around=np.asarray(value) if raised else None)
    lowest = max(0.0, float(low)) if raised else float(low)
    return Figure(value, min(lowest, value), max(float(high), value))
