"""Test duplicate row names."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from votecast.data.row_checks import IdIndex


@given(st.lists(st.lists(st.text(max_size=2), max_size=8), max_size=12))
def test_it_agrees_with_a_dictionary(batches: list[list[str]]) -> None:
    index, seen, row = IdIndex(), dict[str, int](), 1
    for batch in batches:
        rows = np.arange(row, row + len(batch))
        expected = {}
        for position, name in enumerate(batch):
            if name in seen:
                expected[position] = seen[name]
            seen.setdefault(name, row + position)
        assert index.repeated(batch, rows) == expected
        row += len(batch)
