"""What every container hands on: batches of raw rows, and the rows that could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.errors import DataError

BATCH_BYTES = 2 << 20
"""Text of about this size is held at a time, or twice as much of a large file."""
LEAN_BATCH_BYTES = 512 << 10
"""The same where memory counts and time does not."""
LARGE_FILE = 96 << 20
"""From this size on, speed is worth some megabytes."""
LARGEST_ROW = 256 << 20
"""A row beyond this is refused: far more likely a quote that never closes."""
LIBRARY_FAULTS = (pa.ArrowException, OSError, MemoryError, ValueError)
"""What the libraries below raise on damaged files."""
_SHOWN = 80


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read.

    Args:
        row: Number of the row in the file, the first row of data being 1.
        column: The column at fault, where it is known.
        value: What stands there.
        reason: What is wrong with it and what is allowed.
    """

    row: int
    column: str | None
    value: str
    reason: str

    def message(self, path: str) -> str:
        """One line that names file, row, column and value.

        Example:
            >>> BadRow(3, "winner", "draw", "allowed are a, b and tie").message("votes.csv")
            "votes.csv, row 3, column 'winner': allowed are a, b and tie; given is 'draw'"
        """
        column = f", column {self.column!r}" if self.column is not None else ""
        return f"{path}, row {self.row}{column}: {self.reason}; given is {shown(self.value)}"


@dataclass(frozen=True)
class RawBatch:
    """Some consecutive rows of a file, as the container holds them.

    Args:
        table: The rows. Cells of a CSV file are all text, an empty cell is an empty text.
        rows: Number of each row in the file, from 1, shape (n,).
        repairs: For each kind of repair, the numbers of the rows where it was made.
        encoded: Columns whose lists or objects no single Arrow type fits; each cell is the JSON of the value instead.
    """

    table: pa.Table
    rows: NDArray[np.int64]
    repairs: Mapping[str, list[int]] = field(default_factory=dict)
    encoded: frozenset[str] = frozenset()


class Rejects:
    """Where unreadable rows go: to a handler, or up as an error when there is none."""

    def __init__(self, path: str, handler: Callable[[BadRow], None] | None) -> None:
        self.path = path
        self._handler = handler

    def __call__(self, bad: BadRow) -> None:
        """Hand one bad row on.

        Raises:
            DataError: If nobody takes bad rows.
        """
        if self._handler is None:
            raise DataError(bad.message(self.path))
        self._handler(bad)


class TableStream:
    """A file of rows, read in parts and once.

    Args:
        path: Name to show in messages.
        container: csv, tsv, jsonl, parquet or arrow.
        compression: gzip or zstd; None where the file is not compressed.
        schema: Types of the columns; for JSON lines those of the first batch, later ones may differ.
        batches: The rows.
        close: Called once when the stream is closed or used up.

    Example:
        >>> stream = TableStream("x", "csv", None, pa.schema([]), iter([]), lambda: None)
        >>> with stream:
        ...     list(stream)
        []
    """

    def __init__(
        self,
        path: str,
        container: str,
        compression: str | None,
        schema: pa.Schema,
        batches: Iterator[RawBatch],
        close: Callable[[], None],
    ) -> None:
        self.path = path
        self.container = container
        self.compression = compression
        self.schema = schema
        self._batches = batches
        self._close = close

    @property
    def names(self) -> list[str]:
        """The columns, in the order of the file."""
        return list(self.schema.names)

    def __iter__(self) -> Iterator[RawBatch]:
        row = 0
        try:
            for batch in self._batches:
                row = int(batch.rows[-1]) if len(batch.rows) else row
                yield batch
        except LIBRARY_FAULTS as error:
            raise DataError(damaged(self.path, error, self.compression, after=row)) from error
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def choose_columns(path: str, names: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """The columns to read, in the order asked for.

    Raises:
        DataError: If the file names a column twice, or lacks one that is wanted.

    Example:
        >>> choose_columns("votes.csv", ["id", "winner"], None)
        ['id', 'winner']
    """
    doubled = [repr(name) for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise DataError(
            f"{path}, header: more than one column is named {', '.join(doubled)}; rename or remove the doubles"
        )
    missing = [repr(name) for name in wanted or () if name not in names]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}; it has {', '.join(map(repr, names))}")
    return list(names if wanted is None else wanted)


def damaged(path: str, error: BaseException, compression: str | None, *, after: int = 0) -> str:
    """The message for a file that stops making sense, from what the library below reports."""
    where = f" after row {after}" if after else ""
    what = f"is damaged or cut short{where}" + (f" ({compression})" if compression else "")
    detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"{path} {what}: {detail}; copy, download or write it again"


def shown(value: str) -> str:
    """A value as it stands in a message: quoted, and not longer than a line.

    Example:
        >>> shown("x")
        "'x'"
    """
    return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}... ({len(value)} characters)"
