"""Test arena style features: counts, gaps and swaps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.leaderboard.votes import sized_votes

from votecast.data import Battles
from votecast.features.arena_style import STYLING, answer_styling, styling_gap

MARKS = st.text(alphabet="#-*_`1.[]() \nhtps:/äb", max_size=60)


def rows(*answers: str | list[str | None]) -> Battles:
    return Battles.from_rows([{"prompt": "p", "response_a": a, "response_b": ""} for a in answers])


def counted(answer: str | list[str | None]) -> dict[str, float]:
    return dict(zip(STYLING, answer_styling(rows(answer))[0, 0].tolist(), strict=True))


def test_markdown_is_counted_as_arenas_count_it() -> None:
    text = "# One\n## Two\n#no heading\n- item\n* item\n1. first\n **bold** and __bold__ and *not*\n"
    assert counted(text) == {"length": len(text), "headings": 2, "lists": 3, "bold": 2, "code": 0, "links": 0}


def test_code_blocks_are_not_counted() -> None:
    text = "```python\n# comment\n- x\n**kwargs**\n```\nSee [this](https://x.org/a) or http://y.org."
    found = counted(text)
    assert (found["headings"], found["lists"], found["bold"]) == (0, 0, 0)
    assert (found["code"], found["links"]) == (1, 2)


def test_an_open_code_block_counts_as_one() -> None:
    assert counted("```\nx\n```\nand\n```\ny")["code"] == 2


def test_turns_are_counted_together_and_missing_ones_are_empty() -> None:
    assert counted(["# One", None, "# Two"]) == counted("# One") | {"length": 10, "headings": 2}


@given(st.lists(st.tuples(MARKS, MARKS), min_size=1, max_size=5))
def test_swapping_the_responses_changes_the_sign_of_the_gap(answers: list[tuple[str, str]]) -> None:
    battles = Battles.from_rows([{"prompt": "p", "response_a": a, "response_b": b} for a, b in answers])
    gap = styling_gap(battles)
    np.testing.assert_array_equal(styling_gap(battles.swapped()), -gap)
    assert np.abs(gap).max() <= 1


def test_rows_do_not_depend_on_each_other() -> None:
    battles = sized_votes(600)
    np.testing.assert_array_equal(styling_gap(battles)[200:300], styling_gap(battles[200:300]))
    assert styling_gap(battles[:0]).shape == (0, len(STYLING))
