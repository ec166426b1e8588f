"""Assign each row its fold, for the methods of `FoldSettings`.

`make_folds` calls these.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from votecast.data.answer_pairs import AnswerPairs, by_appearance
from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.prompts import normalised_prompts
from votecast.data.text_columns import Ints
from votecast.errors import ConfigError
from votecast.splits.settings import FoldSettings
from votecast.types import Probabilities

_NAMED = 3


def assign_grouped(
    battles: Battles, targets: Probabilities, settings: FoldSettings, clusters: Ints | None = None
) -> tuple[Ints, list[str]]:
    """Assign whole clusters to folds such that sizes and votes are balanced.

    A cluster with more rows than a fold is split no further than needed: first into prompts that are equal after
    normalisation, then into pairs of answers, then into rows.

    Args:
        battles: The rows.
        targets: Their votes, shape (n, 3); zeros where there is none.
        settings: Number of folds, seed, similarity.
        clusters: Cluster of each row, shape (n,); found by `prompt_clusters` when None.

    Returns:
        Fold of each row, shape (n,), and a note for each cluster that was split.

    Raises:
        ConfigError: If there is not one cluster number a row.
    """
    if clusters is None:
        clusters = prompt_clusters(battles, similarity=settings.similarity)
    if len(clusters) != len(battles):
        raise ConfigError(f"{len(clusters)} cluster numbers are given for {len(battles)} rows; one a row is needed")
    groups, notes = by_appearance(np.asarray(clusters)), []
    capacity = -(-len(battles) // settings.n)
    for cluster in np.flatnonzero(np.bincount(groups) > capacity):
        rows = np.flatnonzero(groups == cluster)
        part = battles.take(rows)
        pieces, level = _split(part, capacity)
        groups[rows] = groups.max() + 1 + pieces
        ids = ", ".join(repr(row_id) for row_id in part[:_NAMED].ids)
        notes.append(
            f"a cluster of {len(rows)} rows with near-duplicate prompts (first ids: {ids}) is larger than a fold of "
            f"{capacity} rows and was split by {level}: its prompts may occur on both sides of a fold"
        )
    groups = by_appearance(groups) if notes else groups
    return balanced_folds(groups, targets, settings.n, settings.seed), notes


def assign_stratified(targets: Probabilities, n: int, seed: int) -> Ints:
    """Assign the shuffled rows of each class to n folds in turn, starting each class where the last one stopped.

    Folds differ by at most one row in size and in each class. A soft label counts for its largest class.

    Example:
        >>> votes = np.eye(3)[[0, 0, 1, 1, 0, 1, 2, 2]]
        >>> folds = assign_stratified(votes, 2, seed=0)
        >>> [np.bincount(folds[votes[:, column] == 1]).tolist() for column in range(3)]
        [[2, 1], [1, 2], [1, 1]]
    """
    kind = _largest_class(targets)
    shuffled = np.random.default_rng(seed).permutation(len(kind))
    order = shuffled[np.argsort(kind[shuffled], kind="stable")]
    out = np.empty(len(kind), dtype=np.int64)
    out[order] = np.arange(len(kind)) % n
    return out


def assign_single(targets: Probabilities, settings: FoldSettings) -> Ints:
    """Hold out a share of the rows, at least one and not all, as fold 0; the others get -1.

    Example:
        >>> assign_single(np.eye(3)[[0, 1] * 5], FoldSettings(method="single", fraction=0.4)).tolist().count(0)
        4
    """
    rows = len(targets)
    wanted = min(max(round(settings.fraction * rows), 1), rows - 1)
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(rows)
    if settings.stratify:
        kind = _largest_class(targets)
        order = order[np.argsort(kind[order], kind="stable")]
        # Evenly spaced marks over rows sorted by class, from a random start: every class keeps its share.
        order = order[(np.arange(wanted) * rows + rng.integers(rows)) // wanted % rows]
    out = np.full(rows, -1, dtype=np.int64)
    out[order[:wanted]] = 0
    return out


def balanced_folds(groups: Ints, targets: Probabilities, n: int, seed: int) -> Ints:
    """Assign each group to the fold where rows and votes are then spread most evenly.

    The largest groups come first, those of one size class by class. Minimises the sum over folds of squared counts,
    each count (rows and the three classes) divided by its total, one group at a time: the greedy idea of scikit-learn's
    StratifiedGroupKFold at a cost that does not depend on the rows.

    Args:
        groups: Group of each row, shape (n_rows,), numbered from 0.
        targets: Votes of shape (n_rows, 3); zeros where there is none.
        n: Number of folds.
        seed: Seed that orders groups of equal size and the folds.

    Returns:
        Fold of each row, shape (n_rows,).
    """
    what = np.column_stack([np.ones(len(groups)), targets])
    counts = np.stack([np.bincount(groups, weights=column) for column in what.T], axis=1).astype(float)  # (groups, 4)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(counts))
    order = shuffled[np.lexsort((_largest_class(counts[shuffled, 1:]), -counts[shuffled, 0]))]
    # The gain of a group in a fold is linear in what the fold holds, up to a constant: one matrix product a group.
    share = counts / np.maximum(counts.sum(axis=0), 1)  # (groups, 4)
    filled = np.zeros((n, counts.shape[1]))
    place = np.empty(len(counts), dtype=np.int64)
    for group in order:
        place[group] = fold = (filled @ share[group]).argmin()
        filled[fold] += counts[group]
    return rng.permutation(n)[place][groups]


def _largest_class(targets: Probabilities) -> Ints:
    """Return the largest class of each row; 3 where there is no vote."""
    out: Ints = np.where(targets.sum(axis=1) > 0, targets.argmax(axis=1), targets.shape[1])
    return out


def _split(battles: Battles, capacity: int) -> tuple[Ints, str]:
    """Split one cluster, level by level, until no piece is larger than a fold; also return the last level used."""
    levels: dict[str, Callable[[], Ints]] = {
        "prompt": lambda: np.unique(normalised_prompts(battles), return_inverse=True)[1].reshape(-1),
        "pair of answers": lambda: AnswerPairs.of(battles).numbers(ordered=False),
        "row": lambda: np.arange(len(battles), dtype=np.int64),
    }
    pieces, used = np.zeros(len(battles), dtype=np.int64), ""
    for level, numbers in levels.items():
        large = np.bincount(pieces)[pieces] > capacity
        if large.any():
            used = level
            pieces = by_appearance(np.where(large, pieces.max() + 1 + numbers(), pieces))
    return pieces, used
