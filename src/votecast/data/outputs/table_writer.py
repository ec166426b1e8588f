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
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from votecast.artifacts import atomic_file, digest_of, settings_path
from votecast.data.io.detection import SUFFIXES, split_suffixes
from votecast.errors import ConfigError, DataError

_GROUP_BYTES = 8 << 20
"""A file is written in groups of rows of about this size, so that it can be read in parts."""
_CRLF = "\r\n"
_NESTED = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_struct, pa.types.is_map)


def container_of(name: str | Path) -> tuple[str, str | None]:
    """Return container and compression of an output, as ("jsonl", "zstd") of votes.jsonl.zst.

    Raises:
        ConfigError: If the suffix is none that votecast writes.
    """
    container, compression = split_suffixes(str(name))
    if container is None:
        raise ConfigError(
            f"the output {str(name)!r} does not say what to write; let it end in one of {', '.join(SUFFIXES)}, "
            "perhaps followed by .gz or .zst"
        )
    return container, compression


class TableWriter(contextlib.AbstractContextManager["TableWriter"]):
    """Encode tables of one schema into a file, as its name says.

    Args:
        part: Where to write.
        name: The name the file will have; its suffixes choose container and compression.
        metadata: Texts to keep with the schema, in Parquet and Arrow.
    """

    def __init__(self, part: Path, name: str | Path, metadata: Mapping[str, str] | None = None) -> None:
        self._container, self._compression = container_of(name)
        self._file = pa.OSFile(os.fsencode(part), "wb")
        self._out = pa.CompressedOutputStream(self._file, self._compression) if self._compression else self._file
        self._delimiter = "\t" if self._container == "tsv" else ","
        self._metadata = dict(metadata or {}) or None
        self._columns: pq.ParquetWriter | pa.ipc.RecordBatchFileWriter | None = None
        self._schema: pa.Schema | None = None
        self._waiting: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        """Add rows; raise `DataError` if the columns are not those of the rows before."""
        if self._schema is None:
            self._schema = schema = table.schema
            if self._container == "parquet":
                packing = "none" if self._compression else "zstd"
                self._columns = pq.ParquetWriter(self._out, schema.with_metadata(self._metadata), compression=packing)
            elif self._container == "arrow":
                self._columns = pa.ipc.new_file(self._out, schema.with_metadata(self._metadata))
            elif held := [f.name for f in schema if pa.types.is_binary(f.type) or pa.types.is_large_binary(f.type)]:
                raise DataError(
                    f"the columns {', '.join(held)} hold bytes, which {self._container} cannot hold; write Parquet or "
                    "Arrow instead"
                )
            elif self._container != "jsonl":
                self._out.write(_encode_records([schema.names], self._delimiter))
        elif not table.schema.equals(self._schema):
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
        for piece in (self._columns, self._out, self._file):
            if piece is not None:
                piece.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an error nothing is flushed: the temporary file is removed anyway.
        try:
            if kind is None:
                self.finish()
        finally:
            for piece in (self._columns, self._out, self._file):
                with contextlib.suppress(OSError, ValueError):  # the error in flight is the one to raise
                    if piece is not None:
                        piece.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        self._waiting = []
        if self._columns is not None:
            self._columns.write_table(table.combine_chunks().replace_schema_metadata(self._metadata))
            return
        for batch in table.to_batches(max_chunksize=4096):
            if self._container == "jsonl":
                # Keys without a value are left out.
                rows = ({key: cell for key, cell in row.items() if cell is not None} for row in batch.to_pylist())
                self._out.write("".join(f"{as_json(row)}\n" for row in rows).encode("utf-8"))
                continue
            # Lists and objects are JSON, a missing value is an empty cell.
            columns = [column.to_pylist() for column in batch.columns]
            for place, field in enumerate(batch.schema):
                if any(check(field.type) for check in _NESTED):
                    columns[place] = [None if cell is None else as_json(cell) for cell in columns[place]]
            self._out.write(_encode_records(zip(*columns, strict=True), self._delimiter))


