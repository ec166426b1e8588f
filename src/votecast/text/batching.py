"""Group rows that go through a network together: by tokens, by length, by common prefix.

Training and inference call it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from votecast.errors import ConfigError
from votecast.text.sequences import Ints, Sequences


def token_batches(lengths: Ints, *, budget: int, most: int | None = None, multiple: int = 8) -> list[Ints]:
    """Divide rows into batches of similar length within a budget of tokens, padding included.

    Batches depend on the lengths only. A row longer than the budget is a batch of its own.

    Args:
        lengths: Tokens of each row.
        budget: The most tokens of a batch: rows times the padded length.
        most: The most rows of a batch.
        multiple: Padded lengths are multiples of this.

    Returns:
        Positions of the rows of each batch, longest rows first, ties in input order.

    Raises:
        ConfigError: If the budget or `most` is below 1.

    Example:
        >>> [b.tolist() for b in token_batches(np.array([3, 16, 8, 5]), budget=16, multiple=8)]
        [[1], [2, 3], [0]]
    """
    if budget < 1 or (most is not None and most < 1):
        raise ConfigError(f"a batch of {budget} tokens and {most} rows holds nothing; both must be at least 1")
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    wide = -(-np.maximum(np.asarray(lengths, np.int64)[order], 1) // multiple) * multiple
    batches, start = [], 0
    while start < len(order):
        rows = max(1, budget // int(wide[start]))
        stop = start + (rows if most is None else min(rows, most))
        batches.append(order[start:stop])
        start = stop
    return batches


def bucketed_batches(costs: Ints, *, rows: int, seed: int, epoch: int, window: int = 50) -> list[Ints]:
    """Divide rows into training steps at random, with rows of similar length together.

    The rows are shuffled; those of each `window` steps are sorted by length and cut into steps, and the steps are
    shuffled. `token_batches` then cuts a step into what fits in memory.

    Args:
        costs: Tokens of each row.
        rows: Rows of one step.
        seed: Seed of the run.
        epoch: Number of the epoch; each has its own order.
        window: Steps that are sorted together: 1 is a plain shuffle, more means less padding and less mixing.

    Returns:
        Positions of the rows of each step, every row once; a step with fewer rows comes last.

    Raises:
        ConfigError: If rows or window is below 1.

    Example:
        >>> steps = bucketed_batches(np.array([1, 9, 2, 8, 1]), rows=2, seed=0, epoch=0)
        >>> [len(step) for step in steps], sorted(np.concatenate(steps).tolist())
        ([2, 2, 1], [0, 1, 2, 3, 4])
    """
    if rows < 1 or window < 1:
        raise ConfigError(f"steps of {rows} rows in windows of {window} steps; both must be at least 1")
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(costs))
    full = len(costs) // rows * rows
    steps: list[Ints] = []
    for start in range(0, full, rows * window):
        part = shuffled[start : min(full, start + rows * window)]
        ordered = part[np.argsort(np.asarray(costs)[part], kind="stable")]
        steps.extend(ordered.reshape(-1, rows))
    steps = [steps[i] for i in rng.permutation(len(steps))]
    return steps + ([shuffled[full:]] if full < len(costs) else [])


def length_groups(costs: Ints, *, rows: int, group: int, seed: int, epoch: int) -> list[list[Ints]]:
    """Divide rows into training steps from short rows to long ones, in groups of similar length.

    The rows are sorted by length, rows of one length in random order, and cut into groups; each group is shuffled and
    divided evenly into steps.

    Args:
        costs: Tokens of each row.
        rows: The most rows of one step.
        group: Rows of one group.
        seed: Seed of the run.
        epoch: Number of the epoch; each has its own order within the groups.

    Returns:
        For each group, shortest first, the positions of the rows of each step; every row once.

    Raises:
        ConfigError: If rows or group is below 1.

    Example:
        >>> groups = length_groups(np.array([5, 1, 9, 2, 8, 1]), rows=2, group=3, seed=0, epoch=0)
        >>> [sorted(np.concatenate(steps).tolist()) for steps in groups], [len(steps) for steps in groups]
        ([[1, 3, 5], [0, 2, 4]], [2, 2])
    """
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(costs))
    ordered = shuffled[np.argsort(np.asarray(costs)[shuffled], kind="stable")]
    groups, start = [], 0
    for size in group_sizes(len(costs), group, rows):
        part = rng.permutation(ordered[start : start + size])
        # Even steps: a step of a few rows would move the weights as far as a full one.
        groups.append(np.array_split(part, -(-size // rows)))
        start += size
    return groups


def group_sizes(count: int, group: int, rows: int) -> list[int]:
    """Return the rows of each length group; a remainder too small for one step joins the last group.

    Args:
        count: All rows.
        group: Rows of one group.
        rows: Rows of one step.

    Raises:
        ConfigError: If group or rows is below 1.

    Example:
        >>> group_sizes(450, 200, 16), group_sizes(403, 200, 16)
        ([200, 200, 50], [200, 203])
    """
    if group < 1 or rows < 1:
        raise ConfigError(f"groups of {group} rows in steps of {rows} rows; both must be at least 1")
    full, rest = divmod(count, group)
    sizes = [group] * full
    if rest >= rows or not sizes:
        return [*sizes, rest] if rest else sizes
    return [*sizes[:-1], sizes[-1] + rest]


# A shorter prefix, such as the first words of a template, costs more to compute apart than it saves.
_MIN_PREFIX = 16
_MAX_GROUP = 64
_MIN_SAVED = 0.05  # share of all tokens


@dataclass(frozen=True)
class SharedPrefixes:
    """Groups of sequences with a common prefix.

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

    def take(self, rows: Ints) -> SharedPrefixes:
        """Return the groups of the sequences at these positions."""
        known, numbers = np.unique(self.group[rows], return_inverse=True)
        return SharedPrefixes(numbers.astype(np.int64), self.prefix[known])


