"""Write tables as CSV, JSON lines, Parquet or Arrow, also compressed; and results with their settings beside them.

`ResultWriter` is the base of the writers of predictions, decisions and scores; votes and rankings use `TableWriter`.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import decimal
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from votecast.artifacts import atomic_file, digest_of
from votecast.data.io.detection import SUFFIXES, split_suffixes
from votecast.errors import ConfigError, DataError

_GROUP_BYTES = 8 << 20
"""A file is written in groups of rows of about this size, so that it can be read in parts."""
_SIDE_SUFFIX = ".settings.json"
_CRLF = "\r\n"
_NESTED = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_struct, pa.types.is_map)


def container_of(name: str | Path) -> tuple[str, str | None]:
    """Return container and compression of an output, from its name.

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


def side_path(path: str | Path) -> Path:
    """Return the path of the settings that lie beside a file of results.

    Example:
        >>> side_path("runs/p.csv").name
        'p.csv.settings.json'
    """
    return Path(f"{path}{_SIDE_SUFFIX}")


class TableWriter:
    """Encode tables of one schema into a file, as its name says.

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
        if not table.schema.equals(self._schema):
            try:
                table = table.select(self._schema.names).cast(self._schema)
            except (KeyError, ValueError, pa.ArrowNotImplementedError) as error:
                raise DataError(
                    f"the columns change from one part of the file to the next ({error}); all rows must have the "
                    f"columns {', '.join(self._schema.names)} with the same types"
                ) from error
        # Parquet readers hold a row group at a time: bound its bytes, not its rows.
        step = max(1, -(-_GROUP_BYTES * table.num_rows // max(table.nbytes, 1)))
        for start in range(0, max(1, table.num_rows), step):
            self._waiting.append(table.slice(start, step))
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
        # After an error nothing is flushed: the temporary file is removed anyway.
        try:
            if kind is None:
                self.finish()
        finally:
            for piece in (self._encoder, self._out, self._file):
                with contextlib.suppress(OSError, ValueError):  # the error in flight is the one to raise
                    if piece is not None:
                        piece.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        self._waiting = []
        if self._encoder is None:
            self._encoder = self._make_encoder(table.schema.with_metadata(self._metadata or None))
        self._encoder.write(table)

    def _make_encoder(self, schema: pa.Schema) -> _Encoder:
        if self.container == "parquet":
            compression = "none" if self._compressed else "zstd"
            return _SchemaEncoder(pq.ParquetWriter(self._out, schema, compression=compression), schema)
        if self.container == "arrow":
            return _SchemaEncoder(pa.ipc.new_file(self._out, schema), schema)
        held = [f.name for f in schema if pa.types.is_binary(f.type) or pa.types.is_large_binary(f.type)]
        if held:
            raise DataError(
                f"the columns {', '.join(held)} hold bytes, which {self.container} cannot hold; write Parquet or Arrow "
                "instead"
            )
        if self.container == "jsonl":
            return _JsonLinesEncoder(self._out)
        return _CsvEncoder(self._out, schema, "\t" if self.container == "tsv" else ",")


class _Encoder:
    """Encodes tables; `close` writes what belongs at the end of the file."""

    def write(self, table: pa.Table) -> None:
        """Encode rows."""
        raise NotImplementedError

    def close(self) -> None:
        """Write nothing: CSV and JSON lines have no footer."""


class _SchemaEncoder(_Encoder):
    """Parquet or Arrow, under the schema that names the judge and the settings."""

    def __init__(self, writer: Any, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema

    def write(self, table: pa.Table) -> None:
        """Encode rows."""
        self._writer.write_table(table.combine_chunks().replace_schema_metadata(self._schema.metadata))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


class _JsonLinesEncoder(_Encoder):
    """Objects, one a line; keys without a value are left out."""

    def __init__(self, out: pa.NativeFile) -> None:
        self._out = out

    def write(self, table: pa.Table) -> None:
        """Encode rows, one object a line."""
        for batch in table.to_batches(max_chunksize=4096):
            rows = ({key: cell for key, cell in row.items() if cell is not None} for row in batch.to_pylist())
            self._out.write("".join(f"{as_json(row)}\n" for row in rows).encode("utf-8"))


class _CsvEncoder(_Encoder):
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

    def _emit(self, rows: Iterable[Sequence[Any]]) -> None:
        lines = _Lines()
        csv.writer(lines, delimiter=self._delimiter, lineterminator=_CRLF).writerows(rows)
        self._out.write("".join(lines.ended).encode("utf-8"))


class _Lines:
    """Records that end with LF alone, while `csv` quotes cells that hold CR or LF, as it does for CRLF."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def write(self, record: str) -> None:
        """Take one record from `csv.writer`."""
        self.ended.append(record.removesuffix(_CRLF) + "\n")


class ResultWriter:
    """Write a table of results atomically, and what made them beside it in `<path>.settings.json`.

    Subclasses add rows with `write_table`, and override `empty_table` and `settings`.

    Args:
        path: The file; its suffix says csv, tsv, jsonl, parquet or arrow, perhaps followed by .gz or .zst.
        metadata: Texts to keep with the schema, in Parquet and Arrow.
        overwrite: Whether an existing file may be replaced.
        has_side: Whether settings are written beside the file.

    Attributes:
        rows: Rows written by now.

    Raises:
        ConfigError: If the suffix is unknown.
        ArtifactError: If the file exists or the disk refuses; nothing is left behind.
    """

    ensure_ascii = True

    def __init__(
        self, path: str | Path, metadata: Mapping[str, str], *, overwrite: bool = False, has_side: bool = True
    ) -> None:
        container_of(path)
        self.path = Path(path)
        self.rows = 0
        self._texts = dict(metadata)
        self._overwrite = overwrite
        self._has_side = has_side
        self._files, self._open = contextlib.ExitStack(), contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as files:
            # the settings are renamed first: a file without them would be one of another program
            self._part = files.enter_context(atomic_file(self.path, overwrite=self._overwrite))
            if self._has_side:
                self._side = files.enter_context(atomic_file(side_path(self.path), overwrite=True))
            self._writer = self._open.enter_context(TableWriter(self._part, self.path, self._texts))
            self._files = files.pop_all()
        return self

    def write_table(self, table: pa.Table) -> None:
        """Add rows, in the order they are to have in the file."""
        self._writer.write(table)
        self.rows += table.num_rows

    def empty_table(self) -> pa.Table:
        """Return the table of a file without rows."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Return what to write beside the file, which is complete by now; its SHA-256 is added."""
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            try:
                self._open.__exit__(kind, error, trace)
            finally:
                self._files.__exit__(kind, error, trace)
            return
        with self._files:
            with self._open:
                if not self.rows:
                    self.write_table(self.empty_table())
            if self._has_side:
                write_settings(self._side, self.settings(), self._part, ensure_ascii=self.ensure_ascii)


def write_settings(side: Path, settings: Mapping[str, object], file: Path, *, ensure_ascii: bool = True) -> None:
    """Write settings as JSON, with the SHA-256 of the file they belong to."""
    whole = dict(settings) | {"sha256": digest_of(file)}
    text = json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=ensure_ascii) + "\n"
    side.write_text(text, "utf-8", "backslashreplace")


def as_json(value: Any) -> str:
    """Encode a value as compact JSON with its characters as they are; dates and decimals as text.

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
