"""How much longer one answer is than the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from votecast.data.battles import Battles
from votecast.features.style import length_gap

TURNS = st.lists(st.none() | st.text(max_size=20), max_size=3)


@given(st.lists(st.tuples(TURNS, TURNS), min_size=1, max_size=5))
def test_it_is_the_difference_of_log_lengths_and_changes_its_sign_with_the_order(answers: list) -> None:
    rows = [{"prompt": "p", "response_a": a, "response_b": b} for a, b in answers]
    battles = Battles.from_rows(rows)
    lengths = np.array([[sum(len(turn or "") for turn in turns) for turns in pair] for pair in answers])
    gap = length_gap(battles)
    assert np.allclose(gap, np.log1p(lengths[:, 0]) - np.log1p(lengths[:, 1]))
    assert np.array_equal(length_gap(battles.swapped()), -gap)
