"""Test stratified samples of a stream."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.data.row_sampling import StratifiedSample
from votecast.errors import ConfigError

LABELS = st.lists(st.sampled_from(["a", "b", "tie", None]), max_size=200)


def draw(labels: list[str | None], fraction: float, seed: int = 0, cuts: tuple[int, ...] = ()) -> np.ndarray:
    sample = StratifiedSample(fraction, seed)
    parts = np.split(np.array(labels, dtype=object), sorted(cuts))
    return np.concatenate([sample.choose(pa.array(part.tolist(), pa.large_string())) for part in parts])


@given(LABELS, st.floats(0.01, 1.0), st.integers(0, 3))
def test_every_label_keeps_its_share_to_within_one_row(labels: list[str | None], fraction: float, seed: int) -> None:
    chosen = draw(labels, fraction, seed)
    for label in set(labels):
        rows = np.array([each == label for each in labels])
        assert abs(chosen[rows].sum() - fraction * rows.sum()) <= 1 + 1e-9


@given(LABELS, st.floats(0.01, 1.0), st.lists(st.integers(0, 200), max_size=4))
def test_the_choice_does_not_depend_on_batches(labels: list[str | None], fraction: float, cuts: list[int]) -> None:
    np.testing.assert_array_equal(draw(labels, fraction), draw(labels, fraction, cuts=tuple(cuts)))


def test_seeds_choose_differently_and_all_rows_are_as_likely() -> None:
    chosen = np.array([draw(["a"] * 20, 0.25, seed) for seed in range(400)])
    assert len({row.tobytes() for row in chosen}) > 100
    np.testing.assert_allclose(chosen.mean(axis=0), 0.25, atol=0.1)


def test_the_whole_fraction_is_everything() -> None:
    assert draw(["a", "b", None, "a"], 1.0).all()


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.1, float("nan")])
def test_fractions_outside_their_range_are_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="allowed is a fraction above 0"):
        StratifiedSample(fraction)
