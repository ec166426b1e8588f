"""Decode JSON rows one by one, each line judged on its own, and build tables of whatever types they hold.

The reader of JSON lines falls back to these; the JSON cells of CSV files share the names of the repairs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json
from numpy.typing import NDArray

from votecast.data.io.stream import RawBatch, encoding_problem

MOST_BRACKETS = 500
"""Opening brackets in one line up to which its nesting need not be measured."""
DEEPEST = 64
MOST_KEYS = 200
"""Keys up to which Arrow reads objects: it makes a column of each, as long as the block, however few rows have it."""
LONE_SURROGATE = "lone surrogate replaced by U+FFFD"
CONTROL_CHARACTER = "bare control character inside a JSON string kept"
SURROGATE = re.compile("[\ud800-\udfff]")

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
# Every integer of so many digits fits into 64 bits.
_INT64_DIGITS = 18


class CellError(ValueError):
    """A line or a cell does not hold what it should; `column` names the column at fault where it is known."""

    def __init__(self, message: str, column: str | None = None) -> None:
        super().__init__(message)
        self.column = column


def read_json(text: bytes | pa.Buffer, schema: pa.Schema | None) -> pa.Table:
    """Parse JSON lines with Arrow, as one block; without a schema types are inferred, keys beyond one are an error."""
    unexpected = "infer" if schema is None else "error"
    return pa_json.read_json(
        pa.BufferReader(text),
        read_options=pa_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        parse_options=pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=unexpected),
        memory_pool=pa.system_memory_pool(),  # gives back what it grew by; the default pool keeps a third on top
    )


def decode_line(line: bytes) -> tuple[dict[str, object], list[str]]:
    """Decode one object, integers beyond 64 bits as text; also return the kinds of repair that were needed.

    Raises:
        CellError: If the line is not one JSON object, or is nested too deeply.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CellError(encoding_problem(line, error)) from error
    if text.count("[") + text.count("{") > DEEPEST:  # brackets inside strings do not nest
        bare = np.frombuffer(_STRING.sub("", text).encode("utf-8", "replace"), dtype=np.uint8)
        steps = np.isin(bare, list(b"[{")).astype(np.int64) - np.isin(bare, list(b"]}"))
        if (depth := int(np.cumsum(steps).max(initial=0))) > DEEPEST:
            raise CellError(f"the value is nested {depth} deep, at most {DEEPEST} is read")
    # Strict first: only a bare control character is forgiven, and reported.
    repairs = []
    try:
        try:
            value = _STRICT.decode(text)
        except json.JSONDecodeError as error:
            if not error.msg.startswith("Invalid control character"):
                raise
            value = _LENIENT.decode(text)
            repairs.append(CONTROL_CHARACTER)
    except json.JSONDecodeError as error:
        raise CellError(_not_json(text, error)) from error
    if not isinstance(value, dict):
        names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
        raise CellError(f"the line holds {names.get(type(value), 'a number')}, expected is one object {{…}} a line")
    if "\\u" in text and (repaired := _repaired(value)) != value:
        value = repaired
        repairs.append(LONE_SURROGATE)
    return value, repairs


def batch_of(
    values: Sequence[dict[str, object]], rows: NDArray[np.int64], repairs: Mapping[str, list[int]]
) -> RawBatch:
    """Build a table of rows; of a column that mixes texts, lists and objects every cell is JSON."""
    places: dict[str, list[int]] = {}
    for at, value in enumerate(values):
        for name in value:
            places.setdefault(name, []).append(at)
    columns, encoded = {}, set()
    for name, found in places.items():
        cells: list[object] = [None] * len(values)  # most keys may be in few rows
        for at in found:
            cells[at] = values[at][name]
        kinds = {
            type(cells[at]) if isinstance(cells[at], list | dict) else str for at in found if cells[at] is not None
        }
        is_nested = bool(kinds - {str})
        try:
            if is_nested and (len(kinds) > 1 or _has_many_keys(cells)):
                raise pa.ArrowInvalid("no single type fits")
            columns[name] = pa.array(cells)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
            if is_nested:
                encoded.add(name)
            texts = [
                cell
                if cell is None or (isinstance(cell, str) and not is_nested)
                else json.dumps(cell, ensure_ascii=False)
                for cell in cells
            ]
            columns[name] = pa.array(texts, pa.large_string())
    table = pa.table(columns) if columns else pa.table({"": pa.nulls(len(values))}).select([])
    return RawBatch(table, rows, repairs, frozenset(encoded))


def _has_many_keys(cells: Sequence[object]) -> bool:
    """Return whether the objects in a column have more keys than an Arrow type should have fields."""
    keys, waiting = set[str](), list(cells)
    while waiting and len(keys) <= MOST_KEYS:
        cell = waiting.pop()
        if isinstance(cell, dict):
            keys.update(cell)
            waiting += cell.values()
        elif isinstance(cell, list):
            waiting += (item for item in cell if isinstance(item, list | dict))
    return len(keys) > MOST_KEYS


def _integer(digits: str) -> int | str:
    if len(digits) <= _INT64_DIGITS or (len(digits) <= _INT64_DIGITS + 2 and -(2**63) <= int(digits) < 2**63):
        return int(digits)
    return digits


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # Python keeps the last of two equal keys, Arrow refuses them: a vote must not depend on who reads it.
    out = dict(pairs)
    if len(out) < len(pairs):
        double = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise CellError(f"the key {double!r} occurs more than once in one object", double)
    return out


_STRICT = json.JSONDecoder(parse_int=_integer, object_pairs_hook=_object)
_LENIENT = json.JSONDecoder(parse_int=_integer, object_pairs_hook=_object, strict=False)


def _not_json(text: str, error: json.JSONDecodeError) -> str:
    hint = ""
    if error.msg == "Extra data":
        hint = "; one object a line is expected"
    elif error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        hint = "; the line seems to be truncated, or an object is spread over several lines"
    elif not text.startswith("{"):
        hint = "; every line must be one object {…}: is this CSV?"
    return f"the line is not JSON: {error.msg} at character {error.pos + 1}{hint}"


def _repaired(value: object) -> object:
    """Replace lone surrogates at any depth, in keys too."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_repaired(key): _repaired(part) for key, part in value.items()}
    return [_repaired(part) for part in value] if isinstance(value, list) else value
