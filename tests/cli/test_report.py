"""Test votecast report: the page of votes and the audit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.reports.pages import Page


@pytest.fixture(scope="module")
def votes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return votes that the judge of `arena` was not trained on."""
    from votecast.cli import main

    path = tmp_path_factory.mktemp("votes") / "new.csv"
    assert main(["simulate", "--rows", "120", "--seed", "7", "--out", str(path)]) == 0
    return path


def test_the_votes_alone_become_a_page(votecast: Callable, votes: Path, tmp_path: Path) -> None:
    ran = votecast("report", "--input", votes, "--out", tmp_path / "votes.html", "--json", tmp_path / "votes.json")
    assert ran.code == 0, ran.err
    assert "120 of 120 rows have a vote" in ran.out and "votes.html" in ran.out
    page = Page((tmp_path / "votes.html").read_text("utf-8"))
    assert page.faults == [] and page.all("script") == []
    assert "Duplicates and conflicts" in page.text
    found = json.loads((tmp_path / "votes.json").read_text("utf-8"))
    assert found["rows"] == 120 and found["examples"] and found["encoding"]["rows"] >= 0
    settings = json.loads((tmp_path / "votes.html.settings.json").read_text("utf-8"))
    assert settings["command"] == "report" and settings["settings"]["input"] == str(votes)


def test_a_judge_is_audited(votecast: Callable, arena: Path, votes: Path, tmp_path: Path) -> None:
    words = ["--judge", arena / "judge", "--input", votes, "--draws", 20, "--out", tmp_path / "audit.html"]
    ran = votecast("report", *words, "--json", "-")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    page = Page((tmp_path / "audit.html").read_text("utf-8"))
    assert page.faults == []
    assert "Audit of judge" in page.text
    settings = json.loads((tmp_path / "audit.html.settings.json").read_text("utf-8"))
    assert settings["judge"]["hash"] == found["judge"]["hash"] and settings["settings"]["draws"] == 20


def test_votes_of_the_training_are_refused_unless_allowed(votecast: Callable, arena: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.html"
    words = ["report", "--judge", arena / "judge", "--input", arena / "train.csv", "--draws", 20, "--out", out]
    ran = votecast(*words)
    assert ran.code == 1 and "--allow-leak" in ran.err and not out.exists()
    ran = votecast(*words, "--allow-leak")
    assert ran.code == 0, ran.err
    assert out.exists()


def test_predictions_can_be_audited_too(votecast: Callable, arena: Path, votes: Path, tmp_path: Path) -> None:
    made = tmp_path / "predictions.csv"
    assert votecast("predict", "--judge", arena / "judge", "--input", votes, "--out", made).code == 0
    words = ["--predictions", made, "--input", votes, "--draws", 20, "--out", tmp_path / "audit.html"]
    ran = votecast("report", *words)
    assert ran.code == 0, ran.err


def test_some_rows_make_the_same_page_twice(votecast: Callable, votes: Path, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        assert votecast("report", "--input", votes, "--sample", 0.5, "--out", tmp_path / name).code == 0
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert "60 of 60 rows" in (tmp_path / "one.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "report.pdf"], ".html"),
        (["--out", "report.html", "--judge", "default", "--predictions", "p.csv"], "--predictions"),
        (["--out", "report.html", "--judge", "nowhere"], "nowhere"),
        (["--out", "report.html", "--draws", "-1"], "--draws"),
        ([], "--out is required"),
    ],
)
def test_wrong_use_is_refused_at_once(
    votecast: Callable, votes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = votecast("report", "--input", votes, *words)
    assert ran.code in (1, 2) and message in ran.err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept(votecast: Callable, votes: Path, tmp_path: Path) -> None:
    out = tmp_path / "votes.html"
    out.write_text("mine")
    ran = votecast("report", "--input", votes, "--out", out)
    assert ran.code == 1 and "--overwrite" in ran.err and out.read_text() == "mine"
    assert votecast("report", "--input", votes, "--out", out, "--overwrite").code == 0


def test_hostile_texts_are_shown_and_not_run(votecast: Callable, tmp_path: Path) -> None:
    row = {
        "prompt": "</style><script>alert(1)</script>",
        "response_a": "\x1b[31m red \u202e turned \ud83d",
        "response_b": "<img src=x onerror=alert(1)>",
        "model_a": "<b>bold</b>",
        "model_b": "\"'",
        "winner": "a",
    }
    path = tmp_path / "hostile.jsonl"
    path.write_text(json.dumps(row) + "\n")
    ran = votecast("report", "--input", path, "--out", tmp_path / "hostile.html")
    assert ran.code == 0, ran.err
    page = Page((tmp_path / "hostile.html").read_text("utf-8"))
    assert page.faults == []
    assert {"script", "img", "b"} & {tag for tag, _ in page.elements} == set()
    assert row["prompt"] in page.text and "\x1b" not in page.source


def test_inspect_shows_the_exploration(votecast: Callable, votes: Path) -> None:
    out = votecast("inspect", votes).out
    for words in ("rows worth reading", "an answer longer by", "losses"):
        assert words in out
    found = json.loads(votecast("inspect", votes, "--json", "-").out)
    assert {"encoding", "length_outcomes", "matrix", "examples", "outcomes"} <= set(found)
