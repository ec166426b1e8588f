"""What a link asks of the votes and scores it is fitted on; every fault has a message of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import DataError
from votecast.metrics.checks import check_probabilities, check_weights
from votecast.types import CLASSES, Floats, Probabilities

LEAST_VOTES: Final = 30
"""A link is not fitted on fewer votes."""


@dataclass(frozen=True)
class LinkRows:
    """The rows that count towards a fit.

    Args:
        columns: The gap, and the form if it takes part, shape (n, m).
        targets: Shape (n, 3).
        weights: All above 0, shape (n,).
        counts: Which of the rows given these are, shape (rows,).
    """

    columns: Floats
    targets: Probabilities
    weights: Floats
    counts: NDArray[np.bool_]


def checked_votes(
    gap: ArrayLike, targets: ArrayLike, weights: ArrayLike | None, form: ArrayLike | None, *, least: int
) -> LinkRows:
    """The rows that count, if a link can be fitted on them.

    Raises:
        DataError: If shapes differ, a value is not finite, rows that count are fewer than `least`, all votes are of one
            class, or the gap or the form is the same in every row.
    """
    x = checked_column(gap, "gap")
    if len(x) < least:
        raise DataError(_too_few(len(x), least))
    y = check_probabilities(targets, "votes")
    if len(y) != len(x):
        raise DataError(f"{len(x)} gaps are given for {len(y)} votes; give one for each")
    w = check_weights(weights, len(x))
    columns = [x] if form is None else [x, checked_column(form, "form", len(x))]
    counts = w > 0
    if int(counts.sum()) < least:
        raise DataError(_too_few(int(counts.sum()), least))
    table = np.stack(columns, axis=1)[counts]
    _check_classes(y[counts])
    _check_varies(table)
    return LinkRows(table, y[counts], w[counts], counts)


def checked_column(values: ArrayLike, name: str, rows: int | None = None) -> Floats:
    """Finite float64 numbers of shape (n,).

    Raises:
        DataError: If they are not; the message names the first row at fault.
    """
    try:
        x = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the {name} does not hold numbers ({error}); give one number for each row") from error
    if x.ndim != 1 or (rows is not None and len(x) != rows):
        raise DataError(f"the {name} has shape {x.shape}; allowed is ({'n' if rows is None else rows},)")
    bad = ~np.isfinite(x)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"the {name} of row {first + 1} is {x[first]} (rows like it: {int(bad.sum())}); every score must be a "
            "finite number: leave out the rows that could not be scored"
        )
    return x


def _check_classes(targets: Probabilities) -> None:
    voted = [name for name, total in zip(CLASSES, targets.sum(axis=0), strict=True) if total > 0]
    if len(voted) == 1:
        what = "calls a tie" if voted[0] == "tie" else f"is for {voted[0]}"
        raise DataError(
            f"every one of the {len(targets)} votes {what}, and a link is fitted on how outcomes change with the gap; "
            "give votes of at least two classes"
        )


def _check_varies(table: Floats) -> None:
    for column, name, what in zip(table.T, ("gap", "form"), ("scores", "lengths"), strict=False):
        if np.all(column == column[0]):
            raise DataError(
                f"the {name} is {column[0]:g} in all {len(column)} rows, so that these {what} cannot tell answers "
                f"apart; give {what} that differ" + ("" if name == "gap" else ", or leave the length out")
            )


def _too_few(rows: int, least: int) -> str:
    return (
        f"a link is to be fitted on {rows} votes that have scores, and at least {least} are needed (200 make a good "
        "start); give more votes, or take a link without votes: recipe:NAME of a reward recipe"
    )
