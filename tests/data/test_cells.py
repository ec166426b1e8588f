"""Test JSON cells against `json.loads`; only lone surrogates differ."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from votecast.data.cells import (
    CONTROL_CHARACTER,
    LONE_SURROGATE,
    PYTHON_STYLE,
    CellError,
    load_json,
    load_turns,
    looks_like_list,
    mend,
    parse_cells,
)


def cells(*texts: str) -> pa.Array:
    return pa.array(texts, pa.large_string())


@pytest.mark.parametrize(
    ("cell", "turns"),
    [
        ('["a", "b"]', ["a", "b"]),
        ("[]", []),
        ("[null]", [None]),
        (' [ "a" ,\n null ] ', ["a", None]),
        (r'["\ud83d\ude00"]', ["😀"]),
        ('["😀 é 日本"]', ["😀 é 日本"]),
        (r'["a\/b"]', ["a/b"]),
        (r'["\u0000"]', ["\0"]),
        (r'["\"\\\b\f\n\r\t"]', ['"\\\b\f\n\r\t']),
        (r'["null", "[\"x\"]"]', ["null", '["x"]']),
        ('["\x7f\u2028"]', ["\x7f\u2028"]),
        ('["2020-01-01"]', ["2020-01-01"]),
    ],
)
def test_valid_json_is_read_without_repair(cell: str, turns: list[str | None]) -> None:
    found = parse_cells(cells(cell))
    assert found.turns.to_pylist() == [turns]
    assert not found.bad
    assert not found.repairs


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "not JSON"),
        ("plain text", "not JSON"),
        ("['a", "not JSON"),
        ("['a', ...]", "not JSON"),
        (r"['\q']", "not JSON"),
        (r"[\"a\"]", "its quotes are escaped by backslashes"),
        ('["a"', "not JSON"),
        ('["a"] ["b"]', "not JSON"),
        ('["x"]}\n{"c":["y"]', "not JSON"),
        ('["a"],"c":["b"]', "not JSON"),
        ('["a"]}\0', "not JSON"),
        ('\ufeff["a"]', "not JSON"),
        (r'["\q"]', "not JSON"),
        ("null", "the cell is null"),
        ('"a"', "the cell is a string"),
        ('{"a": "b"}', "the cell is an object"),
        ("7", "the cell is a number"),
        ("true", "the cell is a boolean"),
        ("[1]", "turn 1 is a number"),
        ('["a", ["b"]]', "turn 2 is a list"),
        ('[{"role": "user"}]', "turn 1 is an object"),
        ("[NaN]", "turn 1 is a number"),
        ("[" * 200_000 + "]" * 200_000, "nested too deeply"),
        ("[" + "9" * 5000 + "]", "not JSON"),
    ],
)
def test_refuses_anything_but_lists_of_strings(cell: str, reason: str) -> None:
    found = parse_cells(cells('["before"]', cell, '["after"]'))
    assert found.turns.to_pylist() == [["before"], None, ["after"]]
    assert list(found.bad) == [1]
    assert reason in found.bad[1]


def test_a_cell_cannot_smuggle_in_a_row_for_one_that_is_missing() -> None:
    found = parse_cells(cells('["x"]}\n{"c":["y"]', '["a"]}\0 rest', '["b"]'))
    assert sorted(found.bad) == [0, 1]
    assert found.turns.to_pylist() == [None, None, ["b"]]


@pytest.mark.parametrize("cell", [r'["a\ud83d"]', r'["\udc00\ud83d!"]', r'["\ud83d\ud83d\ude00"]'])
def test_lone_surrogates_become_replacement_characters_and_pairs_are_joined(cell: str) -> None:
    found = parse_cells(cells(cell, '["fine"]'))
    assert found.repairs == {LONE_SURROGATE: [0]}
    assert found.turns[0].as_py() == [mend(json.loads(cell)[0], set())]
    found.turns.validate(full=True)


def test_bare_control_characters_are_kept_and_counted() -> None:
    found = parse_cells(cells('["a\nb"]', '["c\0"]', '["d\te"]', '["f"]'))
    assert found.turns.to_pylist() == [["a\nb"], ["c\0"], ["d\te"], ["f"]]
    assert found.repairs == {CONTROL_CHARACTER: [0, 1, 2]}


def test_no_cells_and_slices_of_cells() -> None:
    assert len(parse_cells(cells()).turns) == 0
    many = cells(*(json.dumps([str(i)]) for i in range(300)))
    assert parse_cells(many.slice(100, 150)).turns.to_pylist() == [[str(i)] for i in range(100, 250)]


def test_a_large_cell_is_read() -> None:
    text = 'ä"\\' * 3_000_000
    assert parse_cells(cells('["a"]', json.dumps([text]), "[]")).turns.to_pylist() == [["a"], [text], []]


TEXTS = st.text(st.characters(codec=None, categories=None), max_size=12)
TURNS = st.lists(st.none() | TEXTS, max_size=4)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def encode(value: object, escape: bool) -> str:
    """Encode as JSON, with or without escapes."""
    text = json.dumps(value, ensure_ascii=escape)
    return text if escape or mend(text, set()) == text else json.dumps(value)


@given(st.lists(st.tuples(TURNS, st.booleans()), max_size=150))
@settings(max_examples=100, deadline=None)
def test_whatever_json_writes_is_read_back(rows: list[tuple[list[str | None], bool]]) -> None:
    written = [encode(turns, escape) for turns, escape in rows]
    found = parse_cells(cells(*written))
    kinds: list[set[str]] = [set() for _ in rows]
    expected = [
        [turn and mend(turn, kind) for turn in json.loads(text)] for text, kind in zip(written, kinds, strict=True)
    ]
    assert found.turns.to_pylist() == expected
    assert found.repairs.get(LONE_SURROGATE, []) == [i for i, kind in enumerate(kinds) if kind]
    assert not found.bad


@given(
    st.lists(JSON_VALUES.map(json.dumps) | st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=80)
)
@settings(max_examples=100, deadline=None)
def test_the_quick_way_and_the_exact_way_agree(texts: list[str]) -> None:
    found = parse_cells(cells(*texts))
    assert found.turns.to_pylist() == [exact(text)[0] for text in texts]
    assert found.bad == {i: exact(text)[1] for i, text in enumerate(texts) if exact(text)[1]}


def exact(text: str) -> tuple[list[str | None] | None, str]:
    try:
        return load_turns(text)[0], ""
    except CellError as error:
        return None, str(error)


@pytest.mark.parametrize(
    ("cell", "is_list"),
    [
        (b'["a"]', True),
        (b" [] ", True),
        (b"[null]", True),
        (b"[1] is a citation", False),
        (b"[1]", False),
        (b"[see below]", False),
        (b"text", False),
        (b"[" + b"9" * 70_000 + b"]", False),
        (b'["' + b"x" * 70_000 + b'"]', True),
    ],
)
def test_values_that_look_like_lists(cell: bytes, is_list: bool) -> None:
    assert looks_like_list(memoryview(cell)) is is_list


def test_load_json_names_the_fault() -> None:
    with pytest.raises(CellError, match="nested too deeply"):
        load_json("[" * 10**6)
    with pytest.raises(CellError, match="not JSON"):
        load_json("{")


@pytest.mark.parametrize(
    ("cell", "turns"),
    [
        ("['a', None]", ["a", None]),
        ("""["I can't.", 'He said "no".']""", ["I can't.", 'He said "no".']),
        (r"['it\'s\n\xe9\u20ac\\']", ["it's\n\xe9\u20ac\\"]),
        ("['a' 'b'\n \"c's\"]", ["a", "b", "c's"]),  # numpy puts no commas
        ("array(['a', None], dtype=object)", ["a", None]),
        ("['a',]", ["a"]),
    ],
)
def test_lists_in_pythons_notation_are_read_and_counted(cell: str, turns: list[str | None]) -> None:
    assert looks_like_list(cell.encode())
    found = parse_cells(cells('["before"]', cell))
    assert found.turns.to_pylist() == [["before"], turns]
    assert found.repairs == {PYTHON_STYLE: [1]}


@pytest.mark.parametrize("cell", [r"['\x']", r"['\xzz']", r"['\u12']", r"['\q']", "['a'", "{'a': ['b']}]"])
def test_damaged_lists_in_pythons_notation_are_bad_cells(cell: str) -> None:
    assert list(parse_cells(cells(cell)).bad) == [0]
