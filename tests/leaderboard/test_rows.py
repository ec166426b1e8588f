"""Which rows a leaderboard is made of."""

from __future__ import annotations

import numpy as np
import pytest
from tests.leaderboard.votes import sized_votes

from votecast.data import Battles
from votecast.errors import ConfigError, DataError
from votecast.leaderboard.connectivity import names_of
from votecast.leaderboard.vote_rows import clusters_of, named, with_battles

TEXTS = {"prompt": "p", "response_a": "x", "response_b": "y"}


def rows(*pairs: tuple[str | None, str | None]) -> Battles:
    return Battles.from_rows([TEXTS | {"model_a": a, "model_b": b} for a, b in pairs])


def test_models_are_numbered_by_name_whatever_the_order_of_the_rows() -> None:
    found = named(rows(("b", "c"), ("c", "a")), "votes")
    assert found.models == ("a", "b", "c")
    assert found.a.tolist() == [1, 2] and found.b.tolist() == [2, 0]


def test_rows_without_two_different_models_are_left_out_and_counted() -> None:
    found = named(rows(("a", "b"), (None, "b"), ("c", "c")), "votes")
    assert found.models == ("a", "b") and len(found) == 1
    assert found.notes == (
        "1 of 3 votes name no model and are left out",
        "1 votes of a model against itself are left out",
    )


def test_models_with_few_battles_are_left_out_by_name() -> None:
    found = named(rows(*[("a", "b"), ("b", "a")] * 3, ("a", "c"), ("c", "d"), ("b", "d")), "votes")
    kept = with_battles(found, 3)
    assert kept.models == ("a", "b") and len(kept) == 6
    assert kept.notes == ("2 models with fewer than 3 battles, and their votes, are left out: c, d",)
    with pytest.raises(DataError, match="0 of 4 models have 99 battles; the most that one has is 7"):
        with_battles(found, 99)


def test_clusters_join_what_the_words_say() -> None:
    prompts = ["Why is the sky blue?", "why is the sky  BLUE", "Name a prime number.", "", ""]
    texts = [TEXTS | {"prompt": prompt, "response_b": str(i)} for i, prompt in enumerate(prompts)]
    battles = Battles.from_rows(texts)
    for how in ("near", "identical"):
        assert clusters_of(battles, how, 0)[0].tolist() == [0, 0, 1, 2, 3]
    with pytest.raises(ConfigError, match="allowed are auto, near, identical"):
        clusters_of(battles, "all", 0)


def test_identical_prompts_are_never_apart_from_near_ones() -> None:
    battles = sized_votes(600)
    near, same = clusters_of(battles, "near", 0)[0], clusters_of(battles, "identical", 0)[0]
    assert same.max() >= near.max()
    pairs = np.unique(np.stack([same, near]), axis=1)
    assert len(pairs[0]) == same.max() + 1


def test_many_names_and_long_ones_are_cut_short() -> None:
    assert names_of(["x"]) == "x" and names_of([str(i) for i in range(20)]).endswith("and 12 more")
    assert names_of(["x" * 500, "y"]) == "x" * 80 + "\u2026, y"
