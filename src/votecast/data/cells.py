"""Read cells that hold JSON lists of turns, without one Python object a cell.

A column of cells is joined into lines `{"c": CELL}` and handed to Arrow's JSON reader as a whole. Between two cells
stands `}`, a line feed and `{`: outside a string that can only be the end of one document and the start of the next,
and inside a string a bare line feed is refused, so that as many rows as cells means one row a cell. What Arrow refuses
(lone surrogates, bare control characters, anything but a list of strings) is read by Python's `json`, cell by cell.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.data.battles import TURNS
from votecast.data.io.json_rows import CONTROL_CHARACTER, LONE_SURROGATE, SURROGATE, read_json
from votecast.data.io.json_rows import CellError as CellError

_OPENING, _CLOSING, _NOTHING = (pa.scalar(text, pa.large_string()) for text in ('{"c":', "}\n", ""))
_LINES = pa.schema([("c", TURNS)])
_LARGEST_BLOCK = 2**31 - 2
PYTHON_STYLE = "list in Python's notation read as a list"
_PYTHON_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<string>'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")|(?P<word>\b(?:None|True|False|null|true|false)\b)"""
    r"""|(?P<array>array\(\[)|(?P<end>\]\s*,\s*dtype=[\w.<>']+\)|\]\))|(?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"""
    r"""|(?P<mark>[\[\]{}(),:])""",
    re.DOTALL,
)
_PYTHON_WORDS = {"None": "null", "True": "true", "False": "false", "null": "null", "true": "true", "false": "false"}
_BRACKETS = {"array": "[", "end": "]", "(": "[", ")": "]"}
_PYTHON_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_PYTHON_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "\n": "", "0": "\0"}
_ESCAPED_QUOTE = re.compile(r"""\s*\[\s*\\.*\\"\s*\]"?\s*\Z""", re.DOTALL)
_EDGE = 1 << 16
_RUN = 64
TEXT_OR_LIST = "allowed is text or a list of texts and nulls"
_JSON_LIST = "allowed is a JSON list of strings and nulls"


@dataclass
class ParsedCells:
    """One column of cells after reading."""

    turns: pa.Array  # list<large_string>, null where the cell is bad
    bad: dict[int, str] = field(default_factory=dict)  # by position, why the cell is not a list of strings
    repairs: dict[str, list[int]] = field(default_factory=dict)  # positions by kind of repair


def parse_cells(cells: pa.LargeStringArray) -> ParsedCells:
    r"""Read cells of type large_string, none of them null, that hold JSON lists of strings and nulls.

    Example:
        >>> found = parse_cells(pa.array(['["a", null]', '["\\ud83d"]', "[1]"], pa.large_string()))
        >>> found.turns.to_pylist(), found.repairs
        ([['a', None], ['�'], None], {'lone surrogate replaced by U+FFFD': [1]})
        >>> found.bad
        {2: 'turn 1 is a number; allowed is a JSON list of strings and nulls'}
    """
    joined = pc.binary_join_element_wise(_OPENING, cells, _CLOSING, _NOTHING)
    offsets = np.frombuffer(joined.buffers()[1], np.int64)[joined.offset : joined.offset + len(joined) + 1]
    lines = joined.buffers()[2] or pa.py_buffer(b"")
    whole = _parse_lines(lines, offsets, 0, len(cells))
    if whole is not None:
        return ParsedCells(whole)
    # Arrow refuses a cell: cells are parsed in runs, and those of a run that it refuses one by one.
    found = ParsedCells(pa.nulls(0, TURNS))
    runs = [found.turns]
    for start in range(0, len(cells), _RUN):
        stop = min(start + _RUN, len(cells))
        parsed = _parse_lines(lines, offsets, start, stop)
        runs.append(_parse_one_by_one(cells, start, stop, found) if parsed is None else parsed)
    found.turns = pa.concat_arrays(runs)
    return found


def load_json(text: str) -> tuple[object, set[str]]:
    """Decode one JSON text, bare control characters inside strings allowed; also return the kinds of repair.

    Lone surrogates are left to `mend`.

    Raises:
        CellError: If it is not JSON, nested too deeply, or holds a number too long to read.
    """
    try:
        return json.loads(text), set()
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(text, strict=False), {CONTROL_CHARACTER}
    except RecursionError:
        raise CellError("the JSON is nested too deeply to be read") from None
    except ValueError as error:
        value = _load_python(text)
        if value is not None:
            return value, {PYTHON_STYLE}
        cure = "; its quotes are escaped by backslashes: write CSV with doubled quotes, or Parquet"
        cure = cure if has_escaped_quotes(text) else ""
        raise CellError(f"the cell is not JSON ({error}){cure}") from None


def has_escaped_quotes(text: str) -> bool:
    r"""Return whether a cell is a list whose quotes were escaped by backslashes, as some programs write CSV.

    Example:
        >>> has_escaped_quotes(r"[\"a\"]"), has_escaped_quotes(r"[\frac{1}{2}]")
        (True, False)
    """
    return _ESCAPED_QUOTE.match(text) is not None


def _load_python(text: str) -> object:
    """Decode a list or dict in the notation of Python or numpy; None for anything else."""
    rewritten = _python_to_json(text)
    try:
        return None if rewritten is None else json.loads(rewritten)
    except (ValueError, RecursionError):
        return None


