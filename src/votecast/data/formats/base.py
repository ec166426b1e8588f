"""The base class of all formats of votes, and how a format is to be read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import TURNS
from votecast.data.cells import looks_like_list
from votecast.data.row_batch import RowBatch, is_text

LIST = "list"
JSON = "json"
PLAIN = "plain"

Columns = dict[str, pa.Array]


@dataclass(frozen=True)
class FormatOptions:
    """How a file is to be read.

    Args:
        text: "json" or "plain" for every text column, or "auto" to decide by the first rows.
        labels: "required", "optional" or "ignored".
        seed: Seed of the sides on which chosen and rejected answers are shown.
        numbers: Columns of numbers with which a file needs no texts.
        ranking: Whether the rows are for a leaderboard, for which a file that names the models needs no texts.
    """

    text: str = "auto"
    labels: str = "optional"
    seed: int = 0
    numbers: tuple[str, ...] = ()
    ranking: bool = False


class VoteFormat(ABC):
    """A way in which files hold votes.

    A new format names its columns, and converts them in `convert`; add it to `FORMATS` and to `find_format`.

    Args:
        names: The columns of the file; of JSON lines, those with a value in the first rows.
        head: Its first rows, from which the mode of the text columns is decided.
        options: How to read it.

    Attributes:
        text: Mode of each text column.
        known: Columns that are read where a file has them.
        uses: Those that this file has, as far as its first rows show.
        notes: Remarks for the reader of the report.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    takes: ClassVar[tuple[str, ...]] = ()
    label_columns: ClassVar[tuple[str, ...]] = ()
    text_columns: ClassVar[tuple[str, ...]] = ()
    """The columns whose cells are texts or conversations."""

    def __init__(self, names: Sequence[str], head: Sequence[pa.Table], options: FormatOptions) -> None:
        self.options = options
        self.known = frozenset((*self.needs, *self.takes, *self.label_columns))
        self.uses = [name for name in names if name in self.known]
        self.text = {name: self.mode(name, head) for name in self.text_columns if name in self.uses}
        self.notes: list[str] = []

    @property
    def has_labels(self) -> bool:
        """Whether the file can hold votes."""
        return any(name in self.uses for name in self.label_columns)

    @property
    def reads_labels(self) -> bool:
        """Whether votes are read."""
        return self.has_labels and self.options.labels != "ignored"

    def parse_ahead(self, batch: RowBatch) -> None:  # noqa: B027 - only formats with texts in columns of their own gain
        """Begin to parse the texts of a batch in other threads; `convert` waits for them."""

    @abstractmethod
    def convert(self, batch: RowBatch) -> Columns:
        """Convert a batch to the columns of battles; what is wrong with a row is noted in the batch."""

    def named_columns(self, batch: RowBatch) -> Columns:
        """Return the columns of models, language and source."""
        return {name: batch.text(name) for name in ("model_a", "model_b", "language", "source")}

    def ids(self, batch: RowBatch) -> Columns:
        """Return the column of ids; empty where the file has none."""
        return {"id": batch.text("id", required=True)} if "id" in self.uses else {}

    def mode(self, name: str, head: Sequence[pa.Table]) -> str:
        """Decide whether the cells of a column are lists already, JSON lists, or plain text."""
        cells = list(text_cells(name, head))
        if not cells and not self._is_text(name, head):
            return LIST
        if self.options.text != "auto":
            return self.options.text
        return JSON if cells and 2 * sum(map(looks_like_list, cells)) >= len(cells) else PLAIN

    @staticmethod
    def _is_text(name: str, head: Sequence[pa.Table]) -> bool:
        return any(is_text(table.schema.field(name).type) for table in head if name in table.column_names)


def text_cells(name: str, head: Sequence[pa.Table]) -> Iterator[memoryview]:
    """Yield the texts of a column among the first rows that are neither missing nor empty, without copying them."""
    for table in head:
        if name in table.column_names and is_text(table.schema.field(name).type):
            for cell in table.column(name):
                buffer = cell.as_buffer()
                if buffer is not None and buffer.size:
                    yield memoryview(buffer)


def list_of(turns: Sequence[object]) -> pa.Array:
    """Build a column of turns."""
    return pa.array(turns, TURNS)


def join_ids(*pieces: pa.Array) -> pa.Array:
    """Join columns to ids with hyphens; missing pieces are empty."""
    return pc.binary_join_element_wise(*(pc.fill_null(each, "") for each in pieces), pa.scalar("-", pa.large_string()))
