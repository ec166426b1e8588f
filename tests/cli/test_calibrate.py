"""Test votecast calibrate: output, files and errors."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from votecast.cli.calibrate import show_outcome
from votecast.data.battles import Battles
from votecast.data.outputs import write_votes
from votecast.data.reader import read_votes
from votecast.judges.load import load_judge


@pytest.fixture(scope="module")
def votes(arena: Path) -> Path:
    """Return votes on unseen prompts, from two sources."""
    from votecast.cli import main

    whole = arena / "whole.csv"
    assert main(["simulate", "--rows", "700", "--seed", "9", "--out", str(whole)]) == 0
    battles = read_votes(whole)
    unseen = np.setdiff1d(np.arange(len(battles)), load_judge(arena / "judge").prompt_hashes.overlap(battles))
    rows = battles.take(unseen[:260])
    sources = ["first" if row % 3 else "second" for row in range(len(rows))]
    named = [row.model_copy(update={"source": name}) for row, name in zip(rows, sources, strict=True)]
    write_votes(Battles.from_rows(named), arena / "votes.jsonl")
    return arena / "votes.jsonl"


def test_a_judge_is_calibrated_predicts_and_is_calibrated_again(
    votecast: Callable, arena: Path, votes: Path, tmp_path: Path
) -> None:
    out, table = tmp_path / "judge", tmp_path / "p.csv"
    ran = votecast("calibrate", "--judge", arena / "judge", "--input", votes, "--out", out, "--draws", 50)
    assert ran.code == 0, ran.err
    assert "calibrated on 260 votes" in ran.out and "candidate (* chosen)" in ran.out
    for message in (
        "log loss",
        "ECE",
        "by chance",
        "gain in log loss",
        "95 % interval",
        "calibration  temperature, then",
    ):
        assert message in ran.out
    ran = votecast("predict", "--judge", out, "--input", arena / "test.csv", "--out", table)
    assert ran.code == 0, ran.err
    with table.open(newline="") as file:
        p = np.array([[float(row[f"p_{name}"]) for name in ("a", "b", "tie")] for row in csv.DictReader(file)])
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-9
    ran = votecast("calibrate", "--judge", out, "--input", votes, "--out", tmp_path / "again")
    assert ran.code == 1 and "260 of 260 rows have prompts on which the judge was trained" in ran.err
    assert not (tmp_path / "again").exists()
    words = ("--method", "isotonic", "--allow-leak", "--draws", 0)
    ran = votecast("calibrate", "--judge", out, "--input", votes, "--out", tmp_path / "again", *words)
    assert ran.code == 0, ran.err
    assert "within chance" not in ran.err  # without intervals nothing is
    train = votecast("calibrate", "--judge", arena / "judge", "--input", arena / "train.csv", "--out", tmp_path / "no")
    assert train.code == 1 and "leave --input out" in train.err
    assert "260 votes have training prompts of the judge" in ran.err
    ran = votecast("evaluate", "--judge", tmp_path / "again", "--input", votes, "--draws", 20)
    assert ran.code == 1 and "prompts on which the judge was trained" in ran.err


def test_groups_are_shown_beside_what_all_have_in_common(
    votecast: Callable, arena: Path, votes: Path, tmp_path: Path
) -> None:
    words = ("--by", "source", "--method", "shift", "--draws", 50, "--json", tmp_path / "found.json")
    ran = votecast("calibrate", "--judge", arena / "judge", "--input", votes, "--out", tmp_path / "judge", *words)
    assert ran.code == 0, ran.err
    assert "log loss by source" in ran.out and "common" in ran.out
    found = json.loads((tmp_path / "found.json").read_text())
    assert {name: group["votes"] for name, group in found["calibration"]["groups"]["values"].items()} == {
        "first": 173,
        "second": 87,
    }
    assert found["judge"]["folder"] == str(tmp_path / "judge")
    assert json.loads((tmp_path / "found.json.settings.json").read_text())["settings"]["by"] == "source"


def test_few_votes_are_followed_without_a_choice(votecast: Callable, arena: Path, votes: Path, tmp_path: Path) -> None:
    words = ("--limit", 100, "--draws", 20)
    ran = votecast("calibrate", "--judge", arena / "judge", "--input", votes, "--out", tmp_path / "judge", *words)
    assert ran.code == 0, ran.err
    assert "shift is used without a choice: 100 votes" in ran.out


def test_without_votes_the_judges_own_rows_serve(votecast: Callable, arena: Path, tmp_path: Path) -> None:
    ran = votecast("calibrate", "--judge", arena / "judge", "--out", tmp_path / "judge", "--method", "dirichlet")
    assert ran.code == 0, ran.err
    assert "fitted on the judge's own out-of-fold rows, in place of its calibration (temperature)" in ran.err
    assert "calibration  dirichlet" in ran.out
    ran = votecast("evaluate", "--judge", tmp_path / "judge", "--input", arena / "train.csv")
    assert ran.code == 1 and "prompts on which the judge was trained" in ran.err


def test_results_alone_go_to_standard_output(votecast: Callable, arena: Path, votes: Path, tmp_path: Path) -> None:
    words = ("--method", "temperature", "--draws", 0, "--json", "-")
    ran = votecast("calibrate", "--judge", arena / "judge", "--input", votes, "--out", tmp_path / "judge", *words)
    found = json.loads(ran.out)["calibration"]
    assert found["method"] == "temperature" and found["gain"]["low"] is None
    assert set(found["before"]) == set(found["after"])


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        (lambda row: row | {"winner": "a"}, (), "none of the 260 votes is a tie"),
        (lambda row: row | {"winner": "tie"}, (), "all 260 votes are ties"),
        (lambda row: row | {"prompt": ["Why?"]}, (), "all 260 votes are on one prompt"),
        (lambda row: row | {"winner": None}, (), "vote"),
        (lambda row: row, ("--limit", 12), "12 votes that count are given, and at least 20 are needed"),
    ],
)
def test_votes_that_do_not_serve_are_one_clear_error(
    votecast: Callable, arena: Path, votes: Path, tmp_path: Path, change: Callable, words: tuple, message: str
) -> None:
    rows = [change(json.loads(line)) for line in votes.read_text().splitlines()]
    (tmp_path / "v.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = ("--judge", arena / "judge", "--input", tmp_path / "v.jsonl", "--out", tmp_path / "judge")
    ran = votecast("calibrate", *given, *words)
    assert ran.code == 1, ran.out
    assert message in " ".join(ran.err.split())
    assert not (tmp_path / "judge").exists()


def test_wrong_use_is_reported_before_any_work(votecast: Callable, arena: Path, votes: Path, tmp_path: Path) -> None:
    given = ("calibrate", "--judge", arena / "judge", "--out", tmp_path / "judge")
    for words, message in [
        (("--method", "platt"), "platt"),
        (("--by", "model", "--input", votes), "model"),
        (("--by", "source"), "have no source; give votes to calibrate by source"),
    ]:
        ran = votecast(*given, *words)
        assert ran.code == 2, ran.err
        assert message in ran.err
    ran = votecast("calibrate", "--judge", arena / "judge", "--out", arena / "judge")
    assert ran.code == 1 and "already exists" in ran.err
    assert votecast("calibrate", "--judge", arena / "judge").code == 2
    assert votecast("calibrate", "--judge", tmp_path / "absent", "--out", tmp_path / "judge").code == 1


@pytest.mark.parametrize(
    ("method", "gain", "ece", "message"),
    [
        ("vector", (0.01, 0.03), 0.17, ""),
        ("vector", (-0.01, 0.03), 0.05, "the gain is within chance\n"),
        (
            "vector",
            (-0.01, 0.03),
            0.17,
            "the gain is within chance: its calibration error on these votes",
        ),
        ("vector", (-0.03, -0.01), 0.17, "warning: predictions on these votes became worse"),
        ("none", (0.0, 0.0), 0.05, "method none: predictions are unchanged"),
        ("vector", (None, None), 0.17, ""),
    ],
)
def test_the_last_line_interprets_the_gain(
    capsys: pytest.CaptureFixture, method: str, gain: tuple, ece: float, message: str
) -> None:
    low, high = gain
    before = {"ece": {"value": ece}, "ece_perfect": {"high": 0.09}}
    fitted = {"method": "auto", "chosen": {"method": method}}
    show_outcome({"on": "votes", "fitted": fitted, "before": before, "gain": {"low": low, "high": high}})
    err = capsys.readouterr().err
    assert message in err if message else not err
