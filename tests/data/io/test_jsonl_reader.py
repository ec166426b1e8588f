"""Test JSON lines: exact values, and each bad line reported by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.data.io import BadRow, RawBatch, open_table, record_blocks
from votecast.errors import DataError

TEXT = st.text(st.sampled_from('ab"\\\n\0{}[]é😀'), max_size=8)
TURNS = st.lists(st.none() | TEXT, max_size=3)
VALUES = st.none() | TEXT | TURNS | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False)
ROWS = st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), min_size=1, max_size=6)


def batches(path: Path, content: bytes | str, **options: Any) -> list[RawBatch]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with open_table(path, **options) as stream:
        return list(stream)


def rows(path: Path, content: bytes | str, **options: Any) -> list[dict[str, Any]]:
    return [row for batch in batches(path, content, **options) for row in batch.table.to_pylist()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "votes.jsonl"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('{"a": "2020-01-01"}', "2020-01-01"),
        ('{"a": [null, "x"]}', [None, "x"]),
        ('{"a": ["2020-01-01 10:00:00"]}', ["2020-01-01 10:00:00"]),
        ('{"a": 12345678901234567890}', "12345678901234567890"),
        ('{"a": -9223372036854775808}', -(2**63)),
        ('{"a": 9223372036854775808}', str(2**63)),
        ('{"a": ' + "9" * 5000 + "}", "9" * 5000),
        ('{"a": "\\u0000"}', "\0"),
        ('{"a": "\\ud83d\\ude00"}', "😀"),
        ('{"a": "\\/"}', "/"),
        ('{"a": []}', []),
        ('{"a": {}}', {}),
        ('{"a": [{"content": "x"}, {"content": null}]}', [{"content": "x"}, {"content": None}]),
    ],
)
def test_values_are_kept(path: Path, line: str, value: Any) -> None:
    assert rows(path, line + "\n") == [{"a": value}]


def test_numbers_a_float_would_round_are_kept_as_text(path: Path) -> None:
    assert rows(path, '{"id": 12345678901234567}\n{"id": 1.5}\n') == [{"id": "12345678901234567"}, {"id": "1.5"}]


def test_not_a_number_is_read(path: Path) -> None:
    (row,) = rows(path, '{"a": NaN}\n')
    assert row["a"] != row["a"]


def test_empty_lines_and_carriage_returns_are_passed_over(path: Path) -> None:
    found = batches(path, '\ufeff\n{"a": 1}\r\n\r\n   \n{"a": 2}')
    assert [batch.table.to_pydict() for batch in found] == [{"a": [1, 2]}]
    assert found[0].rows.tolist() == [1, 2]


def test_texts_and_lists_in_one_column_are_kept_as_json(path: Path) -> None:
    (batch,) = batches(path, '{"a": "x"}\n{"a": null}\n{"a": ["y"]}\n{"a": "[]"}\n{"a": 1}\n')
    assert (batch.rows.tolist(), batch.encoded) == ([1, 2, 3, 4, 5], {"a"})
    assert [cell and json.loads(cell) for cell in batch.table["a"].to_pylist()] == ["x", None, ["y"], "[]", 1]


def test_types_that_alternate_make_one_batch(path: Path) -> None:
    values = ["x", ["y"], {"z": 1}, 2]
    (batch,) = batches(path, "".join(json.dumps({"a": values[n % 4]}) + "\n" for n in range(2000)))
    assert [json.loads(cell) for cell in batch.table["a"].to_pylist()] == values * 500


def test_objects_with_a_new_key_in_each_row_are_kept_as_json(path: Path) -> None:
    (batch,) = batches(path, "".join(json.dumps({"a": {f"k{n}": n}}) + "\n" for n in range(2000)))
    assert [json.loads(cell) for cell in batch.table["a"].to_pylist()] == [{f"k{n}": n} for n in range(2000)]


def test_a_new_key_in_each_row_is_refused_beyond_a_limit(path: Path) -> None:
    lines = [json.dumps({f"k{n}": n}) + "\n" for n in range(1001)]
    assert len(rows(path, "".join(lines[:1000]))) == 1000
    with pytest.raises(DataError, match="more than 1,000 columns"):
        rows(path, "".join(lines))


def test_keys_are_counted_over_all_blocks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("votecast.data.io.byte_source.BATCH_BYTES", 1024)
    monkeypatch.setattr(record_blocks, "LEAST_READ", 16)
    with pytest.raises(DataError, match="more than 1,000 columns"):
        rows(path, "".join(json.dumps({f"k{n}": "x" * 100}) + "\n" for n in range(1001)))


def test_mixed_types_are_kept_as_json(path: Path) -> None:
    talk = [{"role": "user", "content": "hé"}, {"role": "assistant", "content": [{"type": "text", "text": "x"}]}]
    (batch,) = batches(path, json.dumps({"talk": talk, "id": 1}) + "\n")
    assert batch.encoded == {"talk"}
    assert json.loads(batch.table["talk"][0].as_py()) == talk


def test_bad_lines_are_set_aside(path: Path) -> None:
    bad: list[BadRow] = []
    content = b'{"a": 1}\n{"a": \n\n[1]\n{"a": "\xff"}\n{"a": 2, "a": 3}\n{"a": 4}\n'
    (batch,) = batches(path, content, on_bad_row=bad.append)
    assert (batch.rows.tolist(), batch.table["a"].to_pylist()) == ([1, 6], [1, 4])
    assert [(row.row, row.column) for row in bad] == [(2, None), (3, None), (4, None), (5, "a")]


def test_repairs_are_counted_by_row(path: Path) -> None:
    (batch,) = batches(path, '{"a": "x"}\n{"a": "\\ud83d"}\n{"\\ude00": "a\tb"}\n')
    assert batch.repairs == {
        "lone surrogate replaced by U+FFFD": [2, 3],
        "bare control character inside a JSON string kept": [3],
    }
    assert batch.table.to_pylist()[1:] == [{"a": "\ufffd", "\ufffd": None}, {"a": None, "\ufffd": "a\tb"}]


def test_keys_may_first_appear_late(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("votecast.data.io.byte_source.BATCH_BYTES", 16)
    monkeypatch.setattr(record_blocks, "LEAST_READ", 8)
    monkeypatch.setattr("votecast.data.io.byte_source.HEAD_BYTES", 8)
    lines = [{"a": 1}, {"a": 2.5}, {"b": [None, "x"]}, {"b": ["y"], "c": "2020-01-01"}, {"c": "later"}, {"a": "text"}]
    found = rows(path, "".join(json.dumps(each) + "\n" for each in lines))
    assert [{key: value for key, value in row.items() if value is not None} for row in found] == lines


def test_many_brackets_are_no_nesting(path: Path) -> None:
    text = "[{" * 5000
    assert rows(path, json.dumps({"a": [text, "]"]}) + "\n") == [{"a": [text, "]"]}]


def test_an_array_of_objects_is_read(tmp_path: Path) -> None:
    values = [{"a": i, "b": ["[x", None]} for i in range(100)]
    for indent in (None, 2):
        found = batches(tmp_path / "votes.json", json.dumps(values, indent=indent))
        assert [row for batch in found for row in batch.table.to_pylist()] == values
        assert [row for batch in found for row in batch.rows] == list(range(1, 101))
    assert rows(tmp_path / "votes.json", "[]") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"a": 1}, {"a": ]', "row 2"),
        ('[{"a": 1}, {"a": 2}', "row 2.*truncated"),
        ('[{"a": 1} {"a": 2}]', "row 1.*Extra data"),
        ('[{"a": 1},, {"a": 2}]', "row 2: there is nothing before"),
        ('[{"a": 1}, ]', "row 2: there is nothing before"),
        ('[{"a": 1}, {"a": [1}]', "row 2: there is a } that closes no bracket"),
        ('[{"a": "x\ny"}]', "row 1: a text holds a line end"),
        ('[{"a": 1}] x', "continues after its array"),
        ("[1, 2]", "row 1.*a number"),
        ("[" * 100_000, "row 1.*truncated"),
        ("[" * 100_000 + "]" * 100_000, "row 1.*nested"),
    ],
)
def test_a_damaged_array_names_the_row(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        batches(tmp_path / "votes.json", content)


def test_bad_elements_of_an_array_are_set_aside(tmp_path: Path) -> None:
    bad: list[BadRow] = []
    content = b'[{"a": 1}, 2, {"a": tru}, {"a": "\xff"}, {"a": 5}]'
    (batch,) = batches(tmp_path / "votes.json", content, on_bad_row=bad.append)
    assert (batch.rows.tolist(), batch.table["a"].to_pylist()) == ([1, 5], [1, 5])
    assert [row.row for row in bad] == [2, 3, 4]


@given(ROWS)
def test_every_value_survives(tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "votes.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("votecast.data.io.byte_source.BATCH_BYTES", 64)
        patch.setattr(record_blocks, "LEAST_READ", 16)
        found = batches(path, "".join(json.dumps(each) + "\n" for each in values))
    assert [row for batch in found for row in batch.rows] == list(range(1, len(values) + 1))
    rows = [(row, batch.encoded) for batch in found for row in batch.table.to_pylist()]
    for (got, encoded), value in zip(rows, values, strict=True):
        for key, cell in value.items():
            assert json.loads(got[key] or "null") == cell if key in encoded else _same(got[key], cell)
        assert not any(got[key] is not None for key in got if key not in value)


def _same(got: Any, value: Any) -> bool:
    """Return whether values match; numbers beside texts come as JSON text."""
    return bool(got == value or got == json.dumps(value))


def test_types_are_arrows(path: Path) -> None:
    (batch,) = batches(path, '{"id": 1, "prompt": ["a"], "weight": 0.5}\n')
    assert batch.table.schema.types == [pa.int64(), pa.list_(pa.string()), pa.float64()]
