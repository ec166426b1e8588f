"""Check the inputs of every metric: probabilities of shape (n, 3), votes, weights and groups of the same rows.

Called by the metrics, the calibrators and the leaderboard before they compute anything.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from votecast.errors import DataError
from votecast.types import CLASSES, Bools, Floats, Ints, Probabilities

SUM_TOLERANCE: Final = 1e-6
"""How far a row of probabilities may sum from 1 (files round their figures)."""


class Checked(NamedTuple):
    """Votes and predictions, shape (n, 3) each, and weights of the same rows, shape (n,)."""

    targets: Probabilities
    probabilities: Probabilities
    weights: Floats


def check_rows(targets: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Checked:
    """Check votes, predictions and weights, and return them as float64.

    Raises:
        DataError: If shapes differ, there are no rows, values are not probabilities, or no row counts.
    """
    t, p = check_probabilities(targets, "votes"), check_probabilities(probabilities)
    if len(t) != len(p):
        raise DataError(f"{len(p)} rows of probabilities are given for {len(t)} rows of votes; give one for each")
    return Checked(t, p, check_weights(weights, len(t)))


def check_probabilities(values: ArrayLike, name: str = "probabilities") -> Probabilities:
    """Check an array of probabilities and return it as contiguous float64, shape (n, 3).

    Raises:
        DataError: If the shape is another, a value is NaN or outside [0, 1], or a row does not sum to 1.
    """
    try:
        p = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} are not numbers ({error}); allowed are floats of shape (n, 3)") from error
    if p.ndim != 2 or p.shape[1] != len(CLASSES):
        raise DataError(f"{name} have shape {p.shape}; allowed is (n, 3), columns {', '.join(CLASSES)}")
    if not len(p):
        raise DataError(f"{name} have no rows; give at least one")
    rules: tuple[tuple[Bools, str], ...] = (
        (np.any(~np.isfinite(p), axis=1), "every value must be a finite number"),
        (np.any((p < 0) | (p > 1), axis=1), "every value must lie in [0, 1]"),
        (np.abs(p.sum(axis=1) - 1) > SUM_TOLERANCE, f"every row must sum to 1 within {SUM_TOLERANCE:g}"),
    )
    for bad, rule in rules:
        if bad.any():
            first = int(np.argmax(bad))
            count = int(bad.sum())
            raise DataError(f"row {first + 1} of the {name} is {p[first].tolist()} ({count} such rows); {rule}")
    return p


def check_weights(weights: ArrayLike | None, rows: int) -> Floats:
    """Check weights and return them as float64; ones where None.

    Raises:
        DataError: If there is not one finite weight of at least 0 for each row, or all are 0.
    """
    if weights is None:
        return np.ones(rows)
    w = np.ascontiguousarray(weights, dtype=np.float64)
    if w.shape != (rows,):
        raise DataError(f"weights have shape {w.shape}; allowed is ({rows},), one for each row")
    bad = ~np.isfinite(w) | (w < 0)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(f"the weight of row {first + 1} is {w[first]}; allowed are finite weights of at least 0")
    if not w.any():
        raise DataError(f"all {rows} weights are 0; at least one row must count")
    return w


def check_groups(groups: ArrayLike | None, rows: int) -> Ints:
    """Number groups in sorted order; every row its own where None.

    Raises:
        DataError: If there is not one group for each row.
    """
    if groups is None:
        return np.arange(rows, dtype=np.int64)
    given = np.asarray(groups)
    if given.shape != (rows,):
        raise DataError(f"groups have shape {given.shape}; allowed is ({rows},), one name or number for each row")
    return np.unique(given, return_inverse=True)[1].astype(np.int64)
