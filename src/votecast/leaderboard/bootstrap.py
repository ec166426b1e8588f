"""Fits on files drawn from the clusters of one (Field & Welsh 2007): whole prompts with replacement.

Called by `rank_models` for bootstrap intervals, and for all fits of evalica.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from threadpoolctl import threadpool_limits

from votecast.errors import ConfigError
from votecast.leaderboard.evalica_fits import fit_elo, fit_pairs
from votecast.leaderboard.fit import SampleFit
from votecast.leaderboard.game_rows import Cells, Rows, number_clusters
from votecast.leaderboard.ranking_likelihood import solve
from votecast.leaderboard.sample import PairVotes, Sample
from votecast.metrics.intervals import ClusterDraws
from votecast.types import Floats

LEAST_DRAWS: Final = 20
_LOWEST_TIE: Final = 1e-12


class DrawnFits(NamedTuple):
    """Parameters fitted on each drawn file."""

    # of mean 0 where they are log odds, (draws, m)
    strengths: Floats
    # the number for ties, 0 without one, (draws,)
    tie: Floats
    # coefficients of style, (draws, k)
    style: Floats
    # in how many draws a prior was needed to bound the strengths
    held: int


def draw_fits(found: SampleFit, draws: int, seed: int, style_ridge: float = 0.0) -> DrawnFits:
    """Fit drawn files as the whole one was fitted, at its tuning.

    Raises:
        ConfigError: If there are fewer than 20 draws.
    """
    if draws < LEAST_DRAWS:
        raise ConfigError(f"draws is {draws}; a bootstrap interval takes at least {LEAST_DRAWS}")
    sample, method, whole = found.sample, found.fit.method, found.solution
    files = _DrawnFiles(sample, draws, seed)
    strengths, ties = np.empty((draws, len(sample.names))), np.zeros(draws)
    style, held = np.zeros((draws, len(found.fit.style))), 0
    with threadpool_limits(1):
        for draw in range(draws):
            if whole is not None:
                # from the whole file's maximum a drawn one is two or three steps away
                drawn = solve(method, files.cells(draw, found.fit.tuning or 0.0), style_ridge, whole.point)
                strengths[draw], t, style[draw] = drawn.likelihood.split(drawn.point)
                ties[draw] = t if drawn.likelihood.tie else found.model.no_ties
                held += drawn.prior
                continue
            tie = None
            if method == "elo":
                order = np.repeat(np.arange(len(sample.rows)), files.voted.times(draw).astype(np.int64))
                strengths[draw] = fit_elo(sample, order)
            else:
                strengths[draw], tie = fit_pairs(method, sample.pairs, files.pair_votes(draw).voted)
            ties[draw] = np.log(max(tie or 0.0, _LOWEST_TIE))
    return DrawnFits(strengths, ties, style, held)


class _DrawnRows:
    """How often the clusters of some rows are in each drawn file."""

    def __init__(self, sample: Sample, rows: Rows, draws: int, seed: int) -> None:
        number, count = number_clusters(rows.clusters)
        self.drawn = ClusterDraws(number if count > 1 else np.arange(len(rows)), draws, seed)
        self.pair, self.size = sample.pairs.number(rows), len(sample.pairs)

    def times(self, draw: int) -> Floats:
        """Return how often each row is in a drawn file."""
        return np.asarray(self.drawn.counts[draw][self.drawn.blocks])

    def tabulate(self, votes: Floats) -> csr_matrix:
        """Return the votes of each pair and outcome (a row) in each block of clusters (a column)."""
        # a product with how often each block is drawn gives the votes of a drawn file, (3 p,)
        blocks, some = self.drawn.blocks, votes != 0
        place = (self.pair[:, None] * 3 + np.arange(3))[some]
        where = (place, np.broadcast_to(blocks[:, None], votes.shape)[some])
        return coo_matrix((votes[some], where), shape=(3 * self.size, int(blocks.max()) + 1)).tocsr()

    def sum_votes(self, table: csr_matrix, draw: int) -> Floats:
        """Return the votes of each pair in a drawn file, shape (p, 3)."""
        return np.asarray(table @ self.drawn.counts[draw]).reshape(-1, 3)


class _DrawnFiles:
    """Drawn files as sums over the pairs of models; rows without votes are drawn apart from those with."""

    def __init__(self, sample: Sample, draws: int, seed: int) -> None:
        self.sample, self.voted, self.extra = sample, _DrawnRows(sample, sample.rows, draws, seed), None
        self.tables = [self.voted.tabulate(sample.rows.votes)]
        if len(sample.extra):
            self.extra = _DrawnRows(sample, sample.extra, draws, seed + 1)
            self.tables += [self.voted.tabulate(sample.predicted), self.extra.tabulate(sample.extra.votes)]

    def pair_votes(self, draw: int) -> PairVotes:
        """Return the votes of each pair of models."""
        voted = self.voted.sum_votes(self.tables[0], draw)
        if self.extra is None:
            return PairVotes(voted, np.zeros_like(voted), np.zeros_like(voted))
        _, predicted, extra = self.tables
        return PairVotes(voted, self.voted.sum_votes(predicted, draw), self.extra.sum_votes(extra, draw))

    def cells(self, draw: int, tuning: float) -> Cells:
        """Return what the likelihood of the drawn file is summed over."""
        if not self.sample.units.size:
            return replace(self.sample.pairs, votes=self.pair_votes(draw).blend(tuning))
        extra = None if self.extra is None else self.extra.times(draw)
        return self.sample.cells(tuning, self.voted.times(draw), extra)
