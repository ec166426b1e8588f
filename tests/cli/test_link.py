"""Test votecast link, and other verbs on a judge of scores."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.judges.scored import scored_votes, with_scores

from votecast.data.outputs import write_votes
from votecast.data.outputs.score_files import ScoreWriter

SCORES, VOTES = scored_votes(160)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with scores, votes and files with both."""
    folder = tmp_path_factory.mktemp("scores")
    for name in ("scores.csv", "scores.parquet"):
        with ScoreWriter(folder / name) as writer:
            writer.add(SCORES.ids[:150], SCORES.a[:150], SCORES.b[:150])
    write_votes(VOTES, folder / "votes.jsonl")
    write_votes(with_scores(VOTES, SCORES)[:150], folder / "both.jsonl")
    rows = zip(SCORES.ids, SCORES.a, SCORES.b, VOTES.column("winner").to_pylist(), strict=True)
    lines = ["id,score_a,score_b,winner", *(f"{name},{a!r},{b!r},{winner}" for name, a, b, winner in rows)]
    (folder / "bare.csv").write_text("\n".join(lines).replace("np.float64(", "").replace(")", "") + "\n")
    return folder


@pytest.fixture(autouse=True)
def _errors_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOTECAST_DEBUG", "1")


def linked(votecast: Callable, files: Path, out: Path, *words: object) -> Path:
    ran = votecast("link", "--scores", files / "scores.csv", "--votes", files / "votes.jsonl", "--out", out, *words)
    assert ran.code == 0, ran.err
    return out


def test_a_link_is_shown_with_intervals_beside_unfitted_links(votecast: Callable, files: Path, tmp_path: Path) -> None:
    words = ("--votes", files / "votes.jsonl", "--out", tmp_path / "judge", "--length", "--name", "mine")
    ran = votecast("link", "--scores", files / "scores.parquet", *words)
    assert ran.code == 0, ran.err
    assert "joined by id; left out: 10 votes without scores" in ran.err
    assert "Link: davidson, fitted on 150 votes" in ran.out
    for message in ("scale", "length", "nu", "95 % interval", "this link, cross-fitted by prompt", "class prior"):
        assert message in ran.out
    assert "default link, not fitted" in ran.out and "fixed rule, not fitted" in ran.out
    assert "only files with score_a and score_b" in ran.out
    config = json.loads((tmp_path / "judge" / "config.json").read_text())
    assert config["link"]["fitted"] is True
    assert set(config["link"]["intervals"]) == {"scale", "length", "nu"}
    assert config["name"] == "mine"


def test_the_json_holds_the_link_and_its_gains(votecast: Callable, files: Path, tmp_path: Path) -> None:
    words = ("--votes", files / "votes.jsonl", "--out", tmp_path / "judge", "--method", "ordered_logit")
    ran = votecast("link", "--scores", files / "scores.csv", *words, "--json", "-")
    found = json.loads(ran.out)
    assert found["link"]["method"] == "ordered_logit"
    assert found["gains"]["fixed_rule"]["low"] > 0
    assert found["scores"] == {"made_by": None, "unscored": 10, "unvoted": 0, "swapped": 0}
    assert votecast("link", "--scores", files / "scores.csv", *words, "--overwrite").code == 0
    ran = votecast("link", "--scores", files / "scores.csv", *words)
    assert ran.code == 1 and "already exists" in ran.err


