"""What every source of votes has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from votecast.data.battles import TURNS
from votecast.data.cells import looks_like_list
from votecast.data.parts import Part

LIST = "list"
JSON = "json"
PLAIN = "plain"

Columns = dict[str, pa.Array]


@dataclass(frozen=True)
class Options:
    """How a source is to be read.

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


class Source(ABC):
    """A way in which files hold votes.

    Args:
        names: The columns of the file; of JSON lines, those with a value in the first rows.
        head: Its first rows, from which the mode of the text columns is decided.
        options: How to read it.

    Attributes:
        text: Mode of each text column.
        known: Columns that are read where a file has them.
        uses: Those that this file has, as far as its first rows tell.
        notes: Remarks for the reader of the report.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    takes: ClassVar[tuple[str, ...]] = ()
    label_columns: ClassVar[tuple[str, ...]] = ()

    def __init__(self, names: Sequence[str], head: Sequence[pa.Table], options: Options) -> None:
        self.options = options
        self.known = frozenset((*self.needs, *self.takes, *self.label_columns))
        self.uses = [name for name in names if name in self.known]
        self.text = {name: self.mode(name, head) for name in self.text_columns if name in self.uses}
        self.notes: list[str] = []

    @property
    @abstractmethod
    def text_columns(self) -> tuple[str, ...]:
        """The columns whose cells are texts or lists of texts."""

    @property
    def has_labels(self) -> bool:
        """Whether the file can hold votes."""
        return any(name in self.uses for name in self.label_columns)

    @property
    def reads_labels(self) -> bool:
        """Whether votes are looked at."""
        return self.has_labels and self.options.labels != "ignored"

    def parse_ahead(self, part: Part) -> None:  # noqa: B027 - only formats with texts in columns of their own gain by it
        """Begin to parse the texts of a part, to be waited for in `convert`."""

    @abstractmethod
    def convert(self, part: Part) -> Columns:
        """The columns of the battles; what is wrong with a row is noted in the part."""

    def mode(self, name: str, head: Sequence[pa.Table]) -> str:
        """Whether the cells of a column are lists already, JSON lists, or plain text."""
        cells = list(text_cells(name, head))
        if not cells and not self._is_text(name, head):
            return LIST
        if self.options.text != "auto":
            return self.options.text
        return JSON if cells and 2 * sum(map(looks_like_list, cells)) >= len(cells) else PLAIN

    @staticmethod
    def _is_text(name: str, head: Sequence[pa.Table]) -> bool:
        return any(_is_text(table.schema.field(name).type) for table in head if name in table.column_names)


def text_cells(name: str, head: Sequence[pa.Table]) -> Iterator[memoryview]:
    """The texts of a column among the first rows that are neither missing nor empty, without copying them."""
    for table in head:
        if name in table.column_names and _is_text(table.schema.field(name).type):
            for cell in table.column(name):
                buffer = cell.as_buffer()
                if buffer is not None and buffer.size:
                    yield memoryview(buffer)


def list_of(turns: Sequence[Any]) -> pa.Array:
    """Lists of turns as Arrow holds them."""
    return pa.array(turns, TURNS)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
