"""Fits on files drawn from the clusters of one (Field & Welsh 2007): whole prompts with replacement.

Called by `rank_models` for bootstrap intervals, and for all fits of evalica.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from threadpoolctl import threadpool_limits

from votecast.errors import ConfigError
from votecast.leaderboard.evalica_fits import fit_elo, fit_pairs
from votecast.leaderboard.fit import SampleFit
from votecast.leaderboard.game_rows import Rows, number_clusters
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

    def notes(self) -> list[str]:
        """Describe the draws that needed a prior."""
        note = (
            f"in {self.held} of {len(self.strengths)} drawn files the votes do not bound the strength of some model: "
            "there a normal prior held strengths"
        )
        return [note] if self.held else []


def draw_fits(found: SampleFit, draws: int, seed: int, style_ridge: float = 0.0) -> DrawnFits:
    """Fit drawn files as the whole one was fitted, at its tuning.

    Raises:
        ConfigError: If there are fewer than 20 draws.
    """
    if draws < LEAST_DRAWS:
        raise ConfigError(f"draws is {draws}; a bootstrap interval takes at least {LEAST_DRAWS}")
    sample, method, whole, tuning = found.sample, found.fit.method, found.solution, found.fit.tuning or 0.0
    voted = _DrawnRows(sample, sample.rows, [sample.rows.votes, sample.predicted], draws, seed)
    # rows without votes are drawn apart from those with
    extra = _DrawnRows(sample, sample.extra, [sample.extra.votes], draws, seed + 1) if len(sample.extra) else None
    strengths, ties = np.empty((draws, len(sample.names))), np.zeros(draws)
    style, held = np.zeros((draws, len(found.fit.style))), 0

    def _pair_votes(draw: int) -> PairVotes:
        both = voted.pair_votes(draw)
        return PairVotes(*both, *([np.zeros_like(both[0])] if extra is None else extra.pair_votes(draw)))

    with threadpool_limits(1):
        for draw in range(draws):
            tie = None
            if whole is not None:
                if sample.units.size:
                    cells = sample.cells(tuning, voted.times(draw), None if extra is None else extra.times(draw))
                else:
                    cells = replace(sample.pairs, votes=_pair_votes(draw).blend(tuning))
                # from the whole file's maximum a drawn one is two or three steps away
                drawn = solve(method, cells, style_ridge, whole.point)
                strengths[draw], t, style[draw] = drawn.likelihood.split(drawn.point)
                ties[draw] = t if drawn.likelihood.tie else found.model.no_ties
                held += drawn.prior
                continue
            if method == "elo":
                order = np.repeat(np.arange(len(sample.rows)), voted.times(draw).astype(np.int64))
                strengths[draw] = fit_elo(sample, order)
            else:
                strengths[draw], tie = fit_pairs(method, sample.pairs, _pair_votes(draw).voted)
            ties[draw] = np.log(max(tie or 0.0, _LOWEST_TIE))
    return DrawnFits(strengths, ties, style, held)


class _DrawnRows:
    """Some rows as they are in each drawn file."""

    def __init__(self, sample: Sample, rows: Rows, votes: Sequence[Floats], draws: int, seed: int) -> None:
        number, count = number_clusters(rows.clusters)
        self.drawn = ClusterDraws(number if count > 1 else np.arange(len(rows)), draws, seed)
        place = sample.pairs.number(rows)[:, None] * 3 + np.arange(3)
        blocks = np.broadcast_to(self.drawn.blocks[:, None], place.shape)
        # the votes of each pair and outcome (a row) in each block of clusters (a column): a product with how often each
        # block is drawn gives the votes of a drawn file, (3 p,)
        shape = (3 * len(sample.pairs), int(self.drawn.blocks.max()) + 1)
        self.tables = [
            coo_matrix((each[each != 0], (place[each != 0], blocks[each != 0])), shape=shape).tocsr() for each in votes
        ]

    def times(self, draw: int) -> Floats:
        """Return how often each row is in a drawn file."""
        return np.asarray(self.drawn.counts[draw][self.drawn.blocks])

    def pair_votes(self, draw: int) -> list[Floats]:
        """Return the votes of each pair in a drawn file, shape (p, 3)."""
        return [np.asarray(table @ self.drawn.counts[draw]).reshape(-1, 3) for table in self.tables]
