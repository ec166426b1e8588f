"""Open files of rows: CSV, TSV, JSON lines, Parquet, Arrow, compressed or not, or standard input.

`open_table` is the only way in; it knows containers and nothing of votes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from votecast.data.io.byte_source import ByteSource
from votecast.data.io.csv_reader import CsvReader
from votecast.data.io.detection import find_container
from votecast.data.io.jsonl_reader import JsonLinesReader
from votecast.data.io.parquet_reader import ParquetReader
from votecast.data.io.stream import LARGE_FILE, LIBRARY_ERRORS, BadRow, RawBatch, TableReader, TableStream, damaged
from votecast.errors import DataError

__all__ = ["LARGE_FILE", "BadRow", "RawBatch", "TableStream", "open_table"]


def open_table(
    path: str | Path,
    *,
    on_bad_row: Callable[[BadRow], None] | None = None,
    lean: bool = False,
    name: str | None = None,
) -> TableStream:
    r"""Open a file of rows to be read in parts; memory stays flat whatever its length.

    Args:
        path: A file, or "-" for standard input.
        on_bad_row: Called with each row that cannot be read, which is then left out; None makes the first one an error.
        lean: Whether to hold as little as possible at a time, at the price of time.
        name: What to call the file in messages, where its path is temporary; its suffixes count as those of the path.

    Returns:
        A stream of batches of some megabytes. Cells of CSV are all text and never null: an empty cell is an empty text.
        JSON values are typed as Arrow infers them, batch by batch. Parquet and Arrow keep their types.

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
    source = ByteSource(path, lean=lean, name=name)

    def _reject(bad: BadRow) -> None:
        if on_bad_row is None:
            raise DataError(bad.message(source.path))
        on_bad_row(bad)

    try:
        kind = find_container(source.head, source.path)
        reader: TableReader
        if kind == "jsonl":
            reader = JsonLinesReader(source, _reject)
        elif kind in ("csv", "tsv"):
            reader = CsvReader(source, _reject, "\t" if kind == "tsv" else ",")
        else:
            reader = ParquetReader(source, _reject, kind)
    except LIBRARY_ERRORS as error:
        source.close()
        raise DataError(damaged(source.path, error, source.compression)) from error
    except BaseException:
        source.close()
        raise
    return TableStream(source, kind, reader)
