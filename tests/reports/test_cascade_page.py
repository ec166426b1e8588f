"""Test the cascade page: costs, savings and escaped names."""

from __future__ import annotations

from typing import Any

import pytest
from tests.reports.pages import charts_of, sections_of, tables_of, words_of

from votecast.metrics import Figure
from votecast.reports.cascade_page import cascade_page
from votecast.reports.html import render


def found(low: float | None = -0.001) -> dict[str, Any]:
    """Return the record of a cascade of two judges."""
    points = [
        {
            "goes_on": [share],
            "log_loss": 1.0 + (1 - share) / 10,
            "cost": {"value": (1 - share) / 10, "low": low, "high": None if low is None else 0.2},
            "seconds_per_1000": 1 + 20 * share,
            "speed_up": 20 / (1 + 20 * share),
        }
        for share in (1.0, 0.5, 0.0)
    ]
    judges = [
        {"label": label, "name": label, "hash": "1f" * 32, "seconds_per_1000": seconds, "log_loss": loss}
        for label, seconds, loss in (("<fast>", 1.0, 1.1), ("slow", 20.0, 1.0))
    ]
    about = {"goal": "lose at most 0.06 log loss against the last judge", "rows": 100, "prompts": 90}
    about |= {"thresholds": [0.9], "remarks": ["<fast> is odd"]}
    return about | {"judges": judges, "frontier": points, "chosen": 1, "measured": points[1]}


def test_the_page_holds_the_frontier_as_charts_and_table() -> None:
    document = cascade_page(found(), name="mine", hash="2e" * 32)
    sections = sections_of(document)
    assert list(sections) == ["frontier", "judges"]
    scatter, losses = charts_of(sections["frontier"]).values()
    assert [words_of(name) for name in scatter.iter("li")] == ["cascade", "chosen", "alone"]
    assert "cost: 3 points from 0.952 to 20.0" in words_of(losses)
    (table,) = tables_of(sections["frontier"])
    assert [row[0] for row in table] == ["", "", "chosen", ""]
    assert table[2][1:5] == ["50.0%", "1.0500", "+0.0500", "-0.0010 to +0.2000"]
    assert len(tables_of(sections["judges"])) == 1
    assert "50% of rows are passed on" in document.summary[0].text
    assert document.title == "Cascade mine"
    assert "chosen on other prompts: log loss +0.0500 (95% CI -0.0010 to +0.2000)" in document.summary[1].text
    assert [(metric.name, metric.value) for metric in document.metrics][:1] == [
        ("Log loss above the last judge", Figure(0.05, -0.001, 0.2))
    ]
    assert [remark.level for remark in document.summary] == ["note", "note", "warning"]
    assert ("thresholds", "0.9000 nats of entropy") in document.facts


def test_the_saved_cascade_and_the_cross_fitted_cost_differ() -> None:
    changed = found() | {"chosen": 2, "thresholds": [None]}
    document = cascade_page(changed, name="mine")
    assert document.summary[0].level == "warning"
    assert document.summary[0].text.endswith("20.00 times as fast; no row is passed on from <fast>.")
    assert "50% of rows are passed on from <fast>" in document.summary[1].text
    assert ("thresholds", "no row is passed on") in document.facts


@pytest.mark.parametrize("low", [-0.001, None])
def test_it_becomes_a_page_with_and_without_intervals(low: float | None) -> None:
    page = render(cascade_page(found(low), name="mine"))
    assert "&lt;fast&gt; is odd" in page
    assert "<fast>" not in page
    assert ("-0.0010" in page or "−0.0010" in page) == (low is not None)