class _Lines(list[str]):
    """Records that end with LF alone, while `csv` quotes cells that hold CR or LF, as it does for CRLF."""

    def write(self, record: str) -> None:
        """Take one record from `csv.writer`."""
        self.append(record.removesuffix(_CRLF) + "\n")


def _encode_records(rows: Iterable[Iterable[object]], delimiter: str) -> bytes:
    lines = _Lines()
    csv.writer(lines, delimiter=delimiter, lineterminator=_CRLF).writerows(rows)
    return "".join(lines).encode("utf-8")


class ResultWriter(contextlib.ExitStack):
    """Write a table of results atomically, and what made them beside it in `<path>.settings.json`.

    Subclasses add rows with `write_table`, and override `empty_table` and `settings`.

    Args:
        path: The file; its suffix says csv, tsv, jsonl, parquet or arrow, perhaps followed by .gz or .zst.
        metadata: Texts to keep with the schema, in Parquet and Arrow.
        overwrite: Whether an existing file may be replaced.
        has_side: Whether settings are written beside the file.

    Raises:
        ConfigError: If the suffix is unknown.
        ArtifactError: If the file exists or the disk refuses; nothing is left behind.
    """

    ensure_ascii = True

    def __init__(
        self, path: str | Path, metadata: Mapping[str, str], *, overwrite: bool = False, has_side: bool = True
    ) -> None:
        super().__init__()
        container_of(path)
        self.path = Path(path)
        self.rows = 0
        self._metadata = dict(metadata)
        self._overwrite = overwrite
        self._has_side = has_side

    def __enter__(self) -> Self:
        self.enter_context(self._write())
        return self

    @contextlib.contextmanager
    def _write(self) -> Iterator[None]:
        """Hold the file open while rows are added, then write the settings, then put both in place."""
        with atomic_file(self.path, overwrite=self._overwrite) as part:
            with TableWriter(part, self.path, self._metadata) as self._writer:
                yield
                if not self.rows:
                    self.write_table(self.empty_table())
            # The settings come before the file: a file without them would be one of another program.
            if self._has_side:
                with atomic_file(settings_path(self.path), overwrite=True) as side:
                    write_settings(side, self.settings(), part, ensure_ascii=self.ensure_ascii)

    def write_table(self, table: pa.Table) -> None:
        """Add rows, in the order they are to have in the file."""
        self._writer.write(table)
        self.rows += table.num_rows

    def empty_table(self) -> pa.Table:
        """Return the table of a file without rows."""
        raise NotImplementedError

    def settings(self) -> dict[str, object]:
        """Return what to write beside the file, which is complete by now; its SHA-256 is added."""
        raise NotImplementedError


def write_settings(side: Path, settings: Mapping[str, object], file: Path, *, ensure_ascii: bool = True) -> None:
    """Write settings as JSON, with the SHA-256 of the file they belong to."""
    whole = dict(settings) | {"sha256": digest_of(file)}
    text = json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=ensure_ascii) + "\n"
    side.write_text(text, "utf-8", "backslashreplace")


def read_settings(path: str | Path, cure: str) -> dict[str, object]:
    """Read the settings beside a file of results, empty if there are none; a `DataError` ends with the cure."""
    side = settings_path(path)
    if str(path) == "-" or not side.is_file():
        return {}
    try:
        whole = json.loads(side.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{side} cannot be read ({error}); {cure}") from error
    return whole if isinstance(whole, dict) else {}


def as_json(value: object) -> str:
    """Encode a value as compact JSON with its characters as they are, dates and decimals as text.

    Raises:
        DataError: If the value has no JSON form.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_as_text)
    except ValueError as error:
        raise DataError(f"a value cannot be written as JSON ({error}); write Parquet or Arrow instead") from error


def _as_text(value: object) -> str:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    raise DataError(f"a value of type {type(value).__name__} cannot be written as JSON; write Parquet or Arrow instead")
