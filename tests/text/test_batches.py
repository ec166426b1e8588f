"""Test batches: every row once, within the token budget, prefixes grouped."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from votecast.errors import ConfigError
from votecast.text.batching import (
    bucketed_batches,
    group_sizes,
    grouped_batches,
    length_groups,
    shared_prefixes,
    token_batches,
    worth_sharing,
)
from votecast.text.sequences import Sequences

LENGTHS = st.lists(st.integers(0, 300), max_size=60).map(lambda values: np.array(values, np.int64))


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 2000), st.none() | st.integers(1, 9), st.sampled_from([1, 8, 64]))
def test_every_row_is_in_one_batch_and_batches_keep_the_budget(
    lengths: np.ndarray, budget: int, most: int | None, multiple: int
) -> None:
    batches = token_batches(lengths, budget=budget, most=most, multiple=multiple)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        width = -(-max(1, lengths[batch].max()) // multiple) * multiple
        assert len(batch) == 1 or len(batch) * width <= budget
        assert most is None or len(batch) <= most
    longest = [lengths[batch].max() for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_batches_depend_only_on_lengths() -> None:
    lengths = np.array([5, 5, 9, 5])
    first = token_batches(lengths, budget=16, multiple=1)
    assert [batch.tolist() for batch in first] == [[2], [0, 1, 3]]


def test_sizes_below_one_raise() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        token_batches(np.array([1]), budget=0)
    with pytest.raises(ConfigError, match="at least 1"):
        bucketed_batches(np.array([1]), rows=0, seed=0, epoch=0)
    with pytest.raises(ConfigError, match="groups of 0 rows in steps of 2 rows; both must be at least 1"):
        length_groups(np.array([1]), rows=2, group=0, seed=0, epoch=0)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 3), st.integers(1, 6))
def test_steps_hold_every_row_once_and_all_but_the_last_are_full(
    costs: np.ndarray, rows: int, epoch: int, window: int
) -> None:
    steps = bucketed_batches(costs, rows=rows, seed=1, epoch=epoch, window=window)
    assert sorted(i for step in steps for i in step) == list(range(len(costs)))
    assert all(len(step) == rows for step in steps[:-1])


def test_steps_depend_only_on_seed_and_epoch() -> None:
    costs = np.random.default_rng(0).integers(1, 500, 640)

    def steps(seed: int, epoch: int) -> list[list[int]]:
        return [step.tolist() for step in bucketed_batches(costs, rows=8, seed=seed, epoch=epoch)]

    assert steps(0, 0) == steps(0, 0)
    assert steps(0, 0) != steps(0, 1)
    assert steps(0, 0) != steps(1, 0)


def test_steps_hold_rows_of_similar_length_in_random_order() -> None:
    costs = np.random.default_rng(0).integers(1, 500, 6400)
    steps = bucketed_batches(costs, rows=16, seed=0, epoch=0)
    padded = sum(costs[step].max() * len(step) for step in steps)
    assert padded < 1.05 * costs.sum()
    means = np.array([costs[step].mean() for step in steps])
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.15
    plain = bucketed_batches(costs, rows=16, seed=0, epoch=0, window=1)
    assert sum(costs[step].max() * len(step) for step in plain) > 1.6 * costs.sum()


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(1, 30), st.integers(0, 2))
def test_groups_hold_every_row_once_and_go_from_short_to_long(
    costs: np.ndarray, rows: int, group: int, epoch: int
) -> None:
    groups = length_groups(costs, rows=rows, group=group, seed=1, epoch=epoch)
    assert sorted(i for steps in groups for step in steps for i in step) == list(range(len(costs)))
    assert [sum(map(len, steps)) for steps in groups] == group_sizes(len(costs), group, rows)
    for steps in groups:
        sizes = [len(step) for step in steps]
        assert max(sizes) <= rows
        assert max(sizes) - min(sizes) <= 1  # no small step whose rows would count for more
    ends = [(costs[np.concatenate(steps)].min(), costs[np.concatenate(steps)].max()) for steps in groups]
    assert all(longest <= shortest for (_, longest), (shortest, _) in itertools.pairwise(ends))


def test_groups_are_shuffled_inside_and_so_are_rows_of_one_length() -> None:
    costs = np.repeat([5, 9], 400)

    def rows(epoch: int, seed: int = 0) -> np.ndarray:
        return np.concatenate(
            [np.concatenate(g) for g in length_groups(costs, rows=8, group=200, seed=seed, epoch=epoch)]
        )

    assert np.array_equal(rows(0), rows(0))
    assert not np.array_equal(rows(0), rows(1))
    assert not np.array_equal(rows(0), rows(0, seed=1))
    first = rows(0)[:200]
    assert set(first) != set(range(200))  # not the first 200 of the file
    assert abs(np.corrcoef(np.arange(200), first)[0, 1]) < 0.2


def test_a_remainder_smaller_than_a_step_joins_the_last_group() -> None:
    assert group_sizes(201, 200, 16) == [201]
    assert group_sizes(216, 200, 16) == [200, 16]
    assert group_sizes(7, 200, 16) == [7]


ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), max_size=9)


@settings(deadline=None)
@given(ROWS, st.integers(1, 4), st.integers(1, 5))
def test_groups_have_the_prefix_they_state(rows: list[list[int]], least: int, most: int) -> None:
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


def test_both_orders_of_a_long_prompt_are_worth_sharing_and_other_prompts_are_not() -> None:
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
