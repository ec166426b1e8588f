"""What every container yields: batches of raw rows, the rows that cannot be read, and the errors of damaged files.

The readers of this package yield `RawBatch`es; `open_table` wraps them in a `TableStream`.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.errors import DataError

if TYPE_CHECKING:
    from votecast.data.io.byte_source import ByteSource

LARGE_FILE = 96 << 20
"""From this size on, speed is worth some megabytes."""
LARGEST_ROW = 16 << 20
"""Bytes of the largest row that is read; beyond it most likely a quote is never closed."""
MOST_COLUMNS = 1000
"""Columns of the widest file that is read; of JSON lines, different keys in all rows."""
LIBRARY_ERRORS = (pa.ArrowException, OSError, MemoryError, ValueError)
"""What the libraries below raise on damaged files."""
_SHOWN = 80


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read.

    Args:
        row: Number of the row in the file, the first row of data being 1.
        column: The column at fault, where it is known.
        value: Its value.
        reason: What is wrong with it and what is allowed.
    """

    row: int
    column: str | None
    value: str
    reason: str

    def message(self, path: str) -> str:
        """Name file, row, column and value in one line.

        Example:
            >>> BadRow(3, "winner", "draw", "allowed are a, b and tie").message("votes.csv")
            "votes.csv, row 3, column 'winner': allowed are a, b and tie; given is 'draw'"
        """
        column = f", column {self.column!r}" if self.column is not None else ""
        return f"{path}, row {self.row}{column}: {self.reason}; given is {shown(self.value)}"


Reject = Callable[[BadRow], None]
"""Takes a row that cannot be read."""


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


@dataclass
class RejectedRows:
    """How many rows of a file were rejected, and the number of the last one."""

    count: int = 0
    last: int = 0


class TableStream(contextlib.ExitStack):
    """A file of rows, read in parts and once; its source is closed when the stream is closed or used up.

    Attributes:
        container: csv, tsv, jsonl, parquet or arrow.
        schema: Types of the columns; for JSON lines those of the first batch, later ones may differ.
        names: The columns, in the order of the file.
        rows: How many rows were read so far, good and rejected ones.
        is_large: Whether speed is worth some megabytes; False for a pipe.

    Raises:
        DataError: If two columns have the same name, or there are more than `MOST_COLUMNS`.
    """

    def __init__(
        self,
        source: ByteSource,
        container: str,
        schema: pa.Schema,
        batches: Iterator[RawBatch],
        count: int | None,
        rejected: RejectedRows,
        reopen: Callable[[], TableStream] | None = None,
    ) -> None:
        if len(schema.names) > MOST_COLUMNS:
            raise too_many_columns(source.path)
        doubled = [repr(name) for name, count in Counter(schema.names).items() if count > 1]
        if doubled:
            raise DataError(
                f"{source.path}, header: more than one column is named {', '.join(doubled)}; rename or remove the "
                "doubles"
            )
        super().__init__()
        self.push(source)
        self.path = source.path
        self.container = container
        self.compression = source.compression
        self.schema = schema
        self.names: list[str] = list(schema.names)
        self.is_large = source.bytes_on_disk >= LARGE_FILE
        self._source = source
        self._batches = batches
        self._count = count
        self._rejected = rejected
        self._reopen = reopen
        self.rows = 0

    @property
    def expected_rows(self) -> float | None:
        """About how many rows the file has, from the share of its bytes that is read by now; None for a pipe."""
        if self._count is not None:
            return self._count
        share = self._source.share_read
        return self.rows / share if share and self.rows else None

    def __iter__(self) -> Iterator[RawBatch]:
        """Yield the batches; at the end check that every row of the file was yielded or rejected.

        Raises:
            DataError: If the file is damaged, unpacks to far more than it is, or a row is missing.
        """
        count = size = 0
        names = set[str]()
        try:
            for batch in self._batches:
                if not len(batch.rows):
                    continue
                count += len(batch.rows)
                self.rows = int(batch.rows[-1])
                size += batch.table.nbytes
                self._source.check_unpacked(size)
                if self._reopen is not None and self._source.is_suspect(size):
                    # Work on its rows may take long: it begins when the file is known to be no bomb.
                    with self._reopen() as again:
                        for _ in again:
                            pass
                    self._reopen = None
                names.update(batch.table.column_names)
                if len(names) > MOST_COLUMNS:
                    raise too_many_columns(self.path)
                yield batch
            self.rows = max(self.rows, self._rejected.last)
            if count + self._rejected.count != self.rows or self._count not in (None, self.rows):
                raise DataError(
                    f"{self.path} has {self._count or self.rows} rows, of which {count} were read and "
                    f"{self._rejected.count} rejected; the file is damaged, or votecast reads it wrongly: write it "
                    "again, and report it if that does not help"
                )
        except LIBRARY_ERRORS as error:
            raise DataError(damaged(self.path, error, self.compression, after=self.rows)) from error
        finally:
            self.close()


def too_many_columns(path: str) -> DataError:
    """Compose the error for a file with too many columns."""
    return DataError(
        f"{path} has more than {MOST_COLUMNS:,} columns, the most that is read; leave out those that votecast does not "
        "use, or check whether keys hold data"
    )


def damaged(path: str, error: BaseException, compression: str | None, *, after: int = 0) -> str:
    """Compose the message for a damaged file from the error of the library below."""
    where = f" after row {after}" if after else ""
    what = f"is damaged or truncated{where}" + (f" ({compression})" if compression else "")
    detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"{path} {what}: {detail}; copy, download or write it again"


def encoding_problem(data: bytes, error: UnicodeDecodeError) -> str:
    r"""Compose the message for a byte that is not UTF-8."""
    return (
        f"byte 0x{data[error.start]:02x} is not UTF-8, the only encoding allowed; the file is probably in Windows-1252 "
        "or Latin-1 (for example: iconv -f WINDOWS-1252 -t UTF-8) or damaged here"
    )


def shown(value: str) -> str:
    """Quote a value for a message, no longer than a line."""
    return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}... ({len(value)} characters)"