def test_the_judge_predicts_and_evaluates_score_files(votecast: Callable, files: Path, tmp_path: Path) -> None:
    judge, out = linked(votecast, files, tmp_path / "judge"), tmp_path / "p.csv"
    ran = votecast("predict", "--judge", judge, "--input", files / "scores.csv", "--out", out)
    assert ran.code == 0, ran.err
    ran = votecast("predict", "--judge", judge, "--input", files / "both.jsonl", "--out", tmp_path / "q.csv")
    assert ran.code == 0, ran.err
    assert out.read_text() == (tmp_path / "q.csv").read_text()
    with out.open(newline="") as file:
        p = np.array([[float(row[f"p_{name}"]) for name in ("a", "b", "tie")] for row in csv.DictReader(file)])
    assert p.shape == (150, 3)
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-9
    ran = votecast("evaluate", "--judge", judge, "--input", files / "bare.csv", "--draws", 20)
    assert ran.code == 0, ran.err
    assert "160 rows, 160 prompts" in ran.out
    assert "every row counts by itself: the rows have no prompts" in " ".join(ran.out.split())
    ran = votecast("evaluate", "--judge", judge, "--input", files / "both.jsonl", "--draws", 20)
    assert ran.code == 1 and "prompts on which the judge was trained" in ran.err


def test_a_judge_of_scores_refuses_texts(votecast: Callable, files: Path, tmp_path: Path) -> None:
    judge = linked(votecast, files, tmp_path / "judge")
    ran = votecast("predict", "--judge", judge, "--input", files / "votes.jsonl", "--out", tmp_path / "p.csv")
    assert ran.code == 1
    assert "no column score_a, score_b; a judge of bare numbers cannot score texts" in ran.err
    ran = votecast("compare", "--judge", judge, "--prompt", "p", "--a", "x", "--b", "y")
    assert ran.code == 1
    assert "linked from bare numbers, cannot score a text" in ran.err
    assert not (tmp_path / "p.csv").exists()


def test_a_link_without_effect_is_reported(votecast: Callable, files: Path, tmp_path: Path) -> None:
    for name, gap, message in [("noise", np.random.default_rng(99).normal(size=150), "no effect of the scores"),
                            ("turned", -SCORES.gap[:150], "the scores run against the votes")]:  # fmt: skip
        with ScoreWriter(tmp_path / f"{name}.csv") as writer:
            writer.add(SCORES.ids[:150], gap, np.zeros(150))
        words = ("--votes", files / "votes.jsonl", "--out", tmp_path / name)
        ran = votecast("link", "--scores", tmp_path / f"{name}.csv", *words)
        assert ran.code == 0, ran.err
        assert message in ran.err


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("id,score_a\nrow 1,2\n", 1, "'score_b' is missing"),
        ("id,score_a,score_b\nrow 1,nan,2\n", 1, "every score must be a finite number"),
        ("id,score_a,score_b\nrow 1,1,2\nrow 1,1,2\n", 1, "ids occur more than once in the scores"),
        ("id,score_a,score_b\nother,1,2\n", 1, "no id is in both files"),
        ("id,score_a,score_b\nrow 1,1,2\n", 1, "fitted on 1 votes that have scores, and at least 30"),
        ("id,score_a,score_b\n" + "".join(f"row {n},1,1\n" for n in range(99)), 1, "gap is 0 in all 99 rows"),
    ],
)
def test_invalid_input_raises_one_error_and_writes_nothing(
    votecast: Callable, files: Path, tmp_path: Path, text: str, code: int, message: str
) -> None:
    (tmp_path / "s.csv").write_text(text)
    ran = votecast("link", "--scores", tmp_path / "s.csv", "--votes", files / "votes.jsonl", "--out", tmp_path / "j")
    assert ran.code == code, ran.err
    assert ran.err.splitlines()[-1].startswith("error: ") or "error: " in ran.err
    assert message in " ".join(ran.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]


def test_wrong_use_is_reported_before_reading(votecast: Callable, files: Path, tmp_path: Path) -> None:
    words = ("--scores", tmp_path / "absent.csv", "--votes", files / "votes.jsonl")
    ran = votecast("link", *words, "--out", tmp_path / "j", "--method", "probit")
    assert ran.code == 2 and "probit" in ran.err
    ran = votecast("link", *words, "--out", tmp_path / "j")
    assert ran.code == 1 and "absent.csv" in ran.err
    words = ("--scores", files / "scores.csv", "--votes", files / "votes.jsonl")
    ran = votecast("link", *words, "--out", tmp_path / "j", "--method", "fixed", "--length")
    assert ran.code == 2 and "no place for the length" in ran.err
