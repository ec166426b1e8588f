"""Prediction-powered votes: those of people, tightened by what a judge says of games without votes.

A judge that is wrong must not move the ranking, so what it says of games without votes counts only against what it said
where people voted (Angelopoulos, Bates, Fannjiang, Jordan & Zrnic 2023, eq. 3), to a degree that is fitted so that the
variance is least (PPI++: Angelopoulos, Duchi & Zrnic 2023, eq. 6). The comparison is made pair of models by pair of
models, so that the games without votes may be about other pairs, or have other shares of them, than those with votes;
within a pair they must be alike, the order of the answers included if the judge sees it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from votecast.leaderboard.rows import Cells, sums_by
from votecast.leaderboard.sample import Sample
from votecast.types import Floats


class Sums(NamedTuple):
    """Weight of the votes of each pair of models.

    Args:
        voted: By people, shape (p, 3).
        guessed: Of the same games as the judge forecasts them, shape (p, 3).
        extra: Of games without votes as the judge forecasts them, shape (p, 3).
    """

    voted: Floats
    guessed: Floats
    extra: Floats


def pair_sums(sample: Sample) -> Sums:
    """Sums over all rows of each pair."""
    number, size = sample.pairs.number(sample.rows), len(sample.pairs)
    voted = sums_by(number, size, sample.rows.votes)
    if sample.guessed is None or sample.extra is None:
        return Sums(voted, np.zeros_like(voted), np.zeros_like(voted))
    extra = sums_by(sample.pairs.number(sample.extra), size, sample.extra.votes)
    return Sums(voted, sums_by(number, size, sample.guessed), extra)


def shares(sums: Sums) -> tuple[Floats, Floats]:
    """How much forecasts of voted games are taken off, and how much those of other games are added, shape (p,) each.

    A pair with many games without votes beside those with votes gets nearly 1, one with none 0 (PPI++, eq. 7 with the
    factor 1 / (1 + n / N)); what is taken off and what is added weigh the same.
    """
    here, there = sums.voted.sum(axis=1), sums.extra.sum(axis=1)
    both = np.maximum(here + there, 1e-300)
    return there / both, here / both


def blended(sums: Sums, tuning: float) -> Floats:
    """Votes of each pair after the correction, shape (p, 3); their total is that of the votes of people."""
    if tuning == 0:
        return sums.voted
    off, on = shares(sums)
    return np.asarray(sums.voted - tuning * (off[:, None] * sums.guessed - on[:, None] * sums.extra))


def cells_of(sample: Sample, tuning: float, times: Floats | None = None, extra_times: Floats | None = None) -> Cells:
    """What the likelihood is summed over: pairs, or single rows where there is style.

    Args:
        sample: The rows.
        tuning: How far predictions are trusted.
        times: How often each voted row counts, shape (n,); once where None.
        extra_times: How often each row without votes counts.
    """
    if not sample.units.size:
        return sample.pairs.cells(blended(pair_sums(sample), tuning))
    rows = sample.rows if times is None else sample.rows.times(times)
    if sample.guessed is None or sample.extra is None or tuning == 0:
        return rows.cells
    guessed = sample.guessed if times is None else sample.guessed * times[:, None]
    extra = sample.extra if extra_times is None else sample.extra.times(extra_times)
    number, there, size = sample.pairs.number(rows), sample.pairs.number(extra), len(sample.pairs)
    off, on = shares(Sums(sums_by(number, size, rows.votes), guessed, sums_by(there, size, extra.votes)))
    votes = [rows.votes - tuning * off[number, None] * guessed, tuning * on[there, None] * extra.votes]
    first, second = np.concatenate([rows.first, extra.first]), np.concatenate([rows.second, extra.second])
    return Cells(rows.models, first, second, np.concatenate(votes), np.concatenate([rows.style, extra.style]))
