"""Test the leaderboard page."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from tests.leaderboard.test_rank_votes import Oracle
from tests.leaderboard.votes import round_robin, sized_votes, without_votes
from tests.reports.pages import charts_of, sections_of, tables_of, words_of

from votecast.leaderboard import leaderboard
from votecast.reports.html import write_page
from votecast.reports.leaderboard_page import MOST_MODELS, leaderboard_page

BARE = ["model_a", "model_b", "winner"]


def test_scores_pairs_and_how_to_read_are_there() -> None:
    sections = sections_of(leaderboard_page(leaderboard(sized_votes(600))))
    assert list(sections) == ["scores", "pairs", "how-to-read"]
    dots = charts_of(sections["scores"])["Scores"]
    assert len([line for line in dots.iter("line") if line.attrib["class"].startswith("span")]) == 6
    captions = [words_of(each) for each in sections["pairs"].iter("p") if each.get("class") == "caption"]
    assert captions == ["Share of battles won, in %", "Predicted by the scores, in %"]
    won = tables_of(sections["pairs"])[0]
    assert won[0][1:] == [row[0] for row in won[1:]] and won[1][1] == "" and won[1][2] != ""


def test_style_and_votes_against_both_have_sections_of_their_own() -> None:
    assert "style" in sections_of(leaderboard_page(leaderboard(sized_votes(600), style_control=True)))
    frame = pd.DataFrame([*round_robin(), *[("m2", "m3", "both_bad")] * 5], columns=BARE)
    page = leaderboard_page(leaderboard(frame, both_bad="own"))
    assert "both-bad" in sections_of(page)
    assert ("votes against both", "5, an outcome of their own") in page.facts


def test_rankings_by_predictions_warn_and_report_their_weight() -> None:
    pairs = without_votes(sized_votes(600, seed=1))
    page = leaderboard_page(leaderboard(None, pairs=pairs, judge=Oracle(1.0)))
    assert any(remark.level == "warning" and "ranking of the judge" in remark.text for remark in page.summary)
    page = leaderboard_page(leaderboard(sized_votes(600), pairs=pairs, judge=Oracle(1.0)))
    assert any("pairs have weight" in remark.text or "too little" in remark.text for remark in page.summary)


def test_many_models_show_only_the_best_and_report_it() -> None:
    frame = pd.DataFrame(round_robin(MOST_MODELS + 4, 1), columns=BARE)
    section = sections_of(leaderboard_page(leaderboard(frame)))["pairs"]
    assert len(tables_of(section)[0]) == 1 + MOST_MODELS
    assert f"The best {MOST_MODELS} of {MOST_MODELS + 4} models are shown" in words_of(section)


def test_names_of_models_cannot_break_out(tmp_path: Path) -> None:
    frame = pd.DataFrame(round_robin(), columns=BARE).replace("m0", "<script>alert(1)</script>")
    write_page(leaderboard_page(leaderboard(frame)), tmp_path / "board.html")
    assert "<script" not in (tmp_path / "board.html").read_text("utf-8")


def test_votes_on_few_prompts_are_warned_of() -> None:
    votes = sized_votes(600)[:40]
    page = leaderboard_page(leaderboard(votes.take(list(range(20)) * 2), disconnected="largest"))
    assert any("independent clusters only" in remark.text for remark in page.summary)


def test_shares_of_few_battles_are_not_shown_as_shares() -> None:
    rows = [*round_robin(4, 6), *[("m0", "m4", "a")] * 2, ("m0", "m4", "b")]
    section = sections_of(leaderboard_page(leaderboard(pd.DataFrame(rows, columns=BARE))))["pairs"]
    won = tables_of(section)[0]
    assert "fewer than 10 times" in words_of(section)
    assert sorted(won[0][1:]) == ["m0", "m1", "m2", "m3"] and won[1][2].endswith("%")


def test_the_summary_explains_the_ranking() -> None:
    rows = [*round_robin(), *[("m9", "m0", "a")] * 12]
    page = leaderboard_page(leaderboard(pd.DataFrame(rows, columns=BARE)))
    assert any("bound the strengths of m9: " in remark.text for remark in page.summary)
    texts = {"prompt": "Why?", "response_a": "1", "response_b": "2"}
    frame = pd.DataFrame(round_robin(), columns=BARE).assign(**texts)
    one = leaderboard_page(leaderboard(frame))
    assert any(remark.level == "warning" and "one prompt" in remark.text for remark in one.summary)


def test_a_tie_parameter_without_ties_has_no_interval() -> None:
    frame = pd.DataFrame([row for row in round_robin() if row[2] != "tie"], columns=BARE)
    facts = dict(leaderboard_page(leaderboard(frame, method="davidson")).facts)
    assert facts["ties (nu)"] == "0.000"
