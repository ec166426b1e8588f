"""Test code points, character classes and character n-grams within words."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.errors import DataError
from votecast.features.characters import BUCKETS, KIND, TURN_END, Texts, character_tables, hashed_runs, read_texts

TURNS = pa.list_(pa.large_string())
ROWS = st.lists(st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=12), max_size=3), max_size=4)


def column(rows: list[list[str | None]]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(rows, TURNS)])


def text(texts: Texts, row: int) -> str:
    part = texts.codes[texts.starts[row] : texts.starts[row + 1]]
    return part.astype("<u4").tobytes().decode("utf-32-le")


@given(ROWS)
def test_every_text_is_laid_out_as_it_is_written(rows: list[list[str | None]]) -> None:
    texts = read_texts([column(rows)], 100)
    assert [text(texts, i) for i in range(len(rows))] == ["".join((t or "") + TURN_END for t in row) for row in rows]
    assert texts.turns.tolist() == [len(row) for row in rows]
    assert texts.written.tolist() == [sum(len(t or "") for t in row) for row in rows]
    assert texts.blank.tolist() == [sum(not t for t in row) for row in rows]


def test_columns_follow_one_another_and_slices_are_respected() -> None:
    whole = column([["a"], ["b", "c"], ["d"]])
    texts = read_texts([whole.slice(1, 2), whole.slice(0, 2)], 100)
    assert [text(texts, i).split() for i in range(4)] == [["b", "c"], ["d"], ["a"], ["b", "c"]]


def test_a_long_turn_is_truncated_and_its_length_is_known() -> None:
    texts = read_texts([column([["é" * 50]])], 10)
    assert text(texts, 0) == "é" * 10 + TURN_END
    assert texts.written.tolist() == [50]


def test_bytes_that_are_not_utf8_raise() -> None:
    broken = pa.array([b"\xff\xfe"], pa.large_binary()).view(pa.large_string())
    rows = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), broken)
    with pytest.raises((DataError, pa.ArrowInvalid), match="UTF"):
        read_texts([pa.chunked_array([rows])], 100)


@pytest.mark.parametrize(
    ("character", "kind"),
    [("a", "lower"), ("Z", "upper"), ("é", "latin"), ("ж", "cyrillic"), ("世", "han"), ("か", "kana"), ("。", "stop"),
     ("?", "question"), ("\x00", "space"), ("\n", "newline"), ("😀", "emoji"), ("#", "markup"), ("’", "apostrophe")],
)  # fmt: skip
def test_kinds_of_characters(character: str, kind: str) -> None:
    assert character_tables()[0][ord(character)] == KIND[kind]


def test_lower_case_is_that_of_python_for_three_alphabets() -> None:
    _, table = character_tables()
    for span in (range(0x41, 0x5B), range(0xC0, 0xD7), range(0x391, 0x3A2), range(0x400, 0x430)):
        assert [int(table[c]) for c in span] == [ord(chr(c).lower()) for c in span]


def runs(*texts: str) -> np.ndarray:
    return hashed_runs(read_texts([column([[text] for text in texts])], 10_000), 0)


def expected(text: str) -> set[str]:
    """Return letter runs of two to four characters, with one boundary."""
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


def test_words_with_a_common_stem_are_similar() -> None:
    swim, swims, sky = runs("swimming", "swimmers", "blue sky").astype(np.float64)
    assert swim @ swims > 0.4 > swim @ sky
    assert np.linalg.norm([swim, swims, sky], axis=1) == pytest.approx(1.0, abs=1e-2)


def test_case_punctuation_spaces_and_word_order_are_ignored() -> None:
    assert np.array_equal(*runs("Red  whale!", "(whale)\n\nred"))


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), min_size=1, max_size=4))
def test_runs_do_not_depend_on_other_texts(texts: list[str]) -> None:
    assert np.array_equal(runs(*texts), np.concatenate([runs(text) for text in texts]))


def test_texts_without_letters_have_none() -> None:
    assert not runs("", "?! ...").any()
    assert runs().shape == (0, BUCKETS)
