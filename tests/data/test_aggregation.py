"""Several votes on one pair become one soft label."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.data.battles import Battles
from votecast.data.clean import aggregate_votes

TEXT = st.sampled_from(["x", "y", "z"])
VOTE: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"winner": st.sampled_from(["a", "b", "tie"])}),
    st.fixed_dictionaries({"probabilities": st.sampled_from([(0.5, 0.25, 0.25), (0.1, 0.2, 0.7), (0.0, 1.0, 0.0)])}),
    st.just({}),
)
ROW = st.builds(
    lambda texts, vote, weight: texts | vote | {"weight": weight},
    st.fixed_dictionaries({"prompt": st.sampled_from(["p", "q"]), "response_a": TEXT, "response_b": TEXT}),
    VOTE,
    st.sampled_from([1.0, 0.5, 0.1, 1 / 3, 0.0]),
)
ROWS = st.lists(ROW, max_size=14)


def seen(battles: Battles) -> dict[Any, tuple[Any, ...]]:
    """What a table says about each voted pair, whatever the order of its rows and answers (identical answers apart)."""
    out = {}
    for battle in battles:
        if battle.winner is None and battle.probabilities is None:
            continue
        turned = battle.response_a > battle.response_b
        label = battle.probabilities or tuple(float(battle.winner == name) for name in ("a", "b", "tie"))
        label = (label[1], label[0], label[2]) if turned else label
        out[battle.prompt, *sorted([battle.response_a, battle.response_b])] = (label, battle.weight)
    return out


@given(ROWS)
def test_shares_are_the_weighted_mean_of_the_votes(rows: list[dict[str, Any]]) -> None:
    votes: dict[Any, list[tuple[list[Fraction], Fraction]]] = {}
    for battle in Battles.from_rows(rows):
        if battle.winner is None and battle.probabilities is None:
            continue
        label = battle.probabilities or tuple(float(battle.winner == name) for name in ("a", "b", "tie"))
        label = (label[1], label[0], label[2]) if battle.response_a > battle.response_b else label
        key = (battle.prompt, *sorted([battle.response_a, battle.response_b]))
        votes.setdefault(key, []).append(([Fraction(p) for p in label], Fraction(battle.weight)))
    found = seen(aggregate_votes(Battles.from_rows(rows)))
    assert set(found) == set(votes)
    for key, cast in votes.items():
        total = sum(weight for _, weight in cast)
        counted = [weight if total else Fraction(1) for _, weight in cast]
        mean = [float(sum(p[c] * w for (p, _), w in zip(cast, counted, strict=True)) / sum(counted)) for c in range(3)]
        assert found[key][0] == pytest.approx(mean, abs=1e-15)
        assert found[key][1] == pytest.approx(float(total), abs=1e-15)


@given(ROWS, st.randoms(use_true_random=False))
def test_order_and_exchange_of_rows_change_no_bit(rows: list[dict[str, Any]], random: Any) -> None:
    rows = [row for row in rows if row["response_a"] != row["response_b"]]
    battles = Battles.from_rows(rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    turned = [battles[i : i + 1].swapped() if random.random() < 0.5 else battles[i : i + 1] for i in order]
    assert seen(aggregate_votes(Battles.concat(turned))) == seen(aggregate_votes(battles))


@given(ROWS)
def test_exchanging_all_rows_exchanges_the_result(rows: list[dict[str, Any]]) -> None:
    battles = Battles.from_rows(rows)
    assert aggregate_votes(battles.swapped()).table.equals(aggregate_votes(battles).swapped().table)


@given(ROWS)
def test_aggregating_twice_changes_nothing(rows: list[dict[str, Any]]) -> None:
    once = aggregate_votes(Battles.from_rows(rows))
    assert aggregate_votes(once).table.equals(once.table)


@given(ROWS)
def test_weight_is_kept(rows: list[dict[str, Any]]) -> None:
    battles = Battles.from_rows(rows)
    assert aggregate_votes(battles).weights().sum() == pytest.approx(battles.weights().sum())


def _battles(*votes: tuple[str, str, str | None]) -> Battles:
    rows = [
        {
            "id": f"r{i}",
            "prompt": "p",
            "response_a": a,
            "response_b": b,
            "winner": w,
            "model_a": f"m{a}",
            "model_b": f"m{b}",
        }
        for i, (a, b, w) in enumerate(votes)
    ]
    return Battles.from_rows(rows)


def test_the_joined_row_looks_like_the_first_vote_and_stands_in_its_place() -> None:
    votes = aggregate_votes(
        _battles(("u", "v", "b"), ("y", "x", "a"), ("x", "y", "a"), ("y", "x", "a"), ("v", "w", "tie"))
    )
    assert votes.ids == ["r0", "r1", "r4"]
    joined = votes[1]
    assert (joined.response_a, joined.model_a, joined.winner, joined.weight) == (("y",), "my", "a", 3.0)
    assert joined.probabilities == (2 / 3, 1 / 3, 0.0)
    assert votes[0].probabilities is None
    assert votes[0].winner == "b"


def test_a_draw_of_votes_has_no_winner() -> None:
    votes = aggregate_votes(_battles(("x", "y", "a"), ("x", "y", "b"), ("x", "y", "tie")))
    assert votes[0].winner is None
    assert votes[0].probabilities == (1 / 3, 1 / 3, 1 / 3)


def test_rows_without_a_vote_stay() -> None:
    votes = aggregate_votes(_battles(("x", "y", None), ("x", "y", "a"), ("x", "y", "a"), ("x", "y", None)))
    assert votes.ids == ["r0", "r1", "r3"]
    assert votes.labelled.tolist() == [False, True, False]


def test_further_columns_are_kept() -> None:
    battles = _battles(("x", "y", "a"), ("y", "x", "a"), ("u", "v", "a"))
    table = battles.table.append_column("rater", [["anna", "ben", "cy"]])
    assert aggregate_votes(Battles(table)).column("rater").to_pylist() == ["anna", "cy"]


def test_many_rows_agree_with_a_plain_count() -> None:
    rng = np.random.default_rng(0)
    names = ("a", "b", "tie")
    cast = [(f"t{rng.integers(40)}", f"u{rng.integers(40)}", names[rng.integers(3)]) for _ in range(3000)]
    for battle in aggregate_votes(_battles(*cast)):
        counts = [cast.count((battle.response_a[0] or "", battle.response_b[0] or "", name)) for name in names]
        assert battle.weight == sum(counts)
        if sum(counts) > 1:
            assert battle.probabilities == tuple(count / sum(counts) for count in counts)
