"""Open files of rows: CSV, TSV, JSON lines, Parquet, Arrow, compressed or not, or standard input.

`open_table` is the only way in; it knows containers and nothing of votes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from votecast.data.io.arrow_reader import read_arrow
from votecast.data.io.byte_source import ByteSource
from votecast.data.io.csv_reader import read_csv
from votecast.data.io.detection import find_container
from votecast.data.io.jsonl_reader import read_json_lines
from votecast.data.io.parquet_reader import read_parquet
from votecast.data.io.stream import LIBRARY_ERRORS, BadRow, RawBatch, Reject, RejectedRows, TableStream, damaged
from votecast.errors import DataError

__all__ = ["BadRow", "RawBatch", "TableStream", "open_table"]


def open_table(
    path: str | Path, *, on_bad_row: Reject | None = None, lean: bool = False, name: str | None = None
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
    reopen = functools.partial(_open, path, lambda _: None, lean, name, None)
    return _open(path, on_bad_row, lean, name, reopen)


def _open(
    path: str | Path, on_bad_row: Reject | None, lean: bool, name: str | None, reopen: Callable[[], TableStream] | None
) -> TableStream:
    source = ByteSource(path, lean=lean, name=name)
    rejected, count = RejectedRows(), None

    def _reject(bad: BadRow) -> None:
        if on_bad_row is None:
            raise DataError(bad.message(source.path))
        rejected.count, rejected.last = rejected.count + 1, bad.row
        on_bad_row(bad)

    try:
        kind = find_container(source.head, source.path)
        if kind == "jsonl":
            schema, batches = read_json_lines(source, _reject)
        elif kind in ("csv", "tsv"):
            schema, batches = read_csv(source, _reject, "\t" if kind == "tsv" else ",")
        elif kind == "arrow":
            schema, batches = read_arrow(source, _reject)
        else:
            schema, batches, count = read_parquet(source, _reject)
        return TableStream(source, kind, schema, batches, count, rejected, reopen)
    except BaseException as error:
        source.close()
        if isinstance(error, LIBRARY_ERRORS):
            raise DataError(damaged(source.path, error, source.compression)) from error
        raise
