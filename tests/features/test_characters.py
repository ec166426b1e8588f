"""Runs of characters: within words and their boundaries, within one text, the same wherever they stand."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.features.characters import BUCKETS, hashed_runs, read_texts


def runs(*texts: str) -> np.ndarray:
    column = pa.chunked_array([pa.array([[text] for text in texts], pa.list_(pa.large_string()))])
    return hashed_runs(read_texts([column], 10_000), 0)


def expected(text: str) -> set[str]:
    """Every run of two to four characters that holds letters only, but for one boundary before or after them."""
    found = set()
    for word in text.lower().split():
        padded = f" {word} "
        for start in range(len(padded) - 1):
            for size in (2, 3, 4):
                run = padded[start : start + size]
                inner = run[1:-1] if size > 2 else run[1:]
                if len(run) == size and " " not in inner:
                    found.add(run)
    return found


@pytest.mark.parametrize("text", ["a", "of", "cat", "whale song", "Über naïve", "一二三"])
def test_runs_of_words_and_their_boundaries_are_counted(text: str) -> None:
    assert np.count_nonzero(runs(text)) == len(expected(text))


def test_words_that_share_a_stem_are_alike_and_others_are_not() -> None:
    swim, swims, sky = runs("swimming", "swimmers", "blue sky").astype(np.float64)
    assert swim @ swims > 0.4 > swim @ sky
    assert np.linalg.norm([swim, swims, sky], axis=1) == pytest.approx(1.0, abs=1e-2)


def test_case_punctuation_spaces_and_order_of_words_change_nothing() -> None:
    assert np.array_equal(*runs("Red  whale!", "(whale)\n\nred"))


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), min_size=1, max_size=4))
def test_a_text_has_the_same_runs_among_others_and_alone(texts: list[str]) -> None:
    assert np.array_equal(runs(*texts), np.concatenate([runs(text) for text in texts]))


def test_texts_without_letters_have_none() -> None:
    assert not runs("", "?! ...").any()
    assert runs().shape == (0, BUCKETS)
