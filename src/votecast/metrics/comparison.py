"""Two judges on the same rows: every figure of one minus that of the other, with intervals from draws in pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from votecast.metrics.bootstrap import ClusterDraws
from votecast.metrics.checks import Checked, check_groups, check_rows
from votecast.metrics.result import Figure
from votecast.metrics.rows import without_ties
from votecast.metrics.table import Measure


def compare_probabilities(
    targets: ArrayLike,
    probabilities: ArrayLike,
    reference: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    swapped: tuple[ArrayLike | None, ArrayLike | None] = (None, None),
    binary: bool = False,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Figures of a reference, and those of a judge minus those of the reference, on the same rows.

    Both judges are measured on the same bootstrap files, so that what makes a file easy for both cancels.

    Args:
        targets: Votes, shape (n, 3).
        probabilities: Forecasts of the judge, shape (n, 3).
        reference: Forecasts of the reference, shape (n, 3).
        groups: Prompt of each row, shape (n,); every row by itself where None.
        weights: How much each row counts, shape (n,).
        swapped: Forecasts of both for the exchanged answers, for the flip rate.
        binary: Whether the mass of a tie is handed to a and b in proportion, as in a file without ties.
        draws: How many files the bootstrap draws; 0 for no intervals.
        seed: Seed of the bootstrap.

    Returns:
        Name to figure of the reference, and name to difference.

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2] * 10]
        >>> own, its = votes * 0.7 + 0.1, np.full((30, 3), 1 / 3)
        >>> figures, difference = compare_probabilities(votes, own, its, draws=100)
        >>> round(figures["accuracy"].value, 2), round(difference["accuracy"].value, 2)
        (0.33, 0.67)
    """
    measures, drawn, cluster = [], None, None
    for forecasts, exchanged in zip((probabilities, reference), swapped, strict=True):
        data = check_rows(targets, forecasts, weights)
        reverse = None if exchanged is None else check_rows(targets, exchanged, weights).probabilities
        if binary:
            data = Checked(data.targets, without_ties(data.probabilities), data.weights)
            reverse = None if reverse is None else without_ties(reverse)
        if drawn is None or cluster is None:
            cluster = check_groups(groups, len(data.weights))
            drawn = ClusterDraws(cluster, draws, seed)
        measures.append(Measure(data, cluster, drawn, exchanged=reverse, perfect=False))
    judge, other = measures
    return other.part(np.arange(len(other.groups))), judge.difference(other)
