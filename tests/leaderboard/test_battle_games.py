"""Test the selected rows of a leaderboard and both-bad shares."""

from __future__ import annotations

import numpy as np
import pytest
from tests.leaderboard.votes import sized_votes

from votecast.data import Battles
from votecast.errors import DataError
from votecast.leaderboard.battle_games import both_bad_shares, clusters_of, drop_rare_models, name_models
from votecast.leaderboard.connectivity import join_names
from votecast.metrics.intervals import wilson_interval

TEXTS = {"prompt": "p", "response_a": "x", "response_b": "y"}


def rows(*pairs: tuple[str | None, str | None]) -> Battles:
    return Battles.from_rows([TEXTS | {"model_a": a, "model_b": b} for a, b in pairs])


def test_models_are_numbered_by_name_whatever_the_order_of_the_rows() -> None:
    found = name_models(rows(("b", "c"), ("c", "a")), "votes")
    assert found.models == ("a", "b", "c")
    assert found.a.tolist() == [1, 2] and found.b.tolist() == [2, 0]


def test_rows_without_two_different_models_are_left_out_and_counted() -> None:
    found = name_models(rows(("a", "b"), (None, "b"), ("c", "c")), "votes")
    assert found.models == ("a", "b") and len(found) == 1
    assert found.notes == (
        "1 of 3 votes name no model and are left out",
        "1 votes of a model against itself are left out",
    )


def test_models_with_few_battles_are_left_out_by_name() -> None:
    found = name_models(rows(*[("a", "b"), ("b", "a")] * 3, ("a", "c"), ("c", "d"), ("b", "d")), "votes")
    kept = drop_rare_models(found, 3)
    assert kept.models == ("a", "b") and len(kept) == 6
    assert kept.notes == ("2 models with fewer than 3 battles, and their votes, are left out: c, d",)
    with pytest.raises(DataError, match="0 of 4 models have 99 battles; the most that one has is 7"):
        drop_rare_models(found, 99)


def test_clusters_join_prompts_of_the_same_words() -> None:
    prompts = ["Why is the sky blue?", "why is the sky  BLUE", "Name a prime number.", "", ""]
    texts = [TEXTS | {"prompt": prompt, "response_b": str(i)} for i, prompt in enumerate(prompts)]
    battles = Battles.from_rows(texts)
    for how in ("near", "identical"):
        assert clusters_of(battles, how, 0)[0].tolist() == [0, 0, 1, 2, 3]


def test_identical_prompts_are_never_apart_from_near_ones() -> None:
    battles = sized_votes(600)
    near, same = clusters_of(battles, "near", 0)[0], clusters_of(battles, "identical", 0)[0]
    assert same.max() >= near.max()
    pairs = np.unique(np.stack([same, near]), axis=1)
    assert len(pairs[0]) == same.max() + 1


def test_many_names_and_long_ones_are_truncated() -> None:
    assert join_names(["x"]) == "x" and join_names([str(i) for i in range(20)]).endswith("and 12 more")
    assert join_names(["x" * 500, "y"]) == "x" * 80 + "\u2026, y"


def test_with_every_row_for_itself_the_interval_is_that_of_wilson() -> None:
    n = 200
    bad = np.arange(n) < 30
    found = both_bad_shares(2, np.zeros(n, np.int64), np.ones(n, np.int64), bad, np.ones(n), np.arange(n))
    low, high = wilson_interval(0.15, n)
    assert found.share.tolist() == [0.15, 0.15]
    assert found.low[0] == pytest.approx(float(low), abs=1e-3)
    assert found.high[0] == pytest.approx(float(high), abs=1e-3)


def test_rows_of_one_prompt_that_agree_count_as_one() -> None:
    n = 200
    a, b, prompts = np.zeros(n, np.int64), np.ones(n, np.int64), np.arange(n) // 10
    bad = prompts < 3
    apart = both_bad_shares(2, a, b, bad, np.ones(n), np.arange(n))
    together = both_bad_shares(2, a, b, bad, np.ones(n), prompts)
    assert together.high[0] - together.low[0] > 2.5 * (apart.high[0] - apart.low[0])


def test_intervals_cover_the_truth_at_the_nominal_rate() -> None:
    rng, hits, draws = np.random.default_rng(0), 0, 400
    for _ in range(draws):
        prompts = np.repeat(np.arange(60), 5)
        chance = rng.beta(1, 4, 60)[prompts]
        bad = rng.random(300) < chance
        found = both_bad_shares(2, np.zeros(300, np.int64), np.ones(300, np.int64), bad, np.ones(300), prompts)
        hits += found.low[0] <= 0.2 <= found.high[0]
    assert 0.91 <= hits / draws <= 0.98


def test_a_model_without_both_bad_votes_has_an_interval_above_zero() -> None:
    found = both_bad_shares(
        3, np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([False, False, True]), np.ones(3), np.arange(3)
    )
    assert found.share[0] == 0 and found.low[0] == 0 and 0.3 < found.high[0] < 1


def test_the_ends_of_a_share_of_none_and_of_all_are_exact() -> None:
    bad = np.array([True] * 7 + [False] * 21)
    a, b = np.array([0] * 7 + [2] * 21), np.array([1] * 7 + [3] * 21)
    found = both_bad_shares(4, a, b, bad, np.ones(28), np.arange(28))
    assert found.low[2:].tolist() == [0.0, 0.0] and found.high[:2].tolist() == [1.0, 1.0]
