"""Test votecast decide: decisions with a controlled error."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from votecast.cli import main


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return votes on prompts outside the training set."""
    path = tmp_path_factory.mktemp("votes") / "calibration.csv"
    assert main(["simulate", "--rows", "300", "--seed", "5", "--out", str(path)]) == 0
    return path


@pytest.fixture
def words(arena: Path, calibration: Path, tmp_path: Path) -> list[object]:
    """Return the command without the target options."""
    given = ["--input", arena / "test.csv", "--calibration", calibration, "--out", tmp_path / "d.csv"]
    return ["decide", "--judge", arena / "judge", *given]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_decisions_are_written_and_the_bound_is_printed(votecast: Any, words: list[object], tmp_path: Path) -> None:
    ran = votecast(*words, "--error", 0.7, "--confidence", 0.8, "--json", tmp_path / "d.json")
    assert ran.code == 0, ran.err
    output = " ".join(ran.out.split())
    assert "with confidence 0.8, a vote on a decided pair differs from the decision" in output
    assert "one for each prompt" in output and "a separate fifth of the prompts chose the thresholds" in output
    rows, found = rows_of(tmp_path / "d.csv"), json.loads((tmp_path / "d.json").read_text())
    assert list(rows[0]) == ["id", "p_a", "p_b", "p_tie", "decision", "confidence"]
    assert len(rows) == 60
    threshold = found["rule"]["found"]["threshold"]
    for row in rows:
        a, b = float(row["p_a"]), float(row["p_b"])
        assert float(row["confidence"]) == max(a, b)
        decided = "a" if a > b else "b"
        assert row["decision"] == (decided if max(a, b) >= threshold and a != b else "open")
    counts = {kind: sum(row["decision"] == kind for row in rows) for kind in ("a", "b", "open")}
    assert found["decisions"] == counts
    side = json.loads((tmp_path / "d.csv.settings.json").read_text())["settings"]["about"]
    assert (Path(side["calibration"]).name, side["seed"], side["error"]) == ("calibration.csv", 0, 0.7)
    assert counts["a"] + counts["b"] > 0
    assert f"{counts['open']} of 60" in output


def test_nothing_decidable_is_a_result(votecast: Any, words: list[object], tmp_path: Path) -> None:
    ran = votecast(*words, "--error", 0.05, "--method", "sgr")
    assert ran.code == 0, ran.err
    assert "every row is abstained on" in ran.out
    assert "0 of 60 (0.0%)" in ran.out
    assert {row["decision"] for row in rows_of(tmp_path / "d.csv")} == {"open"}


def test_too_few_votes_abstain_and_report_the_number_needed(votecast: Any, words: list[object], tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    assert main(["simulate", "--rows", "10", "--seed", "5", "--out", str(few)]) == 0
    words[words.index("--calibration") + 1] = few
    ran = votecast(*words)
    assert ran.code == 0, ran.err
    assert "it takes 22 to rule out an error above 0.1" in " ".join(ran.out.split())


def test_only_ties_decide_nothing(votecast: Any, words: list[object], calibration: Path, tmp_path: Path) -> None:
    rows = rows_of(calibration)
    ties = tmp_path / "ties.csv"
    with ties.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        none = {"winner_model_a": 0, "winner_model_b": 0, "winner_tie": 1}
        writer.writerows(row | none for row in rows)
    words[words.index("--calibration") + 1] = ties
    ran = votecast(*words, "--error", 0.5)
    assert ran.code == 0, ran.err
    assert "most confident decisions" in " ".join(ran.out.split())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--error", "0"], "error is 0; allowed are numbers above 0 and below 1"),
        (["--error", "1"], "error is 1;"),
        (["--confidence", "1.5"], "confidence is 1.5;"),
        (["--confidence", "often"], "often"),
        (["--method", "guess"], "guess"),
        (["--out", "decisions.docx"], "does not say what to write"),
    ],
)
def test_invalid_options_are_refused_before_any_work(
    votecast: Any, words: list[object], asked: list[str], message: str, tmp_path: Path
) -> None:
    if asked[0] == "--out":
        words = words[: words.index("--out")]
    ran = votecast(*words, *asked)
    assert ran.code == 2, ran.err
    assert message in ran.err
    assert not list(tmp_path.iterdir())


def test_votes_that_will_not_do_are_refused(votecast: Any, arena: Path, words: list[object], tmp_path: Path) -> None:
    place = words.index("--calibration") + 1
    words[place] = arena / "test.csv"
    assert "vote" in votecast(*words).err
    words[place] = arena / "train.csv"
    leaking = votecast(*words)
    assert leaking.code == 1
    assert "have prompts on which the judge was trained" in leaking.err
    odd = tmp_path / "odd.csv"
    odd.write_text("question,first,second\nWhy?,x,y\n")
    words[place] = odd
    ran = votecast(*words)
    assert ran.code == 1
    assert "odd.csv" in ran.err
    words[place] = "-"
    words[words.index("--input") + 1] = "-"
    ran = votecast(*words)
    assert ran.code == 2
    assert "are both standard input" in ran.err


def test_an_existing_file_is_not_overwritten(votecast: Any, words: list[object], tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("mine")
    ran = votecast(*words)
    assert ran.code == 1
    assert "already exists" in ran.err
    assert (tmp_path / "d.csv").read_text() == "mine"


def test_pairs_on_prompts_that_were_seen_are_counted(
    votecast: Any, arena: Path, words: list[object], calibration: Path, tmp_path: Path
) -> None:
    words[words.index("--input") + 1] = arena / "train.csv"
    ran = votecast(*words, "--json", tmp_path / "d.json")
    assert ran.code == 0, ran.err
    rows = len(rows_of(arena / "train.csv"))
    output = " ".join(ran.err.split())
    assert f"{rows:,} of {rows:,} pairs are on prompts the judge was trained on: the guarantee does not hold" in output
    shared = json.loads((tmp_path / "d.json").read_text())["shared"]
    assert (shared["pairs"], shared["on_training_prompts"]) == (rows, rows)
    assert json.loads((tmp_path / "d.csv.settings.json").read_text())["shared"] == shared
    words[words.index("--input") + 1] = calibration
    ran = votecast(*words, "--overwrite")
    assert "300 of 300 pairs are on prompts of the calibration votes" in " ".join(ran.err.split())
