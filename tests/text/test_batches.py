from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from votecast.errors import ConfigError
from votecast.text.batches import bucketed_batches, token_batches

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


def test_batches_depend_on_lengths_alone() -> None:
    lengths = np.array([5, 5, 9, 5])
    first = token_batches(lengths, budget=16, multiple=1)
    assert [batch.tolist() for batch in first] == [[2], [0, 1, 3]]


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        token_batches(np.array([1]), budget=0)
    with pytest.raises(ConfigError, match="at least 1"):
        bucketed_batches(np.array([1]), rows=0, seed=0, epoch=0)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 3), st.integers(1, 6))
def test_steps_hold_every_row_once_and_all_but_the_last_are_full(
    costs: np.ndarray, rows: int, epoch: int, window: int
) -> None:
    steps = bucketed_batches(costs, rows=rows, seed=1, epoch=epoch, window=window)
    assert sorted(i for step in steps for i in step) == list(range(len(costs)))
    assert all(len(step) == rows for step in steps[:-1])


def test_steps_are_drawn_anew_each_epoch_and_again_the_same_from_the_same_seed() -> None:
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