def _python_to_json(text: str) -> str | None:
    r"""Rewrite lists and dicts in the notation of Python or numpy as JSON, token by token; None for anything else.

    Example:
        >>> _python_to_json("['a', None]"), _python_to_json("['it' \"isn't\"]"), _python_to_json("[laughs]")
        ('["a",null]', '["it","isn\'t"]', None)
    """
    if text.lstrip()[:1] not in ("[", "{", "(") and not text.lstrip().startswith("array("):
        return None
    found: list[str] = []
    place = 0
    while place < len(text):
        match = _PYTHON_TOKEN.match(text, place)
        if match is None:
            return None
        place = match.end()
        kind, token = str(match.lastgroup), match[0]
        if kind == "space":
            continue
        if kind == "string":
            try:
                token = json.dumps(_PYTHON_ESCAPE.sub(_unescape, token[1:-1]))
            except (KeyError, ValueError):  # an escape that Python does not write
                return None
        elif kind == "word":
            token = _PYTHON_WORDS[token]
        token = _BRACKETS.get(kind, _BRACKETS.get(token, token))
        if token in ("]", "}") and found and found[-1] == ",":
            found.pop()  # Python allows a last comma
        # numpy puts no comma between values
        if found and found[-1] not in ("[", "{", ",", ":") and token not in ("]", "}", ",", ":"):
            found.append(",")
        found.append(token)
    return "".join(found)


def _unescape(match: re.Match[str]) -> str:
    code = match[0][1:]
    if code[0] in "xuU":
        number = int(code[1:], 16)
        return chr(number) if number <= sys.maxunicode else "\ufffd"
    return _PYTHON_ESCAPES[code]


def mend(text: str, repairs: set[str]) -> str:
    r"""Replace surrogates without a partner by U+FFFD, and note it."""
    if text.isascii() or not SURROGATE.search(text):
        return text
    repairs.add(LONE_SURROGATE)
    return SURROGATE.sub("\ufffd", text)


def load_turns(cell: str) -> tuple[list[str | None], set[str]]:
    """Decode one cell with Python's `json`; raise `CellError` if it is not a list of strings and nulls."""
    value, repairs = load_json(cell)
    if not isinstance(value, list):
        raise CellError(f"the cell is {json_kind(value)}; {_JSON_LIST}")
    return mend_turns(value, repairs, _JSON_LIST), repairs


def mend_turns(value: Sequence[object], repairs: set[str], allowed: str, where: str = "") -> list[str | None]:
    """Check that all turns are texts or null, and mend their surrogates.

    Args:
        value: The turns.
        repairs: Receives the kinds of repair that were made.
        allowed: What is allowed, for the message of the `CellError`.
        where: Where the turns are, as in " of candidate 3".
    """
    for number, turn in enumerate(value, start=1):
        if not (turn is None or isinstance(turn, str)):
            raise CellError(f"turn {number}{where} is {json_kind(turn)}; {allowed}")
    return [mend(turn, repairs) if isinstance(turn, str) else None for turn in value]


def json_cell(turns: Sequence[str | None]) -> str:
    r"""Encode a list of turns as the contest does: compact ASCII JSON whose slashes are escaped."""
    return json.dumps(list(turns), separators=(",", ":")).replace("/", "\\/")


def json_kind(value: object) -> str:
    """Name the JSON type of a value, with its article."""
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return "null" if value is None else kinds.get(type(value), f"of type {type(value).__name__}")


def looks_like_list(cell: memoryview | bytes) -> bool:
    """Return whether a cell is a list of strings and nulls, as JSON or in Python's notation.

    Of a cell over 64 KiB only the ends are checked.
    """
    head, tail = bytes(cell[:_EDGE]).lstrip(), bytes(cell[-_EDGE:]).rstrip()
    if not (head.startswith((b"[", b"array([")) and tail.endswith((b"]", b")"))):
        return False
    if len(cell) > _EDGE:
        return head[1:].lstrip()[:1] in (b'"', b"'", b"n", b"N")
    try:
        turns, _ = load_json(bytes(cell).decode("utf-8", "replace"))
    except CellError:
        return False
    return isinstance(turns, list) and all(turn is None or isinstance(turn, str) for turn in turns)


def _parse_lines(lines: pa.Buffer, offsets: NDArray[np.int64], start: int, stop: int) -> pa.Array | None:
    """Parse cells start to stop; None where Arrow refuses one of them."""
    first, size = int(offsets[start]), int(offsets[stop] - offsets[start])
    if start == stop or size > _LARGEST_BLOCK or not np.frombuffer(lines, np.uint8)[first : first + size].all():
        return None  # Arrow's reader takes a bare NUL for the end of its input
    try:
        table = read_json(lines.slice(first, size), _LINES)
    except pa.ArrowException:
        return None
    column = table.column("c")
    if len(column) != stop - start or column.null_count:
        return None
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _parse_one_by_one(cells: pa.LargeStringArray, start: int, stop: int, found: ParsedCells) -> pa.Array:
    turns: list[list[str | None] | None] = []
    for position in range(start, stop):
        try:
            lists, repairs = load_turns(cells[position].as_py())
        except CellError as error:
            found.bad[position] = str(error)
            turns.append(None)
            continue
        turns.append(lists)
        for kind in sorted(repairs):
            found.repairs.setdefault(kind, []).append(position)
    return pa.array(turns, TURNS)
