"""Shares of votes against both answers, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from votecast.data.inspection import share as wilson
from votecast.leaderboard.both_bad import both_bad_shares


def test_with_every_row_for_itself_the_interval_is_that_of_wilson() -> None:
    n = 200
    bad = np.arange(n) < 30
    found = both_bad_shares(2, np.zeros(n, np.int64), np.ones(n, np.int64), bad, np.ones(n), np.arange(n))
    wanted = wilson(30, n)
    assert found.share.tolist() == [0.15, 0.15]
    assert found.low[0] == pytest.approx(wanted["low"], abs=1e-3)
    assert found.high[0] == pytest.approx(wanted["high"], abs=1e-3)


def test_rows_of_one_prompt_that_agree_count_as_one() -> None:
    n = 200
    a, b, prompts = np.zeros(n, np.int64), np.ones(n, np.int64), np.arange(n) // 10
    bad = prompts < 3
    apart = both_bad_shares(2, a, b, bad, np.ones(n), np.arange(n))
    together = both_bad_shares(2, a, b, bad, np.ones(n), prompts)
    assert together.high[0] - together.low[0] > 2.5 * (apart.high[0] - apart.low[0])


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng, hits, draws = np.random.default_rng(0), 0, 400
    for _ in range(draws):
        prompts = np.repeat(np.arange(60), 5)
        chance = rng.beta(1, 4, 60)[prompts]
        bad = rng.random(300) < chance
        found = both_bad_shares(2, np.zeros(300, np.int64), np.ones(300, np.int64), bad, np.ones(300), prompts)
        hits += found.low[0] <= 0.2 <= found.high[0]
    assert 0.91 <= hits / draws <= 0.98


def test_a_model_that_nobody_called_bad_has_an_interval_above_zero() -> None:
    found = both_bad_shares(
        3, np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([False, False, True]), np.ones(3), np.arange(3)
    )
    assert found.share[0] == 0 and found.low[0] == 0 and 0.3 < found.high[0] < 1


def test_the_ends_of_a_share_of_none_and_of_all_are_exact() -> None:
    bad = np.array([True] * 7 + [False] * 21)
    a, b = np.array([0] * 7 + [2] * 21), np.array([1] * 7 + [3] * 21)
    found = both_bad_shares(4, a, b, bad, np.ones(28), np.arange(28))
    assert found.low[2:].tolist() == [0.0, 0.0] and found.high[:2].tolist() == [1.0, 1.0]
