"""Sequences that begin alike: what a causal model computes of their common prefix serves all of them.

The prompt stands before both orders of the answers, and before each of eight answers to it; what a causal model makes
of a token depends on nothing behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from votecast.text.sequences import Sequences

LEAST = 16
"""Tokens that a shared prefix must have; shorter ones, such as the first words of a template, are not worth it."""
MOST = 64
"""Sequences of one group."""
PAYS = 0.05
"""Share of all tokens that must be saved for prefixes to be computed apart."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Shared:
    """Groups of sequences that begin alike.

    Args:
        group: The group of each of m sequences, shape (m,).
        prefix: Tokens that the sequences of each group share, shape (groups,); 0 for a sequence alone. Every sequence
            has at least one token more.
    """

    group: Ints
    prefix: Ints

    @property
    def saved(self) -> int:
        """Tokens that need not be computed."""
        return int((self.prefix * (np.bincount(self.group, minlength=len(self.prefix)) - 1)).sum())

    def take(self, rows: Ints) -> Shared:
        """The groups of the sequences at these positions."""
        known, numbers = np.unique(self.group[rows], return_inverse=True)
        return Shared(numbers.astype(np.int64), self.prefix[known])


def shared_prefixes(sequences: Sequences, *, least: int = LEAST, most: int = MOST) -> Shared:
    """Put sequences into groups so that as many tokens as possible are shared.

    In the order of their tokens, sequences that begin alike are neighbours; runs of neighbours become groups, cut so
    that the tokens saved are the most that runs can save.

    Args:
        sequences: At least one token each.
        least: The shortest prefix that counts.
        most: The most sequences of a group.

    Returns:
        Groups, numbered by their first sequence in the input.

    Example:
        >>> rows = Sequences.from_lists([[1, 2, 3, 4], [9], [1, 2, 3, 5, 6]])
        >>> found = shared_prefixes(rows, least=2)
        >>> found.group.tolist(), found.prefix.tolist(), found.saved
        ([0, 1, 0], [3, 0], 3)
    """
    if not len(sequences):
        return Shared(np.zeros(0, np.int64), np.zeros(0, np.int64))
    spelled = [sequences[row].astype(">i4").tobytes() for row in range(len(sequences))]
    order = np.array(sorted(range(len(spelled)), key=spelled.__getitem__), np.int64)
    alike = _common(sequences, order)
    alike[alike < least] = 0
    group, prefix = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
    for start, stop in _runs(alike, most):
        members = order[start:stop]
        group[members] = members.min()
        prefix[members.min()] = alike[start : stop - 1].min() if stop - start > 1 else 0
    firsts, numbers = np.unique(group, return_inverse=True)
    return Shared(numbers.astype(np.int64), prefix[firsts])


def worth_sharing(sequences: Sequences) -> Shared | None:
    """The groups of sequences, or None where too few tokens are saved for the trouble."""
    shared = shared_prefixes(sequences)
    return shared if shared.saved > PAYS * len(sequences.ids) else None


def grouped_batches(shared: Shared, lengths: Ints, *, budget: int) -> list[Ints]:
    """Cut rows into batches within a number of tokens, those of one group together; prefixes count once.

    Args:
        shared: The groups of the rows.
        lengths: Tokens of each row.
        budget: The most tokens of a batch; a single row may have more.

    Returns:
        Positions of the rows of each batch, the longest groups first, ties in input order.

    Example:
        >>> groups = Shared(np.array([0, 1, 0]), np.array([3, 0]))
        >>> [batch.tolist() for batch in grouped_batches(groups, np.array([4, 1, 5]), budget=6)]
        [[0, 2], [1]]
    """
    own = lengths - shared.prefix[shared.group]
    longest = np.zeros(len(shared.prefix), np.int64)
    np.maximum.at(longest, shared.group, lengths)
    batches: list[list[int]] = []
    room, here = 0, -1
    for row in np.lexsort((np.arange(len(lengths)), shared.group, -longest[shared.group])).tolist():
        group = int(shared.group[row])
        cost = int(own[row]) + (int(shared.prefix[group]) if group != here else 0)
        if not batches or cost > room:
            cost = int(lengths[row])
            batches.append([])
            room = budget
        batches[-1].append(row)
        room, here = room - cost, group
    return [np.array(batch, np.int64) for batch in batches]


def _common(sequences: Sequences, order: Ints) -> Ints:
    """Tokens that neighbours in this order share, at most all but the last of either, shape (n - 1,)."""
    out = np.zeros(max(len(order) - 1, 0), np.int64)
    for i in range(len(out)):
        one, two = sequences[order[i]], sequences[order[i + 1]]
        most = min(len(one), len(two)) - 1
        differ = one[:most] != two[:most]
        out[i] = int(differ.argmax()) if differ.any() else most
    return out


def _runs(alike: Ints, most: int) -> list[tuple[int, int]]:
    """Runs of neighbours that save most, by dynamic programming: a run saves its shortest common prefix per neighbour.

    `alike[i]` is what sequences i and i + 1 share; runs are given as (start, stop) over the sequences.
    """
    values = alike.tolist()
    best, cut = [0] * (len(values) + 2), [0] * (len(values) + 2)  # best[j]: saved by the first j sequences
    for stop in range(1, len(values) + 2):
        best[stop], cut[stop] = best[stop - 1], stop - 1
        least = None
        for start in range(stop - 2, max(-1, stop - 1 - most), -1):
            least = values[start] if least is None else min(least, values[start])
            if least == 0:
                break
            saved = best[start] + least * (stop - 1 - start)
            if saved > best[stop]:
                best[stop], cut[stop] = saved, start
    out, stop = [], len(values) + 1
    while stop > 0:
        out.append((cut[stop], stop))
        stop = cut[stop]
    return out[::-1]
