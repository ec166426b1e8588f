"""Test lengths of responses and their sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.data.battles import Battles
from votecast.features.style import is_right, length_gap

TURNS = st.lists(st.none() | st.text(max_size=20), max_size=3)


@given(st.lists(st.tuples(TURNS, TURNS), min_size=1, max_size=5))
def test_length_gap_is_the_difference_of_log_lengths_and_a_swap_changes_its_sign(answers: list) -> None:
    rows = [{"prompt": "p", "response_a": a, "response_b": b} for a, b in answers]
    battles = Battles.from_rows(rows)
    lengths = np.array([[sum(len(turn or "") for turn in turns) for turns in pair] for pair in answers])
    gap = length_gap(battles)
    assert np.allclose(gap, np.log1p(lengths[:, 0]) - np.log1p(lengths[:, 1]))
    assert np.array_equal(length_gap(battles.swapped()), -gap)


@pytest.mark.parametrize(
    ("claim", "right"),
    [
        ("12+30=42", True),
        ("7-9=-2", True),
        ("10/3=3.33", True),
        ("10/3=3.4", False),
        ("1/0=1", False),
        ("6x7=42", True),
    ],
)
def test_sums(claim: str, right: bool) -> None:
    left, result = claim.split("=")
    sign = next(c for c in left[1:] if c in "+-*/x")
    one, two = left[0] + left[1:].split(sign)[0], left[1:].split(sign)[1]
    assert is_right(one, sign, two, result) is right
