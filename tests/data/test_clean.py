"""Test cleaning: dropped rows and aggregated votes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.data.battles import Battles
from votecast.data.clean import CleaningSettings, aggregate_votes, clean
from votecast.data.reader import read_votes
from votecast.errors import ConfigError

TURNS = st.lists(st.sampled_from([None, "", " ", "x", "y"]), max_size=2)
ROWS = st.lists(
    st.fixed_dictionaries({"prompt": TURNS, "response_a": TURNS, "response_b": TURNS, "winner": st.sampled_from("ab")}),
    max_size=12,
)


def _kept(rows: list[dict[str, Any]], **settings: Any) -> list[int]:
    battles = Battles.from_rows([row | {"id": str(i)} for i, row in enumerate(rows)])
    kept, report = clean(battles, CleaningSettings.parse(settings))
    assert report.rows == len(rows)
    assert report.kept == len(kept) == report.rows - report.missing - report.identical - report.duplicates
    return [int(name) for name in kept.ids]


def _has_text(turns: list[str | None]) -> bool:
    return any(turn and turn.strip() for turn in turns)


@given(ROWS)
def test_no_row_is_dropped_by_default(rows: list[dict[str, Any]]) -> None:
    assert _kept(rows) == list(range(len(rows)))


@given(ROWS)
def test_rows_with_missing_texts_are_dropped(rows: list[dict[str, Any]]) -> None:
    expected = [i for i, r in enumerate(rows) if all(_has_text(r[c]) for c in ("prompt", "response_a", "response_b"))]
    assert _kept(rows, drop_missing=True) == expected


def test_only_drop_missing_drops_contest_rows_that_dropna_of_pandas_keeps(tmp_path: Path) -> None:
    cells = ['["yes"]', '[""]', "[null]", "[]", '["null"]']
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"id": range(5), "prompt": '["Hi"]', "response_a": cells, "response_b": '["no"]'})
    frame.assign(winner_model_a=1, winner_model_b=0, winner_tie=0).to_csv(tmp_path / "train.csv", index=False)
    assert len(pd.read_csv(tmp_path / "train.csv").dropna()) == 5
    votes = read_votes(tmp_path / "train.csv")
    kept = [clean(votes, CleaningSettings(drop_missing=drop))[0].ids for drop in (False, True)]
    assert kept == [["0", "1", "2", "3", "4"], ["0", "4"]]


@given(ROWS)
def test_rows_with_identical_answers_are_dropped(rows: list[dict[str, Any]]) -> None:
    expected = [i for i, row in enumerate(rows) if row["response_a"] != row["response_b"]]
    assert _kept(rows, drop_identical=True) == expected


@given(ROWS)
def test_first_keeps_the_first_row_of_each_pair_in_either_order(rows: list[dict[str, Any]]) -> None:
    keys = [(str(r["prompt"]), *sorted([str(r["response_a"]), str(r["response_b"])])) for r in rows]
    assert _kept(rows, duplicates="first") == [i for i, key in enumerate(keys) if keys.index(key) == i]


@given(ROWS)
def test_all_drops_every_row_whose_answers_occur_together_again(rows: list[dict[str, Any]]) -> None:
    keys = [(str(r["response_a"]), str(r["response_b"])) for r in rows]
    assert _kept(rows, duplicates="all") == [i for i, key in enumerate(keys) if keys.count(key) == 1]


def test_all_ignores_the_prompt_and_minds_the_order() -> None:
    rows = [
        {"prompt": "p", "response_a": "x", "response_b": "y"},
        {"prompt": "q", "response_a": "x", "response_b": "y"},
        {"prompt": "p", "response_a": "y", "response_b": "x"},
    ]
    assert _kept(rows, duplicates="all") == [2]
    assert _kept(rows, duplicates="first") == [0, 1]


def test_aggregate_joins_the_votes_and_counts_them() -> None:
    row = {"prompt": "p", "response_a": "x", "response_b": "y", "winner": "a"}
    rows = [row, row | {"response_b": "x"}, row | {"winner": "tie"}, row | {"prompt": ""}]
    kept, report = clean(
        Battles.from_rows(rows), CleaningSettings(duplicates="aggregate", drop_identical=True, drop_missing=True)
    )
    assert report.to_dict() == {
        "rows": 4,
        "missing": 1,
        "identical": 1,
        "duplicates": 1,
        "kept": 1,
        "duplicates_as": "aggregate",
    }
    assert kept[0].probabilities == (0.5, 0.0, 0.5)


def test_the_battles_given_are_not_changed() -> None:
    row = {"prompt": "p", "response_a": "x", "response_b": "y", "winner": "a"}
    battles = Battles.from_rows([row, row])
    before = battles.table
    clean(battles, CleaningSettings(duplicates="aggregate"))
    assert battles.table is before
    assert battles[1].weight == 1.0


def test_unknown_treatment_is_a_settings_error() -> None:
    with pytest.raises(ConfigError, match="duplicates is 'last'; it must be 'none', 'first', 'all' or 'aggregate'"):
        CleaningSettings.parse({"duplicates": "last"})


@pytest.mark.parametrize("duplicates", ["none", "first", "all", "aggregate"])
def test_no_rows_stay_no_rows(duplicates: str) -> None:
    assert _kept([], duplicates=duplicates, drop_identical=True, drop_missing=True) == []


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
    """Return each pair's votes independent of row and response order."""
    out = {}
    for battle in battles:
        if battle.winner is None and battle.probabilities is None:
            continue
        swapped = battle.response_a > battle.response_b
        label = battle.probabilities or tuple(float(battle.winner == name) for name in ("a", "b", "tie"))
        label = (label[1], label[0], label[2]) if swapped else label
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
def test_row_order_and_swaps_change_no_bit(rows: list[dict[str, Any]], random: Any) -> None:
    rows = [row for row in rows if row["response_a"] != row["response_b"]]
    battles = Battles.from_rows(rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    swapped = [battles[i : i + 1].swapped() if random.random() < 0.5 else battles[i : i + 1] for i in order]
    assert seen(aggregate_votes(Battles.concat(swapped))) == seen(aggregate_votes(battles))


@given(ROWS)
def test_swapping_all_rows_swaps_the_result(rows: list[dict[str, Any]]) -> None:
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
