"""Files of rows, whatever holds them: CSV, TSV, JSON lines, Parquet, Arrow, compressed or not, or standard input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from votecast.data.io.columnar import ColumnarReader
from votecast.data.io.delimited import DelimitedReader
from votecast.data.io.detection import find_container
from votecast.data.io.jsonl import JsonLinesReader
from votecast.data.io.sources import Source
from votecast.data.io.stream import LARGE_FILE, LIBRARY_FAULTS, BadRow, RawBatch, Rejects, TableStream, damaged
from votecast.errors import DataError

__all__ = ["LARGE_FILE", "BadRow", "RawBatch", "TableStream", "open_table"]


def open_table(
    path: str | Path,
    *,
    container: str | None = None,
    columns: Sequence[str] | None = None,
    on_bad_row: Callable[[BadRow], None] | None = None,
    lean: bool = False,
    name: str | None = None,
) -> TableStream:
    r"""Open a file of rows to be read in parts; memory stays flat whatever its length.

    Args:
        path: A file, or "-" for standard input.
        container: csv, tsv, jsonl, parquet or arrow; found by the first bytes and the name when None.
        columns: The columns to read; all when None.
        on_bad_row: Takes rows that cannot be read, which are then left out; None makes the first one an error.
        lean: Whether to hold as little as possible at a time, at the price of time.
        name: What to call the file in messages, where its path says nothing; its suffixes count as those of the path.

    Returns:
        A stream of batches of some megabytes. Cells of CSV are all text and never null: an empty cell is an empty text.
        JSON values are typed as Arrow finds them, batch by batch. Parquet and Arrow keep their types.

    Raises:
        DataError: If the file cannot be read; the message says what it is, what is allowed and what to do.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "votes.csv"
        >>> _ = path.write_text("id,winner\n007,a\n8,b\n")
        >>> with open_table(path) as stream:
        ...     [batch.table.to_pydict() for batch in stream]
        [{'id': ['007', '8'], 'winner': ['a', 'b']}]
    """
    source = Source(path, lean=lean, name=name)
    rejects = Rejects(source.path, on_bad_row)
    try:
        kind = find_container(source.head, source.path, container)
        reader = _reader(kind, source, rejects, columns)
    except LIBRARY_FAULTS as error:
        source.close()
        raise DataError(damaged(source.path, error, source.compression)) from error
    except BaseException:
        source.close()
        raise
    return TableStream(source.path, kind, source.compression, reader.schema, reader.batches(), source.close)


_Reader = ColumnarReader | DelimitedReader | JsonLinesReader


def _reader(kind: str, source: Source, rejects: Rejects, columns: Sequence[str] | None) -> _Reader:
    if kind == "jsonl":
        return JsonLinesReader(source, rejects, columns)
    if kind in ("csv", "tsv"):
        return DelimitedReader(source, rejects, "\t" if kind == "tsv" else ",", columns)
    return ColumnarReader(source, rejects, kind, columns)
