"""Files with one column a text (prompt, response_a, response_b): LMSYS, WSDM and votecast's own."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow.compute as pc

from votecast.data.battles import TEXT_COLUMNS
from votecast.data.formats.base import LIST, Columns, VoteFormat
from votecast.data.labels import ONE_HOT, read_one_hot, read_probabilities, read_weight, read_winner
from votecast.data.row_batch import RowBatch


class _Plain(VoteFormat):
    needs: ClassVar[tuple[str, ...]] = TEXT_COLUMNS
    takes: ClassVar[tuple[str, ...]] = ("id", "model_a", "model_b", "language", "source")
    text_columns: ClassVar[tuple[str, ...]] = TEXT_COLUMNS

    def parse_ahead(self, batch: RowBatch) -> None:
        """Begin to parse the texts of a batch."""
        batch.parse_ahead({name: self.text.get(name, LIST) for name in TEXT_COLUMNS})

    def convert(self, batch: RowBatch) -> Columns:
        """Convert a batch to the columns of battles."""
        columns = {name: batch.turns(name, self.text.get(name, LIST)) for name in TEXT_COLUMNS}
        labels = self.labels(batch) if self.reads_labels else {}
        return columns | self.named_columns(batch) | self.ids(batch) | labels

    def labels(self, batch: RowBatch) -> Columns:
        """Return the votes of the rows."""
        return {"winner": read_winner(batch)}


class Lmsys(_Plain):
    """The Kaggle files of LMSYS: one-hot votes in three columns; the test file has none."""

    name = "lmsys"
    label_columns: ClassVar[tuple[str, ...]] = ONE_HOT

    def labels(self, batch: RowBatch) -> Columns:
        """Return the votes of the rows."""
        return {"winner": read_one_hot(batch)}


class Wsdm(_Plain):
    """The files of the WSDM cup: `winner` is model_a or model_b, the texts are plain."""

    name = "wsdm"
    label_columns: ClassVar[tuple[str, ...]] = ("winner",)


class Votecast(_Plain):
    """votecast's own files: turns as lists, a winner, soft labels, or neither."""

    name = "votecast"
    takes: ClassVar[tuple[str, ...]] = ("id", "model_a", "model_b", "weight", "language", "source")
    label_columns: ClassVar[tuple[str, ...]] = ("winner", "probabilities")

    @property
    def reads_labels(self) -> bool:
        """Whether votes are read: they may begin in any row."""
        return self.options.labels != "ignored"

    def convert(self, batch: RowBatch) -> Columns:
        """Convert a batch to the columns of battles."""
        return super().convert(batch) | ({"weight": read_weight(batch)} if "weight" in batch else {})

    def labels(self, batch: RowBatch) -> Columns:
        """Return the votes of the rows; one without is a battle without a label, unless votes are required."""
        columns = {"winner": read_winner(batch, required=False)}
        labelled = pc.is_valid(columns["winner"])
        if "probabilities" in batch:
            columns["probabilities"] = read_probabilities(batch)
            labelled = pc.or_(labelled, pc.is_valid(columns["probabilities"]))
        if self.options.labels == "required":
            for position in np.flatnonzero(~labelled.to_numpy(zero_copy_only=False)):
                reason = "the row has no vote; every row needs a winner (a, b, tie) or probabilities"
                batch.fault(int(position), "winner", None, reason)
        return columns
