"""Rows of games in one form: the smaller model number first, votes summed by pair of models.

Called by the sample of a ranking, its likelihood and its intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from votecast.leaderboard.games import Games
from votecast.types import Bools, Floats, Ints, swap_columns


@dataclass(frozen=True)
class Rows:
    """Games with the smaller model number first; swapping a and b changes nothing here, to the last bit.

    Args:
        models: How many models there are.
        first: Smaller number of the two models, shape (n,).
        second: Larger number, shape (n,).
        votes: Weight of the votes for first, for second and for a tie, shape (n, 3).
        clusters: Cluster of each row, shape (n,).
        style: That of first minus that of second, shape (n, k); k is 0 without style control.
        kept: Which of the games these rows are, shape (n,).
    """

    models: int
    first: Ints
    second: Ints
    votes: Floats
    clusters: Ints
    style: Floats
    kept: Ints

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
            clusters=games.clusters[kept],
            style=np.where(swap[:, None], -style, style),
            kept=kept,
        )

    def __len__(self) -> int:
        return len(self.first)

    @property
    def cells(self) -> Cells:
        """Each row as a cell of its own."""
        return Cells(self.models, self.first, self.second, self.votes, self.style)

    @property
    def codes(self) -> Ints:
        """One number for each pair of models, shape (n,)."""
        return self.first * self.models + self.second

    def times(self, counts: Floats) -> Rows:
        """Return the rows, each counting so many times."""
        return replace(self, votes=self.votes * counts[:, None])

    def take(self, mask: Bools, number: Ints | None = None, models: int | None = None) -> Rows:
        """Return some of the rows, with models renumbered if a numbering is given."""
        first, second = self.first[mask], self.second[mask]
        if number is not None:
            first, second = number[first], number[second]
        return replace(
            self,
            models=self.models if models is None else models,
            first=first,
            second=second,
            votes=self.votes[mask],
            clusters=self.clusters[mask],
            style=self.style[mask],
            kept=self.kept[mask],
        )


@dataclass(frozen=True)
class Cells:
    """What a likelihood is summed over: pairs of models, or single rows where style tells them apart.

    Args:
        models: How many models there are.
        first: Smaller number of the two models, shape (c,).
        second: Larger number, shape (c,).
        votes: Weight of the votes for first, for second and for a tie, shape (c, 3).
        style: Shape (c, k).
    """

    models: int
    first: Ints
    second: Ints
    votes: Floats
    style: Floats


@dataclass(frozen=True)
class ModelPairs:
    """The pairs of models that met.

    Args:
        models: How many models there are.
        first: Smaller number of each pair, shape (p,).
        second: Larger number, shape (p,).
    """

    models: int
    first: Ints
    second: Ints

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Return the pairs in these rows, in order."""
        codes = np.flatnonzero(np.bincount(rows.codes, minlength=rows.models**2))
        return cls(rows.models, codes // rows.models, codes % rows.models)

    def __len__(self) -> int:
        return len(self.first)

    def number(self, rows: Rows) -> Ints:
        """Return which pair each row is of, shape (n,); -1 for a pair that is not here."""
        where = np.full(self.models**2, -1, dtype=np.int64)
        where[self.first * self.models + self.second] = np.arange(len(self))
        return np.asarray(where[rows.codes])

    def cells(self, votes: Floats) -> Cells:
        """Return cells of these pairs with votes of shape (p, 3)."""
        return Cells(self.models, self.first, self.second, votes, np.zeros((len(self), 0)))


def sum_by_number(number: Ints, size: int, columns: Floats) -> Floats:
    """Sum the rows of each number, shape (size, k)."""
    if not columns.shape[1]:
        return np.zeros((size, 0))
    return np.stack([np.bincount(number, column, minlength=size) for column in columns.T], axis=1)


def laplacian(cells: Cells | Rows, values: Floats) -> Floats:
    """Sum value times (e_first - e_second)(e_first - e_second)' over cells, shape (models, models)."""
    m = cells.models
    upper = np.bincount(cells.first * m + cells.second, values, minlength=m * m).reshape(m, m)
    return np.asarray(np.diag(upper.sum(axis=0) + upper.sum(axis=1)) - upper - upper.T)


def sum_by_models(cells: Cells | Rows, values: Floats) -> Floats:
    """Sum value times (e_first - e_second) over cells, shape (models,)."""
    m = cells.models
    return np.asarray(np.bincount(cells.first, values, minlength=m) - np.bincount(cells.second, values, minlength=m))


def number_clusters(clusters: Ints) -> tuple[Ints, int]:
    """Number clusters from 0 without gaps, and count them."""
    names, number = np.unique(clusters, return_inverse=True)
    return number.astype(np.int64), len(names)
