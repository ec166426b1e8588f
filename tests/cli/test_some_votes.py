"""Test verbs on files with missing or repeated votes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from votecast import load_judge, read_votes


@pytest.fixture
def some(arena: Path, tmp_path: Path, votecast: Callable) -> Path:
    """Return the arena's test battles with every other vote removed."""
    assert votecast("simulate", "--rows", 40, "--seed", 1, "--out", tmp_path / "all.jsonl").code == 0
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    for row in rows[1::2]:
        del row["winner"]
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_a_row_without_a_vote_is_named(votecast: Callable, some: Path, verb: str) -> None:
    words = {"train": ("baseline", "--train", some, "--out", some.with_name("judge")), "evaluate": ("--input", some)}
    ran = votecast(verb, *words[verb])
    assert (ran.code, ran.out) == (1, "")
    assert f"{some}, row 2" in ran.err
    assert "--bad-rows quarantine" in ran.err
    assert not some.with_name("judge").exists()


def test_rows_without_votes_can_be_set_aside(votecast: Callable, arena: Path, some: Path) -> None:
    words = ("--bad-rows", "quarantine", "--quarantine", some.with_name("aside.jsonl"), "--draws", 0, "--json", "-")
    found = json.loads(votecast("evaluate", "--judge", arena / "judge", "--input", some, *words).out)
    assert found["rows"] == 20
    assert [json.loads(line)["row"] for line in some.with_name("aside.jsonl").read_text().splitlines()] == [
        *range(2, 41, 2)
    ]
    judge, battles = load_judge(arena / "judge"), read_votes(some)
    battles = battles.take(np.flatnonzero(battles.labelled))
    loss = -np.log((judge.predict_proba(battles) * battles.targets()).sum(axis=1)).mean()
    assert found["metrics"]["log_loss"]["value"] == pytest.approx(loss, rel=1e-12)


def test_votes_on_one_pair_become_a_weighted_soft_label(votecast: Callable, arena: Path, tmp_path: Path) -> None:
    rows = [json.loads(battle.model_dump_json(exclude_none=True)) for battle in read_votes(arena / "train.csv")]
    again = rows[0] | {"id": "again", "winner": "b" if rows[0]["winner"] == "a" else "a"}
    votes = tmp_path / "votes.jsonl"
    votes.write_text("".join(json.dumps(row) + "\n" for row in [*rows, again]))
    words = ("--folds.n", 2, "--model.trees.rounds", 5, "--cleaning.duplicates", "aggregate")
    out = tmp_path / "judge"
    ran = votecast("train", "baseline", "--train", votes, "--out", out, *words, "--calibration.method", "isotonic")
    assert ran.code == 0, ran.err
    judge = load_judge(out)
    held = judge.fitted.out_of_fold
    joined = held.ids.index(rows[0]["id"])
    assert (len(held), held.weights[joined], sorted(held.targets[joined])) == (len(rows), 2, [0, 0.5, 0.5])
    assert judge.fitted.calibrator.method == "isotonic"
    again_saved = tmp_path / "again"
    judge.save_pretrained(again_saved)
    battles = read_votes(arena / "test.csv")
    assert np.array_equal(load_judge(again_saved).predict_proba(battles), judge.predict_proba(battles))
