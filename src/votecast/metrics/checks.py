"""Check the inputs of every metric: probabilities of shape (n, 3), votes, weights and groups of the same rows.

Called by the metrics, the calibrators and the leaderboard before they compute anything.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from votecast.errors import DataError
from votecast.types import CLASSES, ROUNDING, SUM_TOLERANCE, Bools, Floats, Ints, Probabilities

logger = logging.getLogger(__name__)


class Checked(NamedTuple):
    """Votes and predictions, shape (n, 3) each, and weights of the same rows, shape (n,)."""

    targets: Probabilities
    probabilities: Probabilities
    weights: Floats


def check_rows(
    targets: ArrayLike,
    probabilities: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    notes: list[str] | None = None,
) -> Checked:
    """Check votes, predictions and weights, and return them as float64; notes as in `check_probabilities`.

    Raises:
        DataError: If shapes differ, there are no rows, values are not probabilities, or no row counts.
    """
    t = check_probabilities(targets, "votes", notes=notes)
    p = check_probabilities(probabilities, notes=notes)
    if len(t) != len(p):
        raise DataError(f"{len(p)} rows of probabilities are given for {len(t)} rows of votes; give one for each")
    return Checked(t, p, check_weights(weights, len(t)))


def check_probabilities(
    values: ArrayLike, name: str = "probabilities", *, notes: list[str] | None = None
) -> Probabilities:
    """Check an array of probabilities and return it as contiguous float64, shape (n, 3).

    Rows that sum to 1 but for rounding (two to six decimals, float16) are rescaled, with a note.

    Args:
        values: Shape (n, 3), columns a, b, tie.
        name: What they are, for messages.
        notes: Receives the note; it is logged as a warning where None.

    Raises:
        DataError: If the shape is another, a value is NaN or outside [0, 1], or a row does not sum to 1.

    Example:
        >>> notes = []
        >>> check_probabilities([[0.33, 0.33, 0.33], [0.5, 0.25, 0.25]], notes=notes)[:, 0].round(4).tolist()
        [0.3333, 0.5]
        >>> notes
        ['1 of 2 rows of the probabilities sum to 1 only up to rounding (0.99 to 0.99); they are rescaled']
    """
    try:
        p = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} are not numbers ({error}); allowed are floats of shape (n, 3)") from error
    if p.ndim != 2 or p.shape[1] != len(CLASSES):
        raise DataError(f"{name} have shape {p.shape}; allowed is (n, 3), columns {', '.join(CLASSES)}")
    if not len(p):
        raise DataError(f"{name} have no rows; give at least one")
    total = p.sum(axis=1)  # (n,)
    rules: tuple[tuple[Bools, str], ...] = (
        (np.any(~np.isfinite(p), axis=1), "every value must be a finite number"),
        (np.any((p < 0) | (p > 1), axis=1), "every value must lie in [0, 1]"),
        (np.abs(total - 1) > ROUNDING, "every row must sum to 1, and this one sums to {:.6g}"),
    )
    for bad, rule in rules:
        if bad.any():
            first = int(np.argmax(bad))
            count = int(bad.sum())
            raise DataError(
                f"row {first + 1} of the {name} is {p[first].tolist()} ({count} such rows); {rule.format(total[first])}"
            )
    rounded = np.abs(total - 1) > SUM_TOLERANCE
    if not rounded.any():
        return p
    note = (
        f"{int(rounded.sum()):,} of {len(p):,} rows of the {name} sum to 1 only up to rounding "
        f"({total[rounded].min():.6g} to {total[rounded].max():.6g}); they are rescaled"
    )
    if notes is None:
        logger.warning("%s", note)
    else:
        notes.append(note)
    return np.where(rounded[:, None], p / total[:, None], p)


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
