"""Choose among settings of a stacked model on held-out prompts, the simplest within one standard error.

`votecast.judges.logistic_stack` chooses its ridge with it, `votecast.judges.tree_stack` its rounds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from votecast.metrics import group_folds
from votecast.types import Bools, Floats, Ints


def held_out_rows(groups: Ints, weights: Floats, seed: int) -> Iterator[Bools]:
    """Yield the rows of each fold of prompts whose other folds count; none for a single prompt."""
    folds = group_folds(groups, seed=seed)
    if folds.any():
        for fold in np.unique(folds):
            held = folds == fold
            if weights[~held].any():
                yield held


def simplest(losses: Floats, weights: Floats, groups: Ints) -> int:
    """Return the first choice, simplest first, within one standard error of the best.

    The rule of one standard error (Breiman et al. 1984, section 3.4.3), here of differences on the same rows.

    Args:
        losses: Loss of each held-out row under each choice, shape (choices, n).
        weights: Shape (n,).
        groups: Rows of one group share a prompt, shape (n,).

    Example:
        >>> simplest(np.array([[1.0, 1.0], [0.9, 1.1], [0.5, 0.4]]), np.ones(2), np.arange(2))
        2
    """
    group = np.unique(groups, return_inverse=True)[1]
    best = losses[int(np.argmin(losses @ weights))]
    for place, one in enumerate(losses):
        worse = np.bincount(group, weights * (one - best))  # by prompt: rows of one prompt are not independent
        if worse.sum() <= np.sqrt(np.sum(np.square(worse))):
            return place
    raise AssertionError("the best is not worse than itself")
