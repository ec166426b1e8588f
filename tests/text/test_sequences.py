from __future__ import annotations

import numpy as np
import pytest

from votecast.errors import ConfigError
from votecast.text.sequences import Sequences


@pytest.fixture
def rows() -> Sequences:
    ids = Sequences.from_lists([[1, 2, 3], [], [4], [5, 6]])
    return Sequences(ids.ids, ids.offsets, np.array([0, 0, 1, 1, 0, 1], np.int8))


def test_rows_can_be_taken_in_any_order_and_more_than_once(rows: Sequences) -> None:
    taken = rows.take([3, 1, 0, 3])
    assert [taken[i].tolist() for i in range(4)] == [[5, 6], [], [1, 2, 3], [5, 6]]
    assert taken.types is not None
    assert taken.types.tolist() == [0, 1, 0, 0, 1, 0, 1]


def test_parts_are_put_one_after_the_other(rows: Sequences) -> None:
    both = Sequences.concat([rows, rows.take([2])])
    assert len(both) == 5
    assert both[4].tolist() == [4]
    assert len(Sequences.concat([])) == 0
    with pytest.raises(ConfigError, match="segment ids"):
        Sequences.concat([rows, Sequences.from_lists([[1]])])


def test_padding_rounds_the_width_up_and_masks_the_tokens(rows: Sequences) -> None:
    padded = rows.padded([0, 2], pad_id=9, multiple=4)
    assert padded.ids.tolist() == [[1, 2, 3, 9], [4, 9, 9, 9]]
    assert padded.mask.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
    assert padded.types is not None
    assert padded.types.tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
    assert padded.ids.dtype == padded.mask.dtype == np.int64


def test_padding_on_the_left_to_a_fixed_width(rows: Sequences) -> None:
    padded = rows.padded([3, 1], pad_id=9, to=3, side="left")
    assert padded.ids.tolist() == [[9, 5, 6], [9, 9, 9]]
    assert padded.mask.tolist() == [[0, 1, 1], [0, 0, 0]]


def test_a_row_longer_than_the_fixed_width_raises(rows: Sequences) -> None:
    with pytest.raises(ConfigError, match="3 tokens does not fit in 2"):
        rows.padded([0], pad_id=0, to=2)
