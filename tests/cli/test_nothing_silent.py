"""Test that what a user would take for granted is said where it does not hold."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from votecast.data import inspection


def test_inspect_names_columns_that_are_not_used(votecast: Callable, tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("id,prompt,response_a,response_b,my_vote\n1,Why?,So.,No.,a\n2,Who?,Me.,You.,b\n")
    ran = votecast("inspect", path)
    assert ran.code == 0, ran.err
    assert "columns that are not used: my_vote" in ran.out
    columns = [f"column_{number}" for number in range(14)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["prompt", "response_a", "response_b", *columns], ["p", "x", "y", *range(14)]])
    ran = votecast("inspect", path)
    assert "column_9 and 4 more" in ran.out


def test_inspect_says_that_languages_are_those_of_a_sample(
    votecast: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "votes.csv"
    rows = [f"What is the weather like in city {number}?,Fine.,Bad." for number in range(12)]
    path.write_text("\n".join(["prompt,response_a,response_b", *rows]))
    assert "sample" not in votecast("inspect", path).out
    monkeypatch.setattr(inspection, "_LANGUAGE_ROWS", 5)
    ran = votecast("inspect", path)
    assert "(by py3langid, in a sample of 5 rows)" in ran.out


@pytest.mark.parametrize("option", ["--prompt", "--a", "--b"])
@pytest.mark.parametrize("text", ["", " \n"])
def test_compare_refuses_an_empty_text(votecast: Callable, option: str, text: str) -> None:
    words = {"--prompt": "Why?", "--a": "So.", "--b": "No."} | {option: text}
    ran = votecast("compare", *(word for pair in words.items() for word in pair))
    assert ran.code == 2
    assert f"{option} is {text!r}; give at least one visible character" in ran.err


@pytest.mark.parametrize("verb", ["predict", "evaluate", "report", "rank", "compare", "rerank"])
def test_help_names_every_bundled_judge(votecast: Callable, verb: str) -> None:
    shown = " ".join(votecast(verb, "--help").out.replace("│", " ").split())
    assert "bundled:baseline" in shown and "bundled:encoder" in shown
