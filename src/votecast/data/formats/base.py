"""The base class of all formats of votes, and how a format is to be read.

`find_format` makes one for each file; `VoteReader` and `as_battles` convert batches with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import TEXT_COLUMNS
from votecast.data.cells import looks_like_list
from votecast.data.labels import read_winner
from votecast.data.row_batch import RowBatch, is_text

LIST = "list"
JSON = "json"
PLAIN = "plain"

ANONYMOUS = "anony"
"""A column of arena releases: whether the voter saw the names of the models only after the vote."""
NAMES_SHOWN = "the voter knew the names of the models (anony is false)"

Columns = dict[str, pa.Array]


@dataclass(frozen=True)
class FormatOptions:
    """How a file is to be read."""

    text: str = "auto"  # or "json" or "plain" for every text column; auto decides by the first rows
    labels: str = "optional"  # or "required" or "ignored"
    seed: int = 0  # of the sides on which chosen and rejected answers are shown
    numbers: tuple[str, ...] = ()  # columns with which a file needs no texts
    columns: tuple[tuple[str, str], ...] = ()  # names of the file by ours
    label_names: tuple[tuple[str, str], ...] = ()  # classes by the labels of the file
    ranking: bool = False  # for a leaderboard, a file that names the models needs no texts


class VoteFormat:
    """A way in which files hold votes; the defaults are those of a column for each text and one for the winner.

    A new format names its columns, and overrides what it does otherwise; add it to `FORMATS` and to `find_format`.

    Args:
        names: The columns of the file; of JSON lines, those with a value in the first rows.
        head: Its first rows, from which the mode of the text columns is decided.
        options: How to read it.

    Attributes:
        text: Mode of each text column.
        known: Columns that are read where a file has them.
        uses: Those that this file has, as far as its first rows show.
        has_labels: Whether the file can hold votes.
        reads_labels: Whether votes are read.
        notes: Remarks for the reader of the report.
        unread: Columns that seem to belong to the prompt, and are not read: a file with them is refused.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = TEXT_COLUMNS
    takes: ClassVar[tuple[str, ...]] = ("id", "model_a", "model_b", "language", "source")
    label_columns: ClassVar[tuple[str, ...]] = ("winner",)
    text_columns: ClassVar[tuple[str, ...]] = TEXT_COLUMNS
    """The columns whose cells are texts or conversations."""
    is_plain: ClassVar[bool] = False
    """Whether texts are known to be plain: then one that looks like a list is a text as it stands."""
    bytes_at_once: ClassVar[int | None] = None
    """Bytes of rows that are converted at a time, where a row may make many battles."""
    always_voted: ClassVar[bool] = False
    """Whether every row is a vote by its nature."""

    def __init__(self, names: Sequence[str], head: Sequence[pa.Table], options: FormatOptions) -> None:
        self.options = options
        self.known = frozenset((*self.needs, *self.takes, *self.label_columns, ANONYMOUS))
        self.uses = [name for name in names if name in self.known]
        self.text = {name: self.mode(name, head) for name in self.text_columns if name in self.uses}
        self.notes: list[str] = []
        self.unread: list[str] = []
        self.spellings: dict[str, str] = {}  # of models: the first of each, by its lower case
        self.has_labels = self.always_voted or any(name in self.uses for name in self.label_columns)
        self.reads_labels = self.has_labels and options.labels != "ignored"

    def mode(self, name: str, head: Sequence[pa.Table]) -> str:
        """Decide whether the cells of a column are lists already, JSON lists, or plain text."""
        cells = text_cells(name, head)
        if cells is None:
            return LIST
        return self.options.text if self.options.text != "auto" else self.guess_mode(cells)

    def guess_mode(self, cells: Sequence[memoryview]) -> str:
        """Decide between JSON lists and plain text by the first cells."""
        return JSON if cells and 2 * sum(map(looks_like_list, cells)) >= len(cells) else PLAIN

    def read(self, batch: RowBatch) -> Columns:
        """Convert a batch without the votes that do not count; what `VoteReader` and `as_battles` call."""
        columns = self.convert(batch)
        if not self.reads_labels:
            return columns
        if ANONYMOUS in batch:
            named = pc.is_in(pc.utf8_lower(batch.text(ANONYMOUS)), pa.array(["false", "0", "0.0"], pa.large_string()))
            for position in np.flatnonzero(named.to_numpy(zero_copy_only=False)).tolist():
                batch.ignore_vote(position, ANONYMOUS, NAMES_SHOWN)
        for position, (column, reason) in batch.ignored_votes.items() if self.options.labels == "required" else ():
            batch.fault(position, column, None, f"the row has no vote: {reason}; leave it out")
        if batch.ignored_votes:
            counts = pa.array(~np.isin(batch.origins, list(batch.ignored_votes)))
            for name in {"winner", "probabilities"} & set(columns):
                columns[name] = pc.if_else(counts, columns[name], pa.scalar(None, columns[name].type))
        return columns

    def parse_ahead(self, batch: RowBatch) -> None:
        """Begin to parse JSON lists in other threads; `convert` waits for them."""
        if self.text_columns == TEXT_COLUMNS:  # conversations are read row by row
            batch.parse_ahead([name for name, mode in self.text.items() if mode == JSON])

    def convert(self, batch: RowBatch) -> Columns:
        """Convert a batch to the columns of battles; what is wrong with a row is noted in the batch."""
        columns = {name: self.turns(batch, name) for name in TEXT_COLUMNS}
        batch.fault_blank(TEXT_COLUMNS)
        labels = self.labels(batch) if self.reads_labels else {}
        return columns | self.named_columns(batch) | self.ids(batch) | labels

    def turns(self, batch: RowBatch, name: str) -> pa.Array:
        """Return a column of texts as lists of turns."""
        is_guess = self.options.text == "auto" and not self.is_plain
        return batch.turns(name, self.text.get(name, LIST), is_guess=is_guess)

    def labels(self, batch: RowBatch) -> Columns:
        """Return the votes of the rows."""
        return {"winner": read_winner(batch, required=self.options.labels == "required")}

    def named_columns(self, batch: RowBatch) -> Columns:
        """Return the columns of models, language and source."""
        models = {name: batch.names(name, self.spellings) for name in ("model_a", "model_b")}
        return models | {name: batch.text(name) for name in ("language", "source")}

    def ids(self, batch: RowBatch) -> Columns:
        """Return the column of ids; empty where the file has none."""
        return {"id": batch.ids("id")} if "id" in self.uses else {}


def text_cells(name: str, head: Sequence[pa.Table]) -> list[memoryview] | None:
    """Return the non-empty texts of a column among the first rows, without copying them; None if it holds no texts."""
    columns = [table.column(name) for table in head if name in table.column_names]
    columns = [column for column in columns if is_text(column.type)]
    buffers = [cell.as_buffer() for column in columns for cell in column]
    return [memoryview(each) for each in buffers if each is not None and each.size] if columns else None
