"""Fits on files drawn from the clusters of one (Field & Welsh 2007): whole prompts with replacement."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from threadpoolctl import threadpool_limits

from votecast.errors import ConfigError
from votecast.leaderboard.elsewhere import fit_elo, fit_pairs
from votecast.leaderboard.fit import Fitted
from votecast.leaderboard.games import Ints
from votecast.leaderboard.methods import ELSEWHERE
from votecast.leaderboard.predicted import Sums, blended, cells_of
from votecast.leaderboard.rows import Cells, Rows
from votecast.leaderboard.sample import Sample, numbered
from votecast.leaderboard.solving import solve
from votecast.metrics.intervals import ClusterDraws
from votecast.types import Floats

LEAST: Final = 20
_LOWEST_TIE: Final = 1e-12


class Drawn(NamedTuple):
    """Parameters fitted on each drawn file.

    Args:
        strengths: Of mean 0 where they are log odds, shape (draws, m).
        tie: The number for ties, shape (draws,); 0 without one.
        style: Shape (draws, k).
        held: In how many draws a prior had to hold the strengths.
    """

    strengths: Floats
    tie: Floats
    style: Floats
    held: int


def draw_fits(fitted: Fitted, draws: int, seed: int, style_ridge: float = 0.0) -> Drawn:
    """Fit drawn files as the whole one was fitted, at its tuning.

    Args:
        fitted: The fit of the whole file.
        draws: How many files.
        seed: Seed of the draws.
        style_ridge: That of the fit.

    Raises:
        ConfigError: If there are fewer than 20 draws.
    """
    if draws < LEAST:
        raise ConfigError(f"draws is {draws}; a bootstrap interval takes at least {LEAST}")
    with threadpool_limits(1):
        return (
            _foreign(fitted, draws, seed) if fitted.fit.method in ELSEWHERE else _own(fitted, draws, seed, style_ridge)
        )


def _own(fitted: Fitted, draws: int, seed: int, ridge: float) -> Drawn:
    assert fitted.solution is not None
    source, start = _Source(fitted.sample, draws, seed), fitted.solution.point
    shape = fitted.solution.problem.shape
    out = Drawn(np.empty((draws, shape.models)), np.zeros(draws), np.zeros((draws, shape.style)), 0)
    held = 0
    for draw in range(draws):
        found = solve(fitted.fit.method, source.cells(draw, fitted.fit.tuning or 0.0), ridge, start)
        out.strengths[draw], t, out.style[draw] = found.problem.shape.split(found.point)
        out.tie[draw] = t if found.problem.shape.tie else fitted.solution.problem.curve.lowest
        held += found.prior
    return out._replace(held=held)


def _foreign(fitted: Fitted, draws: int, seed: int) -> Drawn:
    sample, method = fitted.sample, fitted.fit.method
    source, rows = _Source(sample, draws, seed), np.arange(len(sample.rows))
    out = Drawn(np.empty((draws, len(sample.names))), np.zeros(draws), np.zeros((draws, 0)), 0)
    for draw in range(draws):
        if method == "elo":
            found = fit_elo(sample, np.repeat(rows, source.times(draw).astype(np.int64)))
        else:
            found = fit_pairs(method, sample.pairs, source.sums(draw).voted)
        out.strengths[draw] = found.strengths
        out.tie[draw] = np.log(max(found.tie or 0.0, _LOWEST_TIE))
    return out


class _Source:
    """Drawn files as sums over the pairs of models, or as how often each row is in them."""

    def __init__(self, sample: Sample, draws: int, seed: int) -> None:
        self.sample = sample
        self.drawn = ClusterDraws(_clusters(sample.rows), draws, seed)
        self.table = _table(sample, sample.rows, sample.rows.votes, self.drawn.blocks)
        self.guessed, self.extra, self.extra_drawn = None, None, None
        if sample.guessed is not None and sample.extra is not None and len(sample.extra):
            self.guessed = _table(sample, sample.rows, sample.guessed, self.drawn.blocks)
            self.extra_drawn = ClusterDraws(_clusters(sample.extra), draws, seed + 1)
            self.extra = _table(sample, sample.extra, sample.extra.votes, self.extra_drawn.blocks)

    def times(self, draw: int) -> Floats:
        """How often each voted row is in the drawn file."""
        return np.asarray(self.drawn.counts[draw][self.drawn.blocks])

    def sums(self, draw: int) -> Sums:
        """Votes of each pair of models."""
        voted = self._summed(self.table, self.drawn, draw)
        if self.guessed is None or self.extra is None or self.extra_drawn is None:
            return Sums(voted, np.zeros_like(voted), np.zeros_like(voted))
        return Sums(
            voted, self._summed(self.guessed, self.drawn, draw), self._summed(self.extra, self.extra_drawn, draw)
        )

    def cells(self, draw: int, tuning: float) -> Cells:
        """What the likelihood of the drawn file is summed over."""
        if not self.sample.units.size:
            return self.sample.pairs.cells(blended(self.sums(draw), tuning))
        extra = None if self.extra_drawn is None else self.extra_drawn.counts[draw][self.extra_drawn.blocks]
        return cells_of(self.sample, tuning, self.times(draw), extra)

    def _summed(self, table: csr_matrix, drawn: ClusterDraws, draw: int) -> Floats:
        return np.asarray(table @ drawn.counts[draw]).reshape(-1, 3)


def _clusters(rows: Rows) -> Ints:
    number, count = numbered(rows.clusters)
    return number if count > 1 else np.arange(len(rows))


def _table(sample: Sample, rows: Rows, each: Floats, blocks: Ints) -> csr_matrix:
    """Votes of each pair and outcome (a row) in each block (a column)."""
    place = sample.pairs.number(rows)[:, None] * 3 + np.arange(3)
    some = each != 0
    where = (place[some], np.broadcast_to(blocks[:, None], each.shape)[some])
    shape = (3 * len(sample.pairs), int(blocks.max()) + 1)
    return coo_matrix((each[some], where), shape=shape).tocsr()
