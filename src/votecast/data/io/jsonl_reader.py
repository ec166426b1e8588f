"""Read JSON lines: Arrow parses whole blocks; what it refuses, or would not keep exactly, is read line by line.

`open_table` calls `read_json_lines`, for one array of objects too.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from votecast.data.io.byte_source import ByteSource
from votecast.data.io.json_array import array_blocks
from votecast.data.io.json_rows import DEEPEST, MOST_BRACKETS, MOST_KEYS, CellError, batch_of, decode_line, read_json
from votecast.data.io.record_blocks import RecordBlocks
from votecast.data.io.stream import MOST_COLUMNS, BadRow, RawBatch, Reject, too_many_columns
from votecast.errors import DataError

_EXACT_IN_FLOAT = 2.0**53
_FIRST_LINES = 16
"""Lines whose types Arrow infers; later blocks that do not fit are read line by line, and their types added."""


def read_json_lines(source: ByteSource, reject: Reject) -> tuple[pa.Schema, Iterator[RawBatch]]:
    """Read objects, one a line, or all in one array; empty lines are skipped, and lines that are no object rejected.

    Columns may differ from batch to batch: a key that no row of a batch has may be missing in it, and a key that holds
    texts in one and lists in another has the type of each; where one batch has both, its cells are JSON. Integers that
    no 64-bit integer holds come as text.

    Raises:
        DataError: If no line is a row.
    """
    is_array = source.head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    blocks = array_blocks(source) if is_array else RecordBlocks(source, source.batch_bytes)
    faults: list[BadRow] = []  # the first one, for the message where no line is a row
    batches = _read_batches(blocks, source.path, reject, faults)
    first = next(batches, None)
    if first is not None:
        return first.table.schema, itertools.chain([first], batches)
    if faults:
        raise DataError(f"no line of the file is a row; {faults[0].message(source.path)}")
    return pa.schema([]), batches


def _read_batches(
    blocks: Iterable[memoryview | bytes], path: str, reject: Reject, faults: list[BadRow]
) -> Iterator[RawBatch]:
    row, known = 1, None
    for block in blocks:
        text = _without_empty_lines(block)
        count = text.count(b"\n")
        table, known = _parse(text, count, known)
        if table is not None:
            yield RawBatch(table, np.arange(row, row + count, dtype=np.int64))
        elif (batch := _parse_lines(text, row, path, reject, faults)) is not None:
            known = _extended(known, batch)
            yield batch
        row += count


def _parse(text: bytes, count: int, known: pa.Schema | None) -> tuple[pa.Table | None, pa.Schema | None]:
    """Parse a block with Arrow; None where a line needs a closer look. Also return the types that are known by now."""
    if not count or not _is_plain(text):
        return None, known
    try:
        known = _settled_schema(text) if known is None else known
        # Arrow does not infer types here: one that sees many keys, or a change, would take time with their square.
        if known is None or _count_fields(known) > MOST_KEYS:
            return None, known
        table = read_json(text, known)
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        return None, known
    floats = [column for column in table.columns if pa.types.is_float64(column.type)]
    is_rounded = any((np.abs(column.drop_null().to_numpy()) >= _EXACT_IN_FLOAT).any() for column in floats)
    is_exact = not is_rounded and table.num_rows == count and _nesting(table.schema) <= DEEPEST
    return (table if is_exact else None), known


def _settled_schema(text: bytes) -> pa.Schema | None:
    """Infer the types of the first lines; None where they have more keys than Arrow should look at."""
    end = 0
    for _ in range(_FIRST_LINES):
        end = text.find(b"\n", end) + 1 or end
    if text.count(b":", 0, end) > _FIRST_LINES * MOST_KEYS:
        return None
    return pa.schema(map(_settled, read_json(text[:end], None).schema))


def _extended(known: pa.Schema | None, batch: RawBatch) -> pa.Schema:
    """Add the types of a batch to those that are known; where none fits both, the newer one is kept."""
    if known is not None and _count_fields(known) > MOST_KEYS:
        return known
    fields = {field.name: field for field in known or ()}
    for field in batch.table.schema:
        # Mixed columns are large texts, and are read line by line again.
        if field.name in batch.encoded or pa.types.is_large_string(field.type):
            continue
        both = [pa.schema([each]) for each in (fields.get(field.name, field), field)]
        fields[field.name] = field
        with contextlib.suppress(pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            fields[field.name] = pa.unify_schemas(both, promote_options="permissive").field(0)
    return pa.schema(fields.values())


def _count_fields(kind: pa.Schema | pa.DataType) -> int:
    """Count the keys of objects at any depth."""
    if isinstance(kind, pa.Schema) or pa.types.is_struct(kind):
        return sum(1 + _count_fields(field.type) for field in kind)
    return _count_fields(kind.value_type) if pa.types.is_list(kind) else 0


def _parse_lines(text: bytes, first: int, path: str, reject: Reject, faults: list[BadRow]) -> RawBatch | None:
    values, rows, repairs = [], [], dict[str, list[int]]()
    names = set[str]()
    for row, line in enumerate(io.BytesIO(text), start=first):
        try:
            value, repaired = decode_line(line.rstrip(b"\n"))
        except CellError as error:
            bad = BadRow(row, error.column, line.decode("utf-8", "replace").rstrip("\n"), str(error))
            faults.extend([] if faults else [bad])
            reject(bad)
            continue
        names.update(value)
        if len(names) > MOST_COLUMNS:
            raise too_many_columns(path)
        values.append(value)
        rows.append(row)
        for kind in repaired:
            repairs.setdefault(kind, []).append(row)
    return batch_of(values, np.array(rows, dtype=np.int64), repairs) if rows else None


def _without_empty_lines(block: memoryview | bytes) -> bytes:
    """Return the lines that hold something, each ended by a line feed."""
    text = bytes(block)
    if not text.endswith(b"\n"):
        text += b"\n"
    codes = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(codes == ord("\n"))
    if (codes[ends - 1] == ord("}")).all() and (codes[np.r_[0, ends[:-1] + 1]] == ord("{")).all():
        return text
    return b"".join(line + b"\n" for line in map(bytes.strip, text.split(b"\n")) if line)


def _is_plain(text: bytes) -> bool:
    """Return whether each line runs from brace to brace, without NUL bytes or nesting that could exhaust a stack."""
    codes = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(codes == ord("\n"))
    starts = np.r_[0, ends[:-1] + 1]
    if b"\0" in text or not ((codes[ends - 1] == ord("}")) & (codes[starts] == ord("{"))).all():
        return False
    brackets = np.flatnonzero((codes == ord("[")) | (codes == ord("{")))
    return bool((np.diff(np.searchsorted(brackets, np.r_[starts, len(codes)])) <= MOST_BRACKETS).all())


def _settled(field: pa.Field) -> pa.Field:
    """Replace inferred dates by texts, at any depth."""
    kind = field.type
    if pa.types.is_temporal(kind):
        return field.with_type(pa.string())
    if pa.types.is_list(kind):
        return field.with_type(pa.list_(_settled(kind.value_field)))
    if pa.types.is_struct(kind):
        return field.with_type(pa.struct([_settled(kind.field(i)) for i in range(kind.num_fields)]))
    return field


def _nesting(kind: pa.Schema | pa.DataType) -> int:
    """Count the brackets around the innermost value."""
    if isinstance(kind, pa.Schema) or pa.types.is_struct(kind):
        return 1 + max((_nesting(field.type) for field in kind), default=0)
    return 1 + _nesting(kind.value_type) if pa.types.is_list(kind) else 0
