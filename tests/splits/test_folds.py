"""Test folds: near-duplicates kept together, balanced and reproducible."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.errors import ConfigError, DataError
from votecast.splits import TRAIN_ONLY, Folds, FoldSettings, folds_from_table, make_folds
from votecast.splits.folds import balanced_folds

NAMES = ("a", "b", "tie")


def votes(rows: int, prompts: int, seed: int = 0) -> Battles:
    """Generate rows over repeated prompts with 50, 30 and 20 % classes."""
    rng = np.random.default_rng(seed)
    asked = rng.integers(prompts, size=rows)
    return Battles.from_rows(
        [
            {
                "id": f"r{i}",
                "prompt": f"Question {prompt}: why?" if rng.random() < 0.5 else f"question   {prompt} WHY",
                "response_a": f"x{i}",
                "response_b": "y",
                "winner": str(rng.choice(NAMES, p=[0.5, 0.3, 0.2])),
                "source": f"s{prompt % 3}",
            }
            for i, prompt in enumerate(asked)
        ]
    )


def spread(assignment: NDArray[np.int64], targets: NDArray[np.float64], n: int) -> float:
    """Return the largest gap between class shares of folds and all."""
    shares = np.array([targets[assignment == fold].mean(axis=0) for fold in range(n)])
    return float(np.abs(shares - targets.mean(axis=0)).max())


@pytest.mark.parametrize("method", ["grouped", "stratified", "modulo"])
@pytest.mark.parametrize("n", [2, 5])
def test_every_row_is_held_out_once(method: str, n: int) -> None:
    folds = make_folds(votes(300, 60), FoldSettings(method=method, n=n))
    held_out = np.concatenate([valid for _, valid in folds.parts()])
    assert sorted(held_out) == list(range(300))
    for train, valid in folds.parts():
        assert sorted([*train, *valid]) == list(range(300))
    assert folds.sizes == [len(valid) for _, valid in folds.parts()]
    assert sum(folds.sizes) == len(folds) == 300


@settings(max_examples=40)
@given(st.integers(20, 120), st.integers(10, 60), st.integers(2, 5), st.integers(0, 99))
def test_near_duplicates_never_straddle_unless_reported(rows: int, prompts: int, n: int, seed: int) -> None:
    battles = votes(rows, prompts, seed)
    counts = np.bincount(battles.targets().argmax(axis=1), minlength=3)
    assume(counts.min() >= 3 * n)
    folds = make_folds(battles, FoldSettings(n=n, seed=seed))
    clusters = prompt_clusters(battles)
    straddling = [c for c in range(clusters.max() + 1) if len(set(folds.assignment[clusters == c].tolist())) > 1]
    assert len(straddling) <= sum("larger than a fold" in note for note in folds.notes)


def test_grouped_folds_are_as_balanced_as_those_of_scikit_learn() -> None:
    battles = votes(2000, 300)
    clusters, targets = prompt_clusters(battles), battles.targets()
    ours = make_folds(battles, FoldSettings(), clusters=clusters)
    theirs = np.empty(2000, dtype=np.int64)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=42)
    for fold, (_, part) in enumerate(splitter.split(targets, targets.argmax(axis=1), clusters)):
        theirs[part] = fold
    assert spread(ours.assignment, targets, 5) <= max(0.01, spread(theirs, targets, 5))
    assert np.ptp(ours.sizes) <= max(2, np.ptp(np.bincount(theirs)))


def test_stratified_folds_are_as_balanced_as_those_of_scikit_learn() -> None:
    battles = votes(503, 400)
    targets = battles.targets()
    ours = make_folds(battles, FoldSettings(method="stratified"))
    parts = StratifiedKFold(5, shuffle=True, random_state=42).split(targets, targets.argmax(axis=1))
    theirs = np.array([targets[part].sum(axis=0) for _, part in parts])
    counts = np.array([targets[part].sum(axis=0) for _, part in ours.parts()])
    assert (np.ptp(counts, axis=0) <= 1).all()
    assert np.ptp(ours.sizes) <= 1
    assert (np.sort(counts, axis=0) == np.sort(theirs, axis=0)).all()


def test_soft_labels_count_by_their_parts() -> None:
    rng = np.random.default_rng(0)
    targets = rng.dirichlet([1, 1, 0.3], size=1000)
    assignment = balanced_folds(rng.integers(200, size=1000), targets, 4, seed=0)
    assert spread(assignment, targets, 4) < 0.01


@pytest.mark.parametrize("method", ["grouped", "stratified", "single"])
def test_seeds_decide(method: str) -> None:
    battles = votes(200, 50)
    first, again, other = (make_folds(battles, FoldSettings(method=method, seed=seed)).assignment for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_modulo_is_the_index_modulo_n() -> None:
    folds = make_folds(votes(23, 20), FoldSettings(method="modulo", n=4))
    assert folds.assignment.tolist() == [i % 4 for i in range(23)]


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_a_single_split_sets_the_share_aside_once(stratify: bool, fraction: float) -> None:
    battles = votes(400, 300)
    folds = make_folds(battles, FoldSettings(method="single", fraction=fraction, stratify=stratify))
    ((train, valid),) = folds.parts()
    assert (folds.n, len(valid), len(train)) == (1, 400 * fraction, 400 * (1 - fraction))
    assert set(folds.assignment.tolist()) == {0, TRAIN_ONLY}
    if stratify:
        everywhere = battles.targets().sum(axis=0) * fraction
        assert np.abs(battles.targets()[valid].sum(axis=0) - everywhere).max() <= 1


def test_a_column_makes_one_fold_of_each_value() -> None:
    battles = votes(90, 30)
    folds = make_folds(battles, FoldSettings(method="column", column="source"))
    assert folds.n == 3
    assert [f"s{fold}" for fold in folds.assignment] == battles.column("source").to_pylist()
    assert folds.notes[0] == "folds by source: 0 = s0, 1 = s1, 2 = s2"


def test_a_column_of_numbers_is_sorted_as_numbers() -> None:
    table = votes(60, 30).table
    for values in ([i % 12 for i in range(60)], [str(i % 12) for i in range(60)]):
        battles = Battles(table.append_column("fold", [values]))
        folds = make_folds(battles, FoldSettings(method="column", column="fold"))
        assert folds.assignment.tolist() == [i % 12 for i in range(60)]


def _same_prompt(rows: int, prompts: int = 1, pairs: int | None = None) -> Battles:
    return Battles.from_rows(
        [
            {
                "prompt": f"why is the sky blue and not green or red or yellow {'!' * (i % prompts)}{i % prompts}",
                "response_a": f"x{i % (pairs or rows)}",
                "response_b": "y",
                "winner": NAMES[i // (pairs or 1) % 3],
            }
            for i in range(rows)
        ]
    )


def test_a_cluster_larger_than_a_fold_is_split_by_prompt_first() -> None:
    battles = _same_prompt(60, prompts=6)
    folds = make_folds(battles, FoldSettings(n=3, similarity=0.5), clusters=np.zeros(60, dtype=np.int64))
    assert folds.sizes == [20, 20, 20]
    assert all(len(set(folds.assignment[i::6].tolist())) == 1 for i in range(6))
    assert "60 rows" in folds.notes[0]
    assert "larger than a fold of 20 rows and was split by prompt" in folds.notes[0]


def test_then_by_pair_of_answers_and_only_then_by_row() -> None:
    battles = _same_prompt(60, pairs=12)
    folds = make_folds(battles, FoldSettings(n=3))
    assert "split by pair of answers" in folds.notes[0]
    assert all(len(set(folds.assignment[i::12].tolist())) == 1 for i in range(12))
    folds = make_folds(_same_prompt(60, pairs=2), FoldSettings(n=3))
    assert "split by row" in folds.notes[0]
    assert folds.sizes == [20, 20, 20]


def test_only_the_large_cluster_is_split() -> None:
    battles = Battles.concat([_same_prompt(40), votes(80, 10)])
    folds = make_folds(battles, FoldSettings(n=4))
    clusters = prompt_clusters(battles)
    assert len(folds.notes) == 1
    for cluster in set(clusters[40:].tolist()):
        assert len(set(folds.assignment[clusters == cluster].tolist())) == 1


@pytest.mark.parametrize("method", ["grouped", "stratified", "modulo"])
def test_fewer_rows_than_folds_are_refused(method: str) -> None:
    with pytest.raises(ConfigError, match="3 rows cannot be divided into 5 folds.*folds.n to at most 3"):
        make_folds(votes(3, 3), FoldSettings(method=method))


def test_a_class_that_cannot_be_learned_is_refused() -> None:
    rows = [{"prompt": f"p{i}", "response_a": "x", "response_b": "y", "winner": "ab"[i % 2]} for i in range(20)]
    rows[3]["winner"] = "tie"
    with pytest.raises(DataError, match=r"every vote for tie \(1 in all\) lies in fold \d"):
        make_folds(Battles.from_rows(rows), FoldSettings(n=4))


def test_a_class_that_a_fold_lacks_is_noted_and_one_that_never_occurs_is_not() -> None:
    rows = [{"prompt": f"p{i}", "response_a": "x", "response_b": "y", "winner": "ab"[i % 2]} for i in range(20)]
    assert make_folds(Battles.from_rows(rows)).notes == ()
    rows[3]["winner"] = rows[4]["winner"] = "tie"
    notes = make_folds(Battles.from_rows(rows)).notes
    assert [note[7:] for note in notes] == ["holds no vote for tie"] * 3


def test_rows_without_votes_are_dealt_out_too() -> None:
    rows = [{"prompt": f"p{i}", "response_a": "x", "response_b": "y"} for i in range(20)]
    assert make_folds(Battles.from_rows(rows)).sizes == [4, 4, 4, 4, 4]


def test_cluster_numbers_must_fit_the_rows() -> None:
    with pytest.raises(ConfigError, match="7 cluster numbers are given for 20 rows"):
        make_folds(votes(20, 9), FoldSettings(n=2), clusters=np.zeros(7, dtype=np.int64))


@pytest.mark.parametrize(
    ("column", "values", "error", "message"),
    [
        ("nowhere", None, ConfigError, "folds.column is 'nowhere'; the battles have id, prompt"),
        ("fold", [1] * 30, ConfigError, "1 values; folds by column need 2 to 100"),
        ("fold", [1, None] * 15, DataError, r"row 2 \(id 'r1'\) has no value in the column 'fold'"),
    ],
)
def test_a_column_that_makes_no_folds_is_refused(
    column: str, values: list[Any] | None, error: type[Exception], message: str
) -> None:
    table = votes(30, 9).table
    table = table if values is None else table.append_column("fold", [values])
    with pytest.raises(error, match=message):
        make_folds(Battles(table), FoldSettings(method="column", column=column))


def test_all_invalid_settings_are_reported_at_once() -> None:
    with pytest.raises(ConfigError, match=r"n is 1; .*similarity is 2; ") as caught:
        FoldSettings.parse({"n": 1, "similarity": 2, "methd": "grouped"})
    assert "did you mean method?" in str(caught.value)
    with pytest.raises(ConfigError, match="folds.column"):
        FoldSettings.parse({"method": "column"})


@dataclass
class Kept:
    """Out-of-fold rows of a judge."""

    ids: list[str]
    content: list[str]
    fold: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def _kept(battles: Battles, folds: Folds) -> Kept:
    rows = np.flatnonzero(folds.assignment >= 0)
    held = battles.take(rows)
    return Kept(held.ids, held.content_hashes(), folds.assignment[rows])


def test_folds_are_found_again_in_another_order() -> None:
    battles = votes(100, 40)
    folds = make_folds(battles)
    order = np.random.default_rng(0).permutation(100)
    moved = battles.take(order)
    again = folds_from_table(moved.ids, moved.content_hashes(), _kept(battles, folds))
    assert again.assignment.tolist() == folds.assignment[order].tolist()
    assert (again.n, again.method, again.notes) == (5, "reused", ())


def test_too_few_rows_are_used_in_part_and_reported() -> None:
    battles = votes(100, 40)
    part = battles[:60]
    again = folds_from_table(part.ids, part.content_hashes(), _kept(battles, make_folds(battles)))
    assert len(again) == 60
    assert again.notes == ("40 rows of the judge's folds do not occur here",)


def test_rows_that_the_judge_does_not_know_are_named() -> None:
    battles = votes(50, 40)
    kept = _kept(battles, make_folds(battles))
    other = Battles.concat([battles, battles[:2].swapped(), votes(3, 3, seed=9)[1:]])
    with pytest.raises(
        DataError, match=r"4 of 54 rows are not in the judge's folds.*first ids: 'r0', 'r1', 'r1', 'r2'"
    ):
        folds_from_table(other.ids, other.content_hashes(), kept)
    with pytest.raises(DataError, match=r"no row lies in fold .* of the judge"):
        folds_from_table(battles[:2].ids, battles[:2].content_hashes(), kept)


def test_repeated_rows_keep_their_folds_in_order() -> None:
    kept = Kept(["r", "r", "s"], ["1", "1", "2"], np.array([0, 1, 2]))
    assert folds_from_table(["r", "s", "r", "r"], ["1", "2", "1", "1"], kept).assignment.tolist() == [0, 2, 1, 1]


def test_a_single_split_is_reused_with_its_training_rows() -> None:
    battles = votes(50, 40)
    folds = make_folds(battles, FoldSettings(method="single"))
    again = folds_from_table(battles.ids, battles.content_hashes(), _kept(battles, folds))
    assert np.array_equal(again.assignment, folds.assignment)


def test_folds_describe_themselves() -> None:
    folds = make_folds(votes(20, 20), FoldSettings(method="modulo", n=2))
    assert json.loads(json.dumps(folds.to_dict())) == {"method": "modulo", "n": 2, "sizes": [10, 10], "notes": []}


def test_real_votes_are_divided_evenly(outside_votes: Path) -> None:
    with gzip.open(outside_votes / "votes_train.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = ("prompt", "response_a", "response_b", "winner")
    battles = Battles.from_rows([{name: row[name] for name in texts} for row in rows[::3]])
    folds = make_folds(battles)
    assert folds.notes == ()
    assert spread(folds.assignment, battles.targets(), 5) < 0.002
    assert np.ptp(folds.sizes) <= 5
