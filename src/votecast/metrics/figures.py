"""All figures of a file and of its parts, each with its bootstrap interval, from sums over clusters.

Called by the evaluation and the comparison of judges, and by the baselines of the audit.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from votecast.metrics.checks import Checked
from votecast.metrics.intervals import ClusterDraws, Figure, interval
from votecast.metrics.reliability import BINS, EVENTS, events, perfect_errors
from votecast.metrics.scores import (
    auc_of_margins,
    brier_scores,
    decisions,
    flips,
    log_losses,
    margins,
    preferences,
    ratio,
)
from votecast.types import CLASSES, Floats, Ints, Probabilities

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
"""Columns before those of the bins: weight, means, decided and agreed, then hits, decisions and votes by class."""

PERFECT_DRAWS: Final = 100
_LEVELS: Final = 64
"""Classes of margins by which drawn files rank: enough for how the area under the curve scatters."""


class Measure:
    """Terms of every row, from which the figures of any rows follow.

    Args:
        data: Votes, predictions and weights.
        groups: Cluster of each row, numbered from 0, shape (n,).
        drawn: The bootstrap files.
        swapped: Predictions for the swapped order; the flip rate is undefined without them.
        perfect: Whether to simulate the calibration error of a perfectly calibrated judge.
    """

    def __init__(
        self,
        data: Checked,
        groups: Ints,
        drawn: ClusterDraws,
        *,
        swapped: Probabilities | None = None,
        perfect: bool = True,
    ) -> None:
        self.data, self.groups, self.drawn, self.perfect = data, groups, drawn, perfect
        t, p, w = data
        d, decided = decisions(p), t[:, 0] + t[:, 1]
        agreed = (t[:, :2] * preferences(p)).sum(axis=1)
        flip = flips(p, swapped) if swapped is not None else np.full(len(w), np.nan)
        means = (log_losses(t, p), (t * d).sum(axis=1), brier_scores(t, p), flip)
        # terms to sum in the order that _DENSE describes, (k, n)
        self.terms = w * np.stack([np.ones(len(w)), *means, decided, agreed, *(t * d).T, *d.T, *t.T])
        self.events = events(t, p)
        self.gaps = w[:, None] * (self.events.confidence - self.events.outcome)  # (n, 4)
        self.margins = margins(p)
        self.sides = w * t[:, :2].T  # (2, n)

    def figures(self, cuts: list[Ints], seed: int) -> list[list[dict[str, Figure]]]:
        """Return for each partition, for each part, name to figure.

        Args:
            cuts: For each partition, the part of each row, numbered from 0, shape (n,).
            seed: Seed of the simulated votes.
        """
        found = [[self.part(np.flatnonzero(cut == part)) for part in range(int(cut.max()) + 1)] for cut in cuts]
        if self.perfect:
            errors = perfect_errors(self.events, self.data.weights, self.groups, np.stack(cuts), PERFECT_DRAWS, seed)
            for parts, drawn in zip(found, errors, strict=True):  # drawn: (draws, parts, 4)
                for number, figures in enumerate(parts):
                    low, high = interval(drawn[:, number])
                    for k, name in enumerate(_PERFECT):
                        figures[name] = Figure(float(drawn[:, number, k].mean()), float(low[k]), float(high[k]))
        return [[{name: f[name] for name in METRICS if name in f} for f in parts] for parts in found]

    def part(self, rows: Ints) -> dict[str, Figure]:
        """Return the figures of some rows."""
        values, draws = self._drawn(rows)
        return {name: _figure(name, value, draws.get(name), least=0.0) for name, value in values.items()}

    def difference(self, other: Measure) -> dict[str, Figure]:
        """Return every figure minus that of another judge on the same rows and bootstrap files, with intervals."""
        rows = np.arange(len(self.groups))
        (own, drawn), (its, its_drawn) = self._drawn(rows), other._drawn(rows)
        gaps = {name: drawn[name] - its_drawn[name] for name in drawn}
        return {name: _figure(name, own[name] - its[name], gaps.get(name)) for name in METRICS if name in own}

    def _drawn(self, rows: Ints) -> tuple[dict[str, float], dict[str, Floats]]:
        """Return the figures of some rows, and their values in each bootstrap file (none where there are no draws)."""
        totals = self._sums(rows, np.zeros(len(rows), dtype=np.int64), 1)  # (1, k)
        # pairwise summation, which is exact to the last digits where bincount is not
        totals[0, : len(self.terms)] = np.ascontiguousarray(self.terms[:, rows]).sum(axis=1)
        values, block, draws = _from_sums(totals), self.drawn.blocks[rows], dict[str, Floats]()
        if len(self.drawn) and block.min() != block.max():
            draws = _from_sums(self.drawn.sums(self._sums(rows, block, self.drawn.counts.shape[1])))
        # sums over classes of margins place the AUC only roughly: take the exact value, and how the rough one scatters
        values["auc"], coarse = np.atleast_1d(auc_of_margins(self.margins[rows], *self.sides[:, rows])), values["auc"]
        if draws:
            draws["auc"] = draws["auc"] + (values["auc"] - coarse)
        return {name: float(value[0]) for name, value in values.items()}, draws

    def _sums(self, rows: Ints, block: Ints, size: int) -> Floats:
        """Sum all terms over each block, shape (size, k)."""
        dense = [np.bincount(block, column, minlength=size) for column in self.terms[:, rows]]
        bins, gaps, scores = self.events.bin[rows], self.gaps[rows], self.margins[rows]
        levels, level = np.unique(scores, return_inverse=True)
        if len(levels) > _LEVELS:  # classes of margins of about the same size
            level = np.searchsorted(np.quantile(scores, np.linspace(0, 1, _LEVELS + 1)[1:-1]), scores)
        binned = [(bins[:, k], gaps[:, k], BINS) for k in range(len(EVENTS))]
        binned += [(level, side, _LEVELS) for side in self.sides[:, rows]]
        cells = [
            np.bincount(block * width + place, values, minlength=size * width).astype(np.float64).reshape(size, width)
            for place, values, width in binned
        ]
        return np.concatenate([np.stack(dense, axis=1), *cells], axis=1)


def _from_sums(sums: Floats) -> dict[str, Floats]:
    """Turn sums over rows, shape (draws, k), into figures by name, shape (draws,) each."""
    mass, means, (decided, agreed) = sums[:, 0], sums[:, 1:5], sums[:, 5:7].T
    hits, decision, vote = np.split(sums[:, 7:_DENSE], 3, axis=1)
    ranks = _DENSE + len(EVENTS) * BINS
    # calibration error: distance between confidence and hits of each bin, summed over the bins of an event
    gaps = np.abs(sums[:, _DENSE:ranks]).reshape(len(sums), len(EVENTS), BINS).sum(axis=2)
    up, down = np.split(sums[:, ranks:], 2, axis=1)
    out = {name: ratio(means[:, k], mass) for k, name in enumerate(_MEANS)}
    out |= {name: ratio(gaps[:, k], mass) for k, name in enumerate(_ERRORS)}
    out |= {name: ratio(hits[:, k], vote[:, k]) for k, name in enumerate(_RECALLS)}
    f1 = ratio(2 * hits, decision + vote)  # (draws, 3)
    defined = ~np.isnan(f1)
    out["macro_f1"] = ratio(np.where(defined, f1, 0).sum(axis=1), defined.sum(axis=1))
    # Mann-Whitney: votes for a above those for b, draws within a class counting one half
    out["auc"] = ratio((up * (np.cumsum(down, axis=1) - down / 2)).sum(axis=1), up.sum(axis=1) * down.sum(axis=1))
    out["agreement_decided"] = ratio(agreed, decided)
    return out


def _figure(name: str, value: float, draws: Floats | None, *, least: float | None = None) -> Figure:
    """Return a figure with its interval, which includes it; that of a calibration error is at least `least`."""
    if draws is None or np.isnan(value):
        return Figure(value, float("nan"), float("nan"))
    # resampling itself raises calibration errors, so their draws are centred on the figure
    is_error = name in _ERRORS
    low, high = interval(draws, around=np.asarray(value) if is_error else None)
    lowest = max(least, float(low)) if is_error and least is not None else float(low)
    return Figure(value, min(lowest, value), max(float(high), value))
