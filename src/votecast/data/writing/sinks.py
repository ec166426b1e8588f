"""Tables to bytes: one sink for every container, each also compressed."""

from __future__ import annotations

import contextlib
import csv
import datetime
import decimal
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from votecast.data.io.detection import SUFFIXES, split_suffixes
from votecast.errors import ConfigError, DataError

_GROUP_BYTES = 8 << 20
"""A file is written in groups of rows of about this size, so that it can be read in parts."""
_BOTH_ENDS = "\r\n"
_NESTED = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_struct, pa.types.is_map)


class Sink:
    """A file that takes tables of one schema and encodes them as its name says.

    Args:
        part: Where to write.
        name: The name the file will have; its suffixes choose container and compression.
        metadata: Texts to keep with the schema, in Parquet and Arrow.

    Raises:
        ConfigError: If the name has no suffix that votecast writes.
    """

    def __init__(self, part: Path, name: str | Path, metadata: Mapping[str, str] | None = None) -> None:
        self.container, compression = container_of(name)
        self._file = pa.OSFile(os.fsencode(part), "wb")
        self._out = pa.CompressedOutputStream(self._file, compression) if compression else self._file
        self._metadata = dict(metadata or {})
        self._compressed = compression is not None
        self._encoder: _Encoder | None = None
        self._schema: pa.Schema | None = None
        self._waiting: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        """Add rows.

        Raises:
            DataError: If the columns are not those of the rows before.
        """
        self._schema = self._schema or table.schema
        fitted = _fit(table, self._schema)
        step = max(1, -(-_GROUP_BYTES * fitted.num_rows // max(fitted.nbytes, 1)))
        for start in range(0, max(1, fitted.num_rows), step):
            self._waiting.append(fitted.slice(start, step))
            if sum(part.nbytes for part in self._waiting) >= _GROUP_BYTES:
                self._flush()

    def finish(self) -> None:
        """Write what is left and close the file; without this the file is not whole."""
        self._flush()
        if self._encoder is not None:
            self._encoder.close()
        self._out.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            for piece in (self._encoder, self._out, self._file):
                with contextlib.suppress(OSError, ValueError):  # the error under way is the one to show
                    if piece is not None:
                        piece.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        self._waiting = []
        if self._encoder is None:
            schema = table.schema.with_metadata(self._metadata or None)
            self._encoder = _encoder(self.container, self._out, schema, compressed=self._compressed)
        self._encoder.write(table)


def container_of(name: str | Path) -> tuple[str, str | None]:
    """Container and compression of an output, from its name.

    Raises:
        ConfigError: If the suffix is none that votecast writes.

    Example:
        >>> container_of("votes.jsonl.zst")
        ('jsonl', 'zstd')
    """
    container, compression = split_suffixes(str(name))
    if container is None:
        raise ConfigError(
            f"the output {str(name)!r} does not say what to write; let it end in one of {', '.join(SUFFIXES)}, "
            "perhaps followed by .gz or .zst"
        )
    return container, compression


def _fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    if table.schema.equals(schema):
        return table
    try:
        return table.select(schema.names).cast(schema)
    except (KeyError, ValueError, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"the columns change from one part of the file to the next ({error}); all rows must have the columns "
            f"{', '.join(schema.names)} with the same types"
        ) from error


class _Encoder(Protocol):
    def write(self, table: pa.Table) -> None:
        """Encode rows."""

    def close(self) -> None:
        """Write what stands at the end of the file."""


def _encoder(container: str, out: pa.NativeFile, schema: pa.Schema, *, compressed: bool) -> _Encoder:
    if container == "parquet":
        return _WithSchema(pq.ParquetWriter(out, schema, compression="none" if compressed else "zstd"), schema)
    if container == "arrow":
        return _WithSchema(pa.ipc.new_file(out, schema), schema)
    _refuse_bytes(schema, container)
    return _JsonLines(out) if container == "jsonl" else _Delimited(out, schema, "\t" if container == "tsv" else ",")


class _WithSchema:
    def __init__(self, writer: Any, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema

    def write(self, table: pa.Table) -> None:
        """Encode rows under the schema that names the judge and the settings."""
        self._writer.write_table(table.combine_chunks().replace_schema_metadata(self._schema.metadata))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


class _JsonLines:
    """Objects, one a line; keys without a value are left out."""

    def __init__(self, out: pa.NativeFile) -> None:
        self._out = out

    def write(self, table: pa.Table) -> None:
        """Encode rows, one object a line."""
        for batch in table.to_batches(max_chunksize=4096):
            rows = ({key: cell for key, cell in row.items() if cell is not None} for row in batch.to_pylist())
            self._out.write("".join(f"{as_json(row)}\n" for row in rows).encode("utf-8"))

    def close(self) -> None:
        """There is nothing at the end of JSON lines."""


class _Delimited:
    """Cells as RFC 4180 writes them; lists and objects as JSON, a missing value as an empty cell."""

    def __init__(self, out: pa.NativeFile, schema: pa.Schema, delimiter: str) -> None:
        self._out = out
        self._delimiter = delimiter
        self._nested = [any(check(field.type) for check in _NESTED) for field in schema]
        self._emit([schema.names])

    def write(self, table: pa.Table) -> None:
        """Encode rows, one record each."""
        for batch in table.to_batches(max_chunksize=4096):
            columns = [
                [None if cell is None else as_json(cell) for cell in column.to_pylist()]
                if nested
                else column.to_pylist()
                for column, nested in zip(batch.columns, self._nested, strict=True)
            ]
            self._emit(zip(*columns, strict=True))

    def close(self) -> None:
        """There is nothing at the end of CSV."""

    def _emit(self, rows: Any) -> None:
        lines = _Lines()
        csv.writer(lines, delimiter=self._delimiter, lineterminator=_BOTH_ENDS).writerows(rows)
        self._out.write("".join(lines.ended).encode("utf-8"))


class _Lines:
    """Records that end with LF alone; told that they end with CR and LF, Python quotes cells that hold either."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def write(self, record: str) -> None:
        """Take one record, as `csv.writer` hands it on."""
        self.ended.append(record.removesuffix(_BOTH_ENDS) + "\n")


def as_json(value: Any) -> str:
    """Compact JSON with its characters as they are; dates and decimals as text.

    Raises:
        DataError: If the value has no JSON form.

    Example:
        >>> as_json(["é", None, 1.5])
        '["é",null,1.5]'
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_as_text)
    except ValueError as error:
        raise DataError(f"a value cannot be written as JSON ({error}); write Parquet or Arrow instead") from error


def _as_text(value: Any) -> str:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    raise DataError(f"a value of type {type(value).__name__} cannot be written as JSON; write Parquet or Arrow instead")


def _refuse_bytes(schema: pa.Schema, container: str) -> None:
    held = [f.name for f in schema if pa.types.is_binary(f.type) or pa.types.is_large_binary(f.type)]
    if held:
        raise DataError(
            f"the columns {', '.join(held)} hold bytes, which {container} cannot hold; write Parquet or Arrow instead"
        )
