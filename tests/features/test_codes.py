import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.errors import DataError
from votecast.features.characters import KIND, TURN_END, Texts, character_tables, read_texts

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


def test_a_long_turn_is_cut_but_its_length_is_known() -> None:
    texts = read_texts([column([["é" * 50]])], 10)
    assert text(texts, 0) == "é" * 10 + TURN_END
    assert texts.written.tolist() == [50]


def test_bytes_that_are_not_utf8_are_refused() -> None:
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
