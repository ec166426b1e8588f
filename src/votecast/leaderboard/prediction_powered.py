"""Prediction-powered votes: those of people, made more precise by a judge's predictions of games without votes.

A judge that is wrong must not move the ranking, so its predictions of games without votes count only against those of
the voted games (Angelopoulos, Bates, Fannjiang, Jordan & Zrnic 2023, eq. 3), to a degree that minimises the variance
(PPI++: Angelopoulos, Duchi & Zrnic 2023, eq. 6). The comparison is made pair of models by pair of models, so that the
games without votes may be about other pairs, or have other shares of them, than those with votes; within a pair they
must be alike, the order of the responses included if the judge reads it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from votecast.leaderboard.game_rows import Cells, sum_by_number
from votecast.leaderboard.sample import Sample
from votecast.types import Floats


class PairSums(NamedTuple):
    """Weight of the votes of each pair of models.

    Args:
        voted: By people, shape (p, 3).
        predicted: Of the same games as the judge predicts them, shape (p, 3).
        extra: Of games without votes as the judge predicts them, shape (p, 3).
    """

    voted: Floats
    predicted: Floats
    extra: Floats

    def shares(self) -> tuple[Floats, Floats]:
        """Return how much predictions are taken off and added, shape (p,).

        A pair with many games without votes beside those with votes gets nearly 1, one with none 0 (PPI++, eq. 7 with
        the factor 1 / (1 + n / N)); what is taken off and what is added weigh the same.
        """
        here, there = self.voted.sum(axis=1), self.extra.sum(axis=1)
        both = np.maximum(here + there, 1e-300)
        return there / both, here / both

    def blend(self, tuning: float) -> Floats:
        """Return corrected votes of each pair, shape (p, 3), of unchanged total."""
        if tuning == 0:
            return self.voted
        off, on = self.shares()
        return np.asarray(self.voted - tuning * (off[:, None] * self.predicted - on[:, None] * self.extra))


def pair_sums(sample: Sample) -> PairSums:
    """Sum all rows of each pair."""
    number, size = sample.pairs.number(sample.rows), len(sample.pairs)
    voted = sum_by_number(number, size, sample.rows.votes)
    if sample.predicted is None or sample.extra is None:
        return PairSums(voted, np.zeros_like(voted), np.zeros_like(voted))
    extra = sum_by_number(sample.pairs.number(sample.extra), size, sample.extra.votes)
    return PairSums(voted, sum_by_number(number, size, sample.predicted), extra)


def corrected_cells(
    sample: Sample, tuning: float, times: Floats | None = None, extra_times: Floats | None = None
) -> Cells:
    """Return corrected pairs, or single rows where there is style.

    Args:
        sample: The rows.
        tuning: How far predictions are trusted, 0 to 1.
        times: How often each voted row counts, shape (n,); once where None.
        extra_times: How often each row without votes counts.
    """
    if not sample.units.size:
        return sample.pairs.cells(pair_sums(sample).blend(tuning))
    rows = sample.rows if times is None else sample.rows.times(times)
    if sample.predicted is None or sample.extra is None or tuning == 0:
        return rows.cells
    predicted = sample.predicted if times is None else sample.predicted * times[:, None]
    extra = sample.extra if extra_times is None else sample.extra.times(extra_times)
    number, there, size = sample.pairs.number(rows), sample.pairs.number(extra), len(sample.pairs)
    off, on = PairSums(
        sum_by_number(number, size, rows.votes), predicted, sum_by_number(there, size, extra.votes)
    ).shares()
    votes = [rows.votes - tuning * off[number, None] * predicted, tuning * on[there, None] * extra.votes]
    first, second = np.concatenate([rows.first, extra.first]), np.concatenate([rows.second, extra.second])
    return Cells(rows.models, first, second, np.concatenate(votes), np.concatenate([rows.style, extra.style]))
