from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from votecast.text.batching import grouped_batches, shared_prefixes, worth_sharing
from votecast.text.sequences import Sequences

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), max_size=9)


@settings(deadline=None)
@given(ROWS, st.integers(1, 4), st.integers(1, 5))
def test_groups_share_what_they_say(rows: list[list[int]], least: int, most: int) -> None:
    found = shared_prefixes(Sequences.from_lists(rows), least=least, most=most)
    assert len(found.group) == len(rows)
    assert sorted(set(found.group.tolist())) == list(range(len(found.prefix)))
    firsts = [found.group.tolist().index(group) for group in range(len(found.prefix))]
    assert firsts == sorted(firsts)
    for group, prefix in enumerate(found.prefix.tolist()):
        members = [row for row, g in zip(rows, found.group.tolist(), strict=True) if g == group]
        assert 1 <= len(members) <= most
        assert prefix == 0 or (prefix >= least and len(members) > 1)
        assert all(len(row) > prefix and row[:prefix] == members[0][:prefix] for row in members)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=5), min_size=1, max_size=5))
def test_no_other_runs_save_more(rows: list[list[int]]) -> None:
    found = shared_prefixes(Sequences.from_lists(rows), least=1, most=9)
    ordered = sorted(rows)
    cuts = itertools.product([False, True], repeat=len(rows) - 1)
    assert found.saved == max(sum(map(worth, runs(ordered, cut))) for cut in cuts)


def runs(rows: list[list[int]], cuts: tuple[bool, ...]) -> list[list[list[int]]]:
    out = [[rows[0]]]
    for row, apart in zip(rows[1:], cuts, strict=True):
        if apart:
            out.append([])
        out[-1].append(row)
    return out


def worth(rows: list[list[int]]) -> int:
    shared = 0
    while all(len(row) > shared + 1 and row[shared] == rows[0][shared] for row in rows):
        shared += 1
    return shared * (len(rows) - 1)


@settings(deadline=None)
@given(ROWS, st.integers(1, 40))
def test_batches_hold_every_row_once_within_the_budget(rows: list[list[int]], budget: int) -> None:
    sequences = Sequences.from_lists(rows)
    shared = shared_prefixes(sequences, least=1, most=4)
    batches = grouped_batches(shared, sequences.lengths, budget=budget)
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(rows)))
    for batch in batches:
        groups = set(shared.group[batch].tolist())
        cost = sum(len(rows[i]) - shared.prefix[shared.group[i]] for i in batch) + sum(shared.prefix[list(groups)])
        assert len(batch) == 1 or cost <= budget


def test_both_orders_of_long_prompts_are_worth_it_and_strangers_are_not() -> None:
    prompt, a, b = list(range(100)), list(range(200, 220)), list(range(300, 330))
    found = worth_sharing(Sequences.from_lists([prompt + a + b, prompt + b + a]))
    assert found is not None
    assert (found.group.tolist(), found.prefix.tolist()) == ([0, 0], [100])
    assert worth_sharing(Sequences.from_lists([prompt + a, b + prompt])) is None
    assert worth_sharing(Sequences.from_lists([])) is None


def test_rows_taken_from_groups_stay_in_them() -> None:
    shared = shared_prefixes(Sequences.from_lists([[1, 2], [7], [1, 3], [1, 4]]), least=1)
    part = shared.take(np.array([3, 1, 0]))
    assert part.prefix[part.group].tolist() == [1, 0, 1]
    assert part.group[0] == part.group[2] != part.group[1]
