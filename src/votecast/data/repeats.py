"""What occurs more than once: pairs with several votes and how far these agree, and prompts that are asked often."""

from __future__ import annotations

from typing import Any

import numpy as np

from votecast.data.battles import Battles
from votecast.data.pairs import Ints, Pairs, known_targets
from votecast.types import CLASSES, swap_columns

Figures = dict[str, Any]

_FIRST = 10
_NAMED = 20
_START = 200


def conflicts(battles: Battles, pairs: Pairs, *, first: int = _FIRST) -> list[Figures]:
    """The pairs on which the votes differ most, each as its first row shows it.

    Args:
        battles: The rows.
        pairs: `Pairs.of` them.
        first: How many pairs to name.

    Returns:
        For each pair its votes for `a`, `b` and `tie`, how many `rows` it has, the `ids` of the first of them, and the
        position of the very first, `row`.
    """
    rows, group, votes = _votes(battles, pairs)
    kinds = np.unique(np.column_stack([group, votes]), axis=0)[:, 0].astype(np.int64)
    disputed = np.flatnonzero(np.bincount(kinds) > 1) if len(kinds) else kinds
    counts = np.stack([np.bincount(group, column) for column in votes.T], axis=1)
    second = np.sort(counts[disputed], axis=1)[:, -2]
    largest = disputed[np.lexsort((disputed, -second))][:first].tolist()
    ids = battles.ids if largest else []
    members = {g: rows[group == g].tolist() for g in largest}
    return [
        dict(zip(CLASSES, counts[g].tolist(), strict=True))
        | {"rows": len(members[g]), "ids": [ids[row] for row in members[g][:_NAMED]], "row": members[g][0]}
        for g in largest
    ]


def agreement(battles: Battles, pairs: Pairs) -> Figures:
    """How often two votes on one pair say the same: what no judge can beat by much.

    Every two votes on a pair are compared; each pair counts as much as it has votes beyond the first. Soft labels are
    left out, for they are several votes already.

    Returns:
        `pairs` with several votes, `votes` on them, and the `rate`; None where no pair has two votes.
    """
    _, group, votes = _votes(battles, pairs)
    single = votes.max(axis=1, initial=0) == 1
    group, votes = group[single], votes[single]
    if not len(group):
        return {"pairs": 0, "votes": 0, "rate": None}
    counts = np.stack([np.bincount(group, weights=votes[:, k]) for k in range(3)], axis=1)
    size = counts.sum(axis=1)
    several = size > 1
    counts, size = counts[several], size[several]
    if not len(size):
        return {"pairs": 0, "votes": 0, "rate": None}
    same = (counts * (counts - 1)).sum(axis=1) / (size * (size - 1))
    return {"pairs": len(size), "votes": int(size.sum()), "rate": float(np.average(same, weights=size - 1))}


def frequent_prompts(battles: Battles, rows: Ints, clusters: Ints, *, first: int = _FIRST) -> list[Figures]:
    """The prompts that are asked most often, near-duplicates together.

    Args:
        battles: The rows.
        rows: Positions of those that have a prompt, shape (m,).
        clusters: Number of the cluster of each of these, shape (m,).
        first: How many to name.

    Returns:
        For each how many `rows` ask it, the `id` of the first of them, and the start of its `prompt`.
    """
    _, place, sizes = np.unique(clusters, return_index=True, return_counts=True)
    largest = sorted(np.flatnonzero(sizes > 1).tolist(), key=lambda c: (-sizes[c], place[c]))[:first]
    shown = battles.take(rows[place[largest]]) if largest else battles[:0]
    texts = shown.text("prompt")
    return [
        {"rows": int(sizes[c]), "id": name, "prompt": text[:_START]}
        for c, name, text in zip(largest, shown.ids, texts, strict=True)
    ]


def _votes(battles: Battles, pairs: Pairs) -> tuple[Ints, Ints, Any]:
    """The rows with votes, their pair, and their votes as seen from the order in which the pair was first shown."""
    rows = np.flatnonzero(battles.labelled)
    votes = known_targets(battles)[rows]
    turned = pairs.reversed[rows]
    votes[turned] = swap_columns(votes[turned])
    return rows, pairs.numbers(ordered=False)[rows], votes
