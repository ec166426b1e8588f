"""Test the audit page: findings of known faults and complete tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.reports.audit.arena import Oracle, arena, sharpened, tilted
from tests.reports.pages import charts_of, sections_of, tables_of, words_of

from votecast.data.battles import Battles
from votecast.features.style import length_gap
from votecast.judges.evaluate import Predictions
from votecast.reports.audit import audit_judge
from votecast.reports.audit_page import audit_page
from votecast.reports.document import Document
from votecast.types import Probabilities

World = tuple[Battles, Probabilities]


@pytest.fixture(scope="module")
def world() -> World:
    return arena(1500, seed=5)


@pytest.fixture(scope="module")
def truth(world: World) -> Document:
    battles, p = world
    return audit_page(audit_judge(Oracle(battles, p), battles, draws=40))


def _page(
    world: World, q: Probabilities, tilt: Callable[[Battles, Probabilities], Probabilities] | None = None
) -> Document:
    battles, _ = world
    return audit_page(audit_judge(Oracle(battles, q, tilt), battles, draws=40))


def _texts(page: Document, level: str) -> str:
    return "\n".join(remark.text for remark in page.summary if remark.level == level)


def test_a_good_judge_is_recommended_without_a_warning(truth: Document) -> None:
    assert _texts(truth, "warning") == ""
    assert "Top choice matches the vote in" in _texts(truth, "good")
    assert "No miscalibration detected in 1,500 votes" in _texts(truth, "good")
    assert "not correctness" in _texts(truth, "note")


def test_headline_metrics_stand_beside_the_class_prior(world: World, truth: Document) -> None:
    shown = {metric.name: metric for metric in truth.metrics}
    assert list(shown) == ["Log loss", "Accuracy", "Calibration error", "Flip rate", "Votes"]
    assert shown["Log loss"].note.startswith("class prior 1.")
    assert shown["Votes"].value == 1500
    named = audit_page(audit_judge(Predictions(world[0].ids, world[1], name="recipe"), world[0], draws=0), name="mine")
    assert named.title == "Audit of mine"


def test_findings_from_few_rows_have_n_and_interval(world: World) -> None:
    few = world[0].take(range(60))
    page = audit_page(audit_judge(Oracle(few, world[1][:60]), few, draws=40))
    text = "\n".join(remark.text for remark in page.summary)
    assert "of 60 rows (95% CI " in text and ", 95% CI " in text


def test_warnings_come_first(world: World) -> None:
    page = _page(world, sharpened(world[1], np.full(len(world[1]), 4.0)))
    levels = [remark.level for remark in page.summary]
    assert levels == sorted(levels, key=["warning", "good", "note"].index)
    assert levels[0] == "warning"


@pytest.mark.parametrize(
    ("power", "warning"), [(4.0, "Overconfident: "), (-1.0, "Do not use its probabilities on votes like these")]
)
def test_predictions_worse_than_the_class_prior_are_warned_of(world: World, power: float, warning: str) -> None:
    assert warning in _texts(_page(world, sharpened(world[1], np.full(len(world[1]), power))), "warning")


def test_predictions_without_content_are_warned_of(world: World) -> None:
    flat = np.tile(world[0].targets().mean(axis=0), (len(world[1]), 1))
    warned = _texts(_page(world, flat), "warning")
    assert "Not better than the class prior beyond chance" in warned


def test_position_bias_is_warned_of(world: World) -> None:
    page = _page(world, world[1], lambda _, q: tilted(q, np.full(len(q), 0.8)))
    assert "in favour of the answer shown first" in _texts(page, "warning")


def test_a_bias_for_length_is_warned_of(world: World) -> None:
    page = _page(world, world[1], lambda shown, q: tilted(q, 1.2 * length_gap(shown)))
    assert "It overrates length" in _texts(page, "warning")


def test_missing_ties_are_warned_of(world: World) -> None:
    q = world[1] * [1, 1, 0.1]
    page = _page(world, q / q.sum(axis=1, keepdims=True))
    assert "too few ties" in _texts(page, "warning")
    assert "A tie is never its top choice" in _texts(page, "note")


def test_few_prompts_are_warned_of(world: World) -> None:
    battles, p = world
    page = audit_page(audit_judge(Oracle(battles, p), battles[:30], draws=20))
    assert "Only 30 prompts" in _texts(page, "warning")


@pytest.mark.parametrize("rows", [3, 29])
def test_a_handful_of_votes_recommends_nothing(world: World, rows: int) -> None:
    battles, _ = world
    few = battles.take(range(rows))
    page = audit_page(audit_judge(Oracle(few, 0.97 * few.targets() + 0.01), few, draws=20))
    assert f"{rows} votes on " in _texts(page, "warning")
    assert not [word for word in ("Top choice", "agree in", "slice") if word in _texts(page, "good")]
    assert "Only" not in _texts(page, "warning")


def test_a_slice_of_all_rows_is_not_a_finding(world: World) -> None:
    page = _page(world, sharpened(world[1], np.full(len(world[1]), 4.0)))
    assert "most overconfident for 1 turn" not in "\n".join(remark.text for remark in page.summary)


def test_an_undetected_fault_on_few_prompts_is_not_a_finding(world: World) -> None:
    battles, p = world
    few = battles.take(range(120))
    page = audit_page(audit_judge(Oracle(few, p[:120]), few, draws=40))
    assert "No slice" not in _texts(page, "good") and "No bias" not in _texts(page, "good")


def test_without_draws_nothing_is_called_chance(world: World) -> None:
    battles, p = world
    page = audit_page(audit_judge(Oracle(battles, p), battles, draws=0))
    assert "No intervals were computed" in _texts(page, "note")
    assert _texts(page, "warning") == ""


def test_an_order_that_changes_predictions_but_no_top_choice_is_a_note(world: World) -> None:
    def sway(battles: Battles, p: Probabilities) -> Probabilities:
        """Shift even rows to the first response, odd ones to the second."""
        return np.asarray(0.9 * p + 0.1 * np.eye(3)[np.arange(len(battles)) % 2])

    sure = np.tile([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]], (375, 1))
    page = _page(world, sure, sway)
    assert "No position bias" not in _texts(page, "good")
    assert "Predictions change by 10.0% on average with the order of the answers" in _texts(page, "note")


def test_rare_languages_are_one_slice_and_small_slices_are_not_drawn(world: World) -> None:
    battles, p = world
    names = ["en"] * 1450 + ["de"] * 38 + ["fr"] * 2 + ["it"] * 4 + ["es"] * 6
    place = battles.table.column_names.index("language")
    field = battles.table.schema.field("language")
    named = Battles(battles.table.set_column(place, field, pa.array(names, field.type)))
    section = sections_of(audit_page(audit_judge(Oracle(named, p), named, draws=20)))["slices"]
    table = next(rows for rows in tables_of(section) if rows[0][0] == "language")
    assert [(row[0], row[2]) for row in table[1:]] == [("en", "1,450"), ("de", "38"), ("other", "12")]
    drawn = words_of(charts_of(section)["Log loss of each slice"])
    assert "language de" in drawn and "language other" not in drawn
    assert "neither tested nor drawn" in words_of(section)


def test_predictions_alone_leave_the_rest_unknown(world: World) -> None:
    battles, p = world
    page = audit_page(audit_judge(Predictions(battles.ids, p), battles, draws=10))
    assert "predictions for one order only" in _texts(page, "note")
    assert "could not be checked" in _texts(page, "note")
    assert page.title == "Audit of unnamed predictions"


def test_leaks_are_warned_of(world: World) -> None:
    battles, p = world

    class Leaking(Oracle):
        class prompt_hashes:  # noqa: N801
            @staticmethod
            def check(shown: Any, *, allow: bool) -> np.ndarray:
                return np.arange(7 if allow else 0)

    page = audit_page(audit_judge(Leaking(battles, p), battles[:60], allow_leak=True, draws=5))
    assert "7 of 60 rows share prompts with the judge's training data" in _texts(page, "warning")


def test_sections_come_in_the_order_a_reader_needs(truth: Document) -> None:
    wanted = ["figures", "reliability", "decisions", "slices", "position", "style", "models", "truncation"]
    assert list(sections_of(truth)) == [*wanted, "mistakes", "closest", "judge", "method"]


def test_every_row_of_every_table_has_a_cell_for_each_column(truth: Document) -> None:
    tables = [table for section in sections_of(truth).values() for table in tables_of(section)]
    assert len(tables) > 8
    for table in tables:
        assert {len(row) for row in table} == {len(table[0])}
    heat = tables_of(sections_of(truth)["decisions"])[0]
    assert [sum(int(cell.removesuffix("%")) for cell in row[1:]) for row in heat[1:]] == pytest.approx([100] * 3, abs=1)


def test_every_figure_that_readers_compare_is_drawn(truth: Document) -> None:
    charts = {title: kind for section in sections_of(truth).values() for title, kind in charts_of(section).items()}
    assert {figure.attrib["class"] for figure in charts.values()} == {"item reliability", "item dots"}
    assert len(list(charts["Bias beyond the votes"].iter("circle"))) == 20
    assert "The top choice is right" in charts and "Log loss of each slice" in charts


def test_mistakes_show_the_texts_side_by_side(truth: Document, world: World) -> None:
    first = next(sections_of(truth)["mistakes"].iter("article"))
    battles, _ = world
    row = battles.ids.index(words_of(first.find("h3")).split("Row ")[1])
    shown = [each.text for each in first.iter("div") if each.get("class") == "text"]
    assert [text[:50] for text in shown] == [
        battles.text(name)[row][:50] for name in ("prompt", "response_a", "response_b")
    ]
    facts = {words_of(fact.find("dt")): words_of(fact.find("dd")) for fact in first.find("dl")}
    assert facts["vote"] in ("a", "b", "tie")


def test_binary_votes_leave_ties_out_of_the_page(world: World) -> None:
    battles, p = world
    kept = np.flatnonzero(battles.targets()[:, 2] == 0)[:300]
    page = audit_page(audit_judge(Oracle(battles, p), battles.take(kept), draws=10))
    assert "No tie was voted" in _texts(page, "note")
    tables = tables_of(sections_of(page)["slices"])
    assert tables and all("tie gap" not in table[0] for table in tables)


def test_the_page_can_be_written(truth: Document) -> None:
    from votecast.reports.html import render

    text = render(truth)
    assert "Most confident mistakes" in text
    assert "NaN" not in text
    assert "nan " not in text