def shared_prefixes(sequences: Sequences, *, least: int = _MIN_PREFIX, most: int = _MAX_GROUP) -> SharedPrefixes:
    """Group sequences so that as many tokens as possible are shared.

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
        return SharedPrefixes(np.zeros(0, np.int64), np.zeros(0, np.int64))
    # Sorted by their tokens (big-endian, so that bytes sort as numbers), sequences with a common prefix are neighbours.
    spelled = [sequences[row].astype(">i4").tobytes() for row in range(len(sequences))]
    order = np.array(sorted(range(len(spelled)), key=spelled.__getitem__), np.int64)
    common = np.zeros(len(order) - 1, np.int64)  # tokens that neighbours share, at most all but the last of either
    for i in range(len(common)):
        one, two = sequences[order[i]], sequences[order[i + 1]]
        longest = min(len(one), len(two)) - 1
        differ = one[:longest] != two[:longest]
        common[i] = int(differ.argmax()) if differ.any() else longest
    common[common < least] = 0
    group, prefix = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
    for start, stop in _best_runs(common.tolist(), most):
        members = order[start:stop]
        group[members] = members.min()
        prefix[members.min()] = common[start : stop - 1].min() if stop - start > 1 else 0
    firsts, numbers = np.unique(group, return_inverse=True)
    return SharedPrefixes(numbers.astype(np.int64), prefix[firsts])


def _best_runs(common: list[int], most: int) -> list[tuple[int, int]]:
    """Return the runs (start, stop) of neighbours that save most; a run saves its shortest prefix per neighbour."""
    # Dynamic programming: best[j] is what the first j sequences save, cut[j] the start of their last run.
    best, cut = [0] * (len(common) + 2), [0] * (len(common) + 2)
    for stop in range(1, len(common) + 2):
        best[stop], cut[stop] = best[stop - 1], stop - 1
        least = None
        for start in range(stop - 2, max(-1, stop - 1 - most), -1):
            least = common[start] if least is None else min(least, common[start])
            if least == 0:
                break
            saved = best[start] + least * (stop - 1 - start)
            if saved > best[stop]:
                best[stop], cut[stop] = saved, start
    out, stop = [], len(common) + 1
    while stop > 0:
        out.append((cut[stop], stop))
        stop = cut[stop]
    return out[::-1]


def worth_sharing(sequences: Sequences) -> SharedPrefixes | None:
    """Return the groups of sequences, or None where they save less than 5 % of the tokens."""
    shared = shared_prefixes(sequences)
    return shared if shared.saved > _MIN_SAVED * len(sequences.ids) else None


def grouped_batches(shared: SharedPrefixes, lengths: Ints, *, budget: int) -> list[Ints]:
    """Divide rows into batches within a budget of tokens, groups together; a prefix counts once a batch.

    Args:
        shared: The groups of the rows.
        lengths: Tokens of each row.
        budget: The most tokens of a batch; a single row may have more.

    Returns:
        Positions of the rows of each batch, the longest groups first, ties in input order.

    Example:
        >>> groups = SharedPrefixes(np.array([0, 1, 0]), np.array([3, 0]))
        >>> [batch.tolist() for batch in grouped_batches(groups, np.array([4, 1, 5]), budget=6)]
        [[0, 2], [1]]
    """
    own = lengths - shared.prefix[shared.group]
    longest = np.zeros(len(shared.prefix), np.int64)
    np.maximum.at(longest, shared.group, lengths)
    batches: list[list[int]] = []
    room, current = 0, -1
    for row in np.lexsort((np.arange(len(lengths)), shared.group, -longest[shared.group])).tolist():
        group = int(shared.group[row])
        cost = int(own[row]) + (int(shared.prefix[group]) if group != current else 0)
        if not batches or cost > room:
            cost = int(lengths[row])  # a new batch needs the prefix again
            batches.append([])
            room = budget
        batches[-1].append(row)
        room, current = room - cost, group
    return [np.array(batch, np.int64) for batch in batches]
