"""Fits on files drawn from the clusters of one (Field & Welsh 2007): whole prompts with replacement.

Called by `rank_models` for bootstrap intervals, and for all fits of evalica.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from threadpoolctl import threadpool_limits

from votecast.errors import ConfigError
from votecast.leaderboard.evalica_fits import fit_elo, fit_pairs
from votecast.leaderboard.fit import SampleFit
from votecast.leaderboard.game_rows import Cells, Rows, number_clusters
from votecast.leaderboard.prediction_powered import PairSums, corrected_cells
from votecast.leaderboard.ranking_likelihood import solve
from votecast.leaderboard.sample import Sample
from votecast.metrics.intervals import ClusterDraws
from votecast.types import Floats, Ints

LEAST_DRAWS: Final = 20
_LOWEST_TIE: Final = 1e-12


class DrawnFits(NamedTuple):
    """Parameters fitted on each drawn file.

    Args:
        strengths: Of mean 0 where they are log odds, shape (draws, m).
        tie: The number for ties, shape (draws,); 0 without one.
        style: Shape (draws, k).
        held: In how many draws a prior was needed to bound the strengths.
    """

    strengths: Floats
    tie: Floats
    style: Floats
    held: int


def draw_fits(found: SampleFit, draws: int, seed: int, style_ridge: float = 0.0) -> DrawnFits:
    """Fit drawn files as the whole one was fitted, at its tuning.

    Args:
        found: The fit of the whole file.
        draws: How many files.
        seed: Seed of the draws.
        style_ridge: That of the fit.

    Raises:
        ConfigError: If there are fewer than 20 draws.
    """
    if draws < LEAST_DRAWS:
        raise ConfigError(f"draws is {draws}; a bootstrap interval takes at least {LEAST_DRAWS}")
    source = _DrawnFiles(found.sample, draws, seed)
    with threadpool_limits(1):
        if found.solution is None:
            return _draw_evalica_fits(found, source, draws)
        whole, held = found.solution, 0
        out = DrawnFits(
            np.empty((draws, whole.likelihood.models)), np.zeros(draws), np.zeros((draws, whole.likelihood.style)), 0
        )
        for draw in range(draws):
            cells = source.cells(draw, found.fit.tuning or 0.0)
            # from the whole file's maximum a drawn one is two or three steps away
            drawn = solve(found.fit.method, cells, style_ridge, whole.point)
            out.strengths[draw], t, out.style[draw] = drawn.likelihood.split(drawn.point)
            out.tie[draw] = t if drawn.likelihood.tie else whole.likelihood.model.no_ties
            held += drawn.prior
        return out._replace(held=held)


def _draw_evalica_fits(found: SampleFit, source: _DrawnFiles, draws: int) -> DrawnFits:
    sample, method = found.sample, found.fit.method
    rows = np.arange(len(sample.rows))
    out = DrawnFits(np.empty((draws, len(sample.names))), np.zeros(draws), np.zeros((draws, 0)), 0)
    for draw in range(draws):
        tie = None
        if method == "elo":
            out.strengths[draw] = fit_elo(sample, np.repeat(rows, source.times(draw).astype(np.int64)))
        else:
            out.strengths[draw], tie = fit_pairs(method, sample.pairs, source.sums(draw).voted)
        out.tie[draw] = np.log(max(tie or 0.0, _LOWEST_TIE))
    return out


class _DrawnFiles:
    """Drawn files as sums over the pairs of models, or as how often each row is in them."""

    def __init__(self, sample: Sample, draws: int, seed: int) -> None:
        self.sample = sample
        self.drawn = ClusterDraws(_clusters(sample.rows), draws, seed)
        self.table = _pair_table(sample, sample.rows, sample.rows.votes, self.drawn.blocks)
        self.predicted, self.extra, self.extra_drawn = None, None, None
        if sample.predicted is not None and sample.extra is not None and len(sample.extra):
            self.predicted = _pair_table(sample, sample.rows, sample.predicted, self.drawn.blocks)
            self.extra_drawn = ClusterDraws(_clusters(sample.extra), draws, seed + 1)
            self.extra = _pair_table(sample, sample.extra, sample.extra.votes, self.extra_drawn.blocks)

    def times(self, draw: int) -> Floats:
        """Return how often each voted row is in the drawn file."""
        return np.asarray(self.drawn.counts[draw][self.drawn.blocks])

    def sums(self, draw: int) -> PairSums:
        """Return the votes of each pair of models."""
        voted = np.asarray(self.table @ self.drawn.counts[draw]).reshape(-1, 3)
        if self.predicted is None or self.extra is None or self.extra_drawn is None:
            return PairSums(voted, np.zeros_like(voted), np.zeros_like(voted))
        predicted = np.asarray(self.predicted @ self.drawn.counts[draw]).reshape(-1, 3)
        return PairSums(voted, predicted, np.asarray(self.extra @ self.extra_drawn.counts[draw]).reshape(-1, 3))

    def cells(self, draw: int, tuning: float) -> Cells:
        """Return what the likelihood of the drawn file is summed over."""
        if not self.sample.units.size:
            return self.sample.pairs.cells(self.sums(draw).blend(tuning))
        extra = None if self.extra_drawn is None else self.extra_drawn.counts[draw][self.extra_drawn.blocks]
        return corrected_cells(self.sample, tuning, self.times(draw), extra)


def _clusters(rows: Rows) -> Ints:
    number, count = number_clusters(rows.clusters)
    return number if count > 1 else np.arange(len(rows))


def _pair_table(sample: Sample, rows: Rows, votes: Floats, blocks: Ints) -> csr_matrix:
    """Return the votes of each pair and outcome (a row) in each block (a column)."""
    # a product with how often each block is drawn gives the votes of a drawn file
    place = sample.pairs.number(rows)[:, None] * 3 + np.arange(3)
    some = votes != 0
    where = (place[some], np.broadcast_to(blocks[:, None], votes.shape)[some])
    shape = (3 * len(sample.pairs), int(blocks.max()) + 1)
    return coo_matrix((votes[some], where), shape=shape).tocsr()
