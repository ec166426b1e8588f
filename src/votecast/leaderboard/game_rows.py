"""Votes on pairs of models in one form, the smaller model number first: rows, and their sums by pair.

Called by the sample of a ranking, its likelihood and its intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from votecast.leaderboard.games import Games
from votecast.types import Bools, Floats, Ints, swap_columns


@dataclass(frozen=True)
class Cells:
    """What a likelihood is summed over: pairs of models, or single rows where style tells them apart."""

    models: int
    # smaller and larger number of the two models, (c,)
    first: Ints
    second: Ints
    # weight of the votes for first, for second and for a tie, (c, 3)
    votes: Floats
    # style of first minus that of second, (c, k); k is 0 without style control
    style: Floats

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def pairs_of(cls, rows: Cells) -> Self:
        """Return one cell without votes for each pair of models in these rows, in order."""
        codes = np.flatnonzero(np.bincount(rows.first * rows.models + rows.second, minlength=rows.models**2))
        none = np.zeros((len(codes), 0))
        return cls(rows.models, codes // rows.models, codes % rows.models, np.zeros((len(codes), 3)), none)

    def number(self, rows: Cells) -> Ints:
        """Return which of these pairs each row is of, shape (n,); -1 for a pair that is not here."""
        where = np.full(self.models**2, -1, dtype=np.int64)
        where[self.first * self.models + self.second] = np.arange(len(self))
        return np.asarray(where[rows.first * self.models + rows.second])

    def sum_by_models(self, values: Floats) -> Floats:
        """Sum value times (e_first - e_second), shape (models,)."""
        first, second = (np.bincount(side, values, minlength=self.models) for side in (self.first, self.second))
        return np.asarray(first - second)

    def laplacian(self, values: Floats) -> Floats:
        """Sum value times (e_first - e_second)(e_first - e_second)', shape (models, models)."""
        m = self.models
        upper = np.bincount(self.first * m + self.second, values, minlength=m * m).reshape(m, m)
        return np.asarray(np.diag(upper.sum(axis=0) + upper.sum(axis=1)) - upper - upper.T)


@dataclass(frozen=True)
class Rows(Cells):
    """Games as cells, one a row; swapping a and b of the games changes nothing here, to the last bit."""

    # of prompts, (n,)
    clusters: Ints

    @classmethod
    def of(cls, games: Games) -> Self:
        """Return the rows that count: of a weight above 0, and between two models."""
        kept = np.flatnonzero((games.weights > 0) & (games.a != games.b))
        a, b, outcome = games.a[kept], games.b[kept], games.outcome[kept]
        swap = a > b
        style = np.zeros((len(kept), 0)) if games.style is None else games.style[kept]
        return cls(
            models=len(games.models),
            first=np.minimum(a, b),
            second=np.maximum(a, b),
            votes=np.where(swap[:, None], swap_columns(outcome), outcome) * games.weights[kept, None],
            style=np.where(swap[:, None], -style, style),
            clusters=games.clusters[kept],
        )

    def times(self, counts: Floats) -> Self:
        """Return the rows, each counting so many times."""
        return replace(self, votes=self.votes * counts[:, None])

    def take(self, mask: Bools) -> Self:
        """Return some of the rows; the models keep their numbers."""
        names = ("first", "second", "votes", "style", "clusters")
        return replace(self, **{name: column[mask] for name, column in vars(self).items() if name in names})


def sum_by_number(number: Ints, size: int, columns: Floats) -> Floats:
    """Sum the rows of each number, shape (size, k)."""
    if not columns.shape[1]:
        return np.zeros((size, 0))
    return np.stack([np.bincount(number, column, minlength=size) for column in columns.T], axis=1)


def number_clusters(clusters: Ints) -> tuple[Ints, int]:
    """Number clusters from 0 without gaps, and count them."""
    names, number = np.unique(clusters, return_inverse=True)
    return number.astype(np.int64), len(names)
