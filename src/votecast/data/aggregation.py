"""Several votes on one pair of answers become one row with a soft label."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.data.battles import SCHEMA, Battles
from votecast.data.pairs import Ints, Pairs, by_appearance
from votecast.types import CLASSES, Probabilities, swap_columns


def aggregate_votes(battles: Battles) -> Battles:
    """Join the rows that vote on one pair: same prompt, same two answers, in either order.

    The joined row stands where the first of its rows stood and looks like it (id, order of the answers, models and
    further columns); votes on the pair in the other order are exchanged first. Its probabilities are the shares of the
    votes, each counted with its weight, its weight is their sum, and its winner is the class with the largest share,
    none where two classes share it. Sums are rounded once (`math.fsum`): exchanging or reordering rows changes no bit
    of them. Rows that are alone with their pair and rows without a vote stay as they are.

    Args:
        battles: The rows.

    Returns:
        The rows that remain, in the order of the first vote on each pair. When all weights are 0, the votes count
        equally and the joined weight is 0.

    Example:
        >>> row = {"prompt": "Hi", "response_a": "x", "response_b": "y", "winner": "a"}
        >>> turned = {"prompt": "Hi", "response_a": "y", "response_b": "x", "winner": "a"}
        >>> votes = aggregate_votes(Battles.from_rows([row, row, turned, row]))
        >>> len(votes), votes[0].probabilities, votes[0].weight, votes[0].winner
        (1, (0.75, 0.25, 0.0), 4.0, 'a')
    """
    voted = np.flatnonzero(battles.labelled)
    if len(voted) < 2:
        return battles
    votes = battles if len(voted) == len(battles) else battles.take(voted)
    pairs = Pairs.of(votes)
    group = pairs.numbers(ordered=False)
    several = np.bincount(group)[group] > 1
    if not several.any():
        return battles
    first = np.unique(group, return_index=True)[1]
    rows, kept = np.flatnonzero(several), first[np.bincount(group) > 1]
    shares, weights = _sums(by_appearance(group[rows]), _oriented(votes, pairs)[rows], votes.weights()[rows])
    table = _with_labels(battles.table, voted[kept], shares, weights)
    keep = np.ones(len(battles), dtype=bool)
    keep[voted] = False
    keep[voted[first]] = True
    return Battles(table.filter(pa.array(keep)), battles.report)


def _oriented(votes: Battles, pairs: Pairs) -> Probabilities:
    """The votes as seen from the order in which the first row shows the pair, shape (n, 3)."""
    targets = votes.targets()
    return np.where(pairs.reversed[:, None], swap_columns(targets), targets)


def _sums(
    group: Ints, targets: Probabilities, weights: NDArray[np.float64]
) -> tuple[Probabilities, NDArray[np.float64]]:
    """Weighted shares of shape (groups, 3) and summed weights of shape (groups,)."""
    order = np.argsort(group, kind="stable")
    edges = [*np.flatnonzero(np.diff(group[order], prepend=-1)).tolist(), len(group)]
    shares, totals = np.empty((len(edges) - 1, 3)), np.empty(len(edges) - 1)
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        rows = order[start:stop]
        totals[number] = math.fsum(weights[rows])
        counted = weights[rows] if totals[number] > 0 else np.ones(len(rows))
        mass = [math.fsum(column) for column in (targets[rows] * counted[:, None]).T.tolist()]
        shares[number] = np.array(mass) / (totals[number] if totals[number] > 0 else len(rows))
    return shares, totals


def _with_labels(table: pa.Table, rows: Ints, shares: Probabilities, weights: NDArray[np.float64]) -> pa.Table:
    largest = shares == shares.max(axis=1, keepdims=True)
    names = np.array(CLASSES, dtype=object)[largest.argmax(axis=1)]
    names[largest.sum(axis=1) > 1] = None
    flat = pa.FixedSizeListArray.from_arrays(pa.array(shares.ravel()), type=SCHEMA.field("probabilities").type)
    fresh = {"winner": pa.array(names, pa.large_string()), "probabilities": flat, "weight": pa.array(weights)}
    source = np.arange(table.num_rows)
    source[rows] = table.num_rows + np.arange(len(rows))
    for name, values in fresh.items():
        column = pa.chunked_array([*table.column(name).chunks, values]).take(pa.array(source))
        table = table.set_column(table.column_names.index(name), table.schema.field(name), column)
    return table
