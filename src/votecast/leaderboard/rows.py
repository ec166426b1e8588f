"""Games made uniform: the model with the smaller number first, rows that say nothing left out, votes summed by pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from votecast.leaderboard.games import Games, Ints
from votecast.types import Floats, swap_columns


@dataclass(frozen=True)
class Rows:
    """Games with the smaller number of a model first; exchanging a and b changes nothing here, to the last bit.

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
        """The rows that count: of a weight above 0, and between two models."""
        kept = np.flatnonzero((games.weights > 0) & (games.a != games.b))
        a, b = games.a[kept], games.b[kept]
        swap = a > b
        style = np.zeros((len(kept), 0)) if games.style is None else games.style[kept]
        return cls(
            models=len(games.models),
            first=np.minimum(a, b),
            second=np.maximum(a, b),
            votes=exchanged_where(swap, games.outcome[kept]) * games.weights[kept, None],
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
        """The rows, each counting so many times."""
        return replace(self, votes=self.votes * counts[:, None])

    def take(self, mask: NDArray[np.bool_], number: Ints | None = None, models: int | None = None) -> Rows:
        """Some of the rows, with models numbered anew if a numbering is given."""
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
class Pairs:
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
        """The pairs in these rows, in order."""
        codes = np.flatnonzero(np.bincount(rows.codes, minlength=rows.models**2))
        return cls(rows.models, codes // rows.models, codes % rows.models)

    def __len__(self) -> int:
        return len(self.first)

    def number(self, rows: Rows) -> Ints:
        """Which pair each row is of, shape (n,); -1 for a pair that is not here."""
        where = np.full(self.models**2, -1, dtype=np.int64)
        where[self.first * self.models + self.second] = np.arange(len(self))
        return np.asarray(where[rows.codes])

    def cells(self, votes: Floats) -> Cells:
        """Cells of these pairs with votes of shape (p, 3)."""
        return Cells(self.models, self.first, self.second, votes, np.zeros((len(self), 0)))


def sums_by(number: Ints, size: int, columns: Floats) -> Floats:
    """Sums of the rows of each number, shape (size, k)."""
    if not columns.shape[1]:
        return np.zeros((size, 0))
    return np.stack([np.bincount(number, column, minlength=size) for column in columns.T], axis=1)


def exchanged_where(swap: NDArray[np.bool_], p: Floats) -> Floats:
    """The columns a and b exchanged in some rows."""
    return np.asarray(np.where(swap[:, None], swap_columns(p), p))


def laplacian(cells: Cells | Rows, values: Floats) -> Floats:
    """Sum over cells of value times (e_first - e_second)(e_first - e_second)', shape (models, models)."""
    m = cells.models
    upper = np.bincount(cells.first * m + cells.second, values, minlength=m * m).reshape(m, m)
    return np.asarray(np.diag(upper.sum(axis=0) + upper.sum(axis=1)) - upper - upper.T)


def by_models(cells: Cells | Rows, values: Floats) -> Floats:
    """Sum over cells of value times (e_first - e_second), shape (models,)."""
    m = cells.models
    return np.asarray(np.bincount(cells.first, values, minlength=m) - np.bincount(cells.second, values, minlength=m))
