"""JSON rows read one by one: every line judged on its own, and tables of whatever types they hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.data.io.stream import RawBatch
from votecast.data.io.text import encoding_problem

MOST_BRACKETS = 500
"""Opening brackets in one line up to which its nesting need not be measured."""
DEEPEST = 64
LONE_SURROGATE = "lone surrogate replaced by U+FFFD"
CONTROL_CHARACTER = "bare control character inside a JSON string kept"

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_INT64_DIGITS = 18
_SCALARS = (str, int, float, bool)


class RowError(ValueError):
    """A line is not a row; `column` names the key at fault where there is one."""

    def __init__(self, message: str, column: str | None = None) -> None:
        super().__init__(message)
        self.column = column


def decode_line(line: bytes) -> tuple[dict[str, Any], list[str]]:
    """Read one object.

    Returns:
        The object, integers beyond 64 bits as text, and the kinds of repair that were needed.

    Raises:
        RowError: If the line is not one JSON object, or is nested too deeply.

    Example:
        >>> decode_line(b'{"id": 12345678901234567890, "prompt": ["Hi", null]}')
        ({'id': '12345678901234567890', 'prompt': ['Hi', None]}, [])
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RowError(encoding_problem(line, error)) from error
    if text.count("[") + text.count("{") > DEEPEST and (depth := _depth(text)) > DEEPEST:
        raise RowError(f"the value is nested {depth} deep, at most {DEEPEST} is read")
    repairs = []
    try:
        value = _loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Invalid control character"):
            raise RowError(_not_json(text, error)) from error
        value = _loads_leniently(text)
        repairs.append(CONTROL_CHARACTER)
    if not isinstance(value, dict):
        raise RowError(f"the line holds {_kind_name(value)}, expected is one object {{…}} a line")
    if "\\u" in text and _holds_surrogate(value):
        value = _mended(value)
        repairs.append(LONE_SURROGATE)
    return value, repairs


def tables_of(
    values: Sequence[dict[str, Any]], rows: NDArray[np.int64], repairs: Mapping[str, list[int]]
) -> Iterator[RawBatch]:
    """Tables of consecutive rows; a new one begins where a key turns from text or number to list or object, or back."""
    start, kinds = 0, dict[str, type]()
    for at, value in enumerate(values):
        found = {key: _kind(cell) for key, cell in value.items() if cell is not None}
        if any(kinds.get(key, kind) is not kind for key, kind in found.items()):
            yield _batch(values[start:at], rows[start:at], repairs)
            start, kinds = at, {}
        kinds |= found
    if len(values) > start:
        yield _batch(values[start:], rows[start:], repairs)


def _batch(values: Sequence[dict[str, Any]], rows: NDArray[np.int64], repairs: Mapping[str, list[int]]) -> RawBatch:
    names = list(dict.fromkeys(key for value in values for key in value))
    columns, encoded = {}, set()
    for name in names:
        cells = [value.get(name) for value in values]
        try:
            columns[name] = pa.array(cells)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
            is_text = all(isinstance(cell, _SCALARS) for cell in cells if cell is not None)
            columns[name] = pa.array([_as_text(cell) for cell in cells], pa.large_string())
            encoded |= set() if is_text else {name}
    kept = {kind: [row for row in found if rows[0] <= row <= rows[-1]] for kind, found in repairs.items()}
    table = pa.table(columns) if columns else _no_columns(len(values))
    return RawBatch(table, rows, {kind: found for kind, found in kept.items() if found}, frozenset(encoded))


def _no_columns(count: int) -> pa.Table:
    return pa.table({"": pa.nulls(count)}).select([])


def _as_text(cell: Any) -> str | None:
    return cell if cell is None or isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)


def _kind(cell: Any) -> type:
    return type(cell) if isinstance(cell, list | dict) else str


def _kind_name(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _INT64_DIGITS or _fits(digits) else digits


def _fits(digits: str) -> bool:
    return len(digits) <= _INT64_DIGITS + 2 and -(2**63) <= int(digits) < 2**63


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise RowError(f"the key {double!r} occurs more than once in one object", double)
    return out


_STRICT = json.JSONDecoder(parse_int=_integer, object_pairs_hook=_object)
_LENIENT = json.JSONDecoder(parse_int=_integer, object_pairs_hook=_object, strict=False)


def _loads(text: str) -> Any:
    return _STRICT.decode(text)


def _loads_leniently(text: str) -> Any:
    try:
        return _LENIENT.decode(text)
    except json.JSONDecodeError as error:
        raise RowError(_not_json(text, error)) from error


def _not_json(text: str, error: json.JSONDecodeError) -> str:
    hint = ""
    if error.msg == "Extra data":
        hint = "; one object a line is expected"
    elif error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        hint = "; the line seems to be cut short, or an object is spread over several lines"
    elif not text.startswith("{"):
        hint = "; every line must be one object {…}: is this CSV?"
    return f"the line is not JSON: {error.msg} at character {error.pos + 1}{hint}"


def _depth(text: str) -> int:
    bare = _STRING.sub("", text)
    codes = np.frombuffer(bare.encode("utf-8", "replace"), dtype=np.uint8)
    steps = np.isin(codes, list(b"[{")).astype(np.int64) - np.isin(codes, list(b"]}"))
    return int(np.cumsum(steps).max(initial=0))


def _holds_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return _SURROGATE.search(value) is not None
    if isinstance(value, dict):
        return any(_holds_surrogate(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(_holds_surrogate, value))


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_mended(key): _mended(part) for key, part in value.items()}
    return [_mended(part) for part in value] if isinstance(value, list) else value
