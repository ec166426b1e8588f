"""Test the votes page: findings, groups, duplicates and odd inputs."""

from __future__ import annotations

from typing import Any

from tests.reports.pages import Page, sections_of, tables_of

from votecast.data.battles import Battles
from votecast.data.exploration import explore
from votecast.reports.document import Document
from votecast.reports.html import render
from votecast.reports.votes_page import votes_page


def document_of(rows: list[dict[str, Any]]) -> Document:
    base = {"prompt": "Why is the sky blue?", "response_a": "Rayleigh scattering.", "response_b": "Because."}
    votes = Battles.from_rows([base | row for row in rows])
    return votes_page(explore(votes), votes, source="votes.csv")


def page_of(rows: list[dict[str, Any]]) -> Page:
    return Page(render(document_of(rows)))


def test_a_page_about_many_things() -> None:
    rows = [
        {
            "id": str(n),
            "prompt": f"Question {n}, please?",
            "winner": "aab"[n % 3],
            "model_a": "m",
            "model_b": "n",
        }
        for n in range(30)
    ]
    rows += [{"id": "damaged", "response_a": "bro\ufffdken", "winner": "tie", "model_a": "m", "model_b": "o"}]
    page = page_of(rows)
    assert page.faults == []
    for words in (
        "31 of 31 rows have a vote",
        "Only 31 votes",
        "character that could not be encoded (U+FFFD)",
        "text that was damaged on its way",
        "Answer a: m",
        "votes.csv",
        "bro\ufffdken",
        "Win rate of the model of the row",
    ):
        assert words in page.text, words


def test_disagreement_is_a_finding() -> None:
    page = page_of([{"id": "one", "winner": "a"}, {"id": "two", "winner": "b"}])
    assert "Two votes on one pair agree in 0% of cases (2 votes on 1 pairs" in page.text
    assert "no judge can be expected" not in page.text
    rows = [{"id": f"{n} {w}", "prompt": f"Question {n}?", "winner": w} for n in range(30) for w in "aab"]
    assert "Two votes on the same pair agree in 33% of cases" in page_of(rows).text
    assert "one, two" in page.text


def test_sides_and_lengths_out_of_balance_are_warned_of() -> None:
    page = page_of([{"id": str(n), "prompt": f"Question {n}?", "winner": "a"} for n in range(40)])
    assert "The sides are not balanced: the first answer wins 100.0% of 40 decided votes" in page.text
    assert "The longer answer wins 100.0% of 40 decided votes" in page.text
    assert "No vote is for b" in page.text
    assert "No tie was voted" in page.text


def test_one_prompt_asked_again_and_again_is_warned_of() -> None:
    page = page_of([{"id": str(n), "response_a": f"Answer {n}", "winner": "ab"[n % 2]} for n in range(20)])
    assert "One prompt and its near-duplicates make up 100% of the rows" in page.text
    assert "20 rows share one prompt" in page.text


def test_votes_without_anything_still_make_a_page() -> None:
    for rows in ([], [{}]):
        page = page_of(rows)
        assert page.faults == []
        assert "no judge can be trained or evaluated on them" in page.text


def test_texts_of_strangers_are_shown_and_not_run() -> None:
    page = page_of([{"winner": "a", "prompt": "<script>alert(1)</script>", "model_a": "</style>", "model_b": "n"}])
    assert "<script>alert(1)</script>" in page.text
    assert page.all("script") == []


def test_small_groups_stand_together_and_turns_in_their_order() -> None:
    languages = ["en"] * 30 + ["de"] * 12 + ["fr", "it", "es"]
    rows = [
        {"id": str(n), "prompt": [f"Question {n}?"] * (1 + (n + 1) % 3), "winner": "ab"[n % 2], "language": language}
        for n, language in enumerate(languages)
    ]
    languages_table, turns = tables_of(sections_of(document_of(rows))["groups"])
    assert [row[0] for row in languages_table] == ["language", "en", "de", "3 others"]
    assert languages_table[-1][1:] == ["3", "66.7%", "33.3%", "0.0%"]
    assert [row[0] for row in turns] == ["turns of the prompt", "1", "2", "3"]


def test_few_votes_are_not_called_balanced() -> None:
    page = page_of([{"id": str(n), "prompt": f"Question {n}?", "winner": "ab"[n % 2]} for n in range(30)])
    assert (
        "30 decided votes are too few to show whether one side wins more often (50.0% for the first answer, 95% CI"
        in page.text
    )
    assert "The sides are balanced" not in page.text
