"""Games: which models met, the votes, and their weights; the input of every ranking.

Made from battles by `votecast.leaderboard.rank_votes`, or by a caller who has numbers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from votecast.errors import DataError
from votecast.metrics.checks import check_groups, check_probabilities, check_weights
from votecast.types import Floats, Ints, Probabilities


@dataclass(frozen=True)
class Games:
    """Games between models, one a row; a row may be a share of votes.

    Args:
        models: Names of the models, all different.
        a: Which of them wrote response a, shape (n,).
        b: Which of them wrote response b, shape (n,).
        outcome: Shares of votes for a, for b and for a tie, shape (n, 3).
        weights: How much each row counts, shape (n,).
        clusters: Cluster (prompt) of each row, numbered from 0, shape (n,); rows of one cluster depend on each other.
        style: Differences in style, that of a minus that of b, shape (n, k); None without style control.
        style_names: Name of each of its columns.

    Example:
        >>> games = Games.of(["x", "y"], a=[0, 1], b=[1, 0], outcome=[[1, 0, 0], [0, 0, 1]])
        >>> len(games)
        2
    """

    models: tuple[str, ...]
    a: Ints
    b: Ints
    outcome: Probabilities
    weights: Floats
    clusters: Ints
    style: Floats | None = None
    style_names: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        models: Sequence[str],
        a: ArrayLike,
        b: ArrayLike,
        outcome: ArrayLike,
        weights: ArrayLike | None = None,
        clusters: ArrayLike | None = None,
        style: ArrayLike | None = None,
        style_names: Sequence[str] = (),
    ) -> Self:
        """Check everything and return the games.

        Without weights every row counts once, without clusters (names or numbers) it depends on no other.

        Raises:
            DataError: If names repeat, numbers of models are out of range, shapes differ, or values are not finite.
        """
        if len(set(models)) != len(models):
            twice = next(name for name in models if list(models).count(name) > 1)
            raise DataError(f"the model {twice!r} is named twice; give each model one name of its own")
        y = check_probabilities(outcome, "outcomes")
        rows = len(y)
        first, second = (_check_models(side, rows, len(models), name) for side, name in ((a, "a"), (b, "b")))
        w, cluster = check_weights(weights, rows), check_groups(clusters, rows)
        if style is None:
            return cls(tuple(models), first, second, y, w, cluster)
        x = _check_style_columns(style, rows, len(style_names))
        return cls(tuple(models), first, second, y, w, cluster, x, tuple(style_names))

    def __len__(self) -> int:
        return len(self.a)


@dataclass(frozen=True)
class Predicted:
    """A judge's probabilities on games with and without votes: the input of prediction-powered ranking.

    Args:
        labelled: On the games that people voted on, by a judge not trained on these votes, shape (n, 3).
        unlabelled: Games without votes, whose outcome is the judge's probabilities; their clusters are numbered apart.
    """

    labelled: Probabilities
    unlabelled: Games


def _check_models(values: ArrayLike, rows: int, models: int, name: str) -> Ints:
    given = np.asarray(values)
    if given.shape != (rows,) or not np.issubdtype(given.dtype, np.integer):
        raise DataError(
            f"the models of side {name} have shape {given.shape} and type {given.dtype}; allowed are whole numbers of "
            f"shape ({rows},)"
        )
    if rows and not (given.min() >= 0 and given.max() < models):
        raise DataError(
            f"side {name} names models {int(given.min())} to {int(given.max())}; allowed are 0 to {models - 1}, one "
            "for each name"
        )
    return np.ascontiguousarray(given, dtype=np.int64)


def _check_style_columns(values: ArrayLike, rows: int, names: int) -> Floats:
    try:
        x = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the style does not hold numbers ({error}); give one for each row and feature") from error
    if x.shape != (rows, names) or not names:
        raise DataError(
            f"the style has shape {x.shape} and {names} names; allowed is ({rows}, k) with k names, k at least 1"
        )
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        raise DataError(
            f"the style of row {int(np.argmax(bad)) + 1} is {x[bad][0].tolist()} (rows like it: {int(bad.sum())}); "
            "every value must be a finite number"
        )
    return x
