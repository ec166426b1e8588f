"""Files with a column for each text (LMSYS, WSDM, votecast's own), and files without texts.

`find_format` chooses among them by the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import TEXT_COLUMNS, TURNS
from votecast.data.formats.base import Columns, FormatOptions, VoteFormat
from votecast.data.labels import ONE_HOT, read_one_hot, read_probabilities, read_weight, read_winner
from votecast.data.row_batch import RowBatch


class Lmsys(VoteFormat):
    """The Kaggle files of LMSYS: one-hot votes in three columns; the test file has none."""

    name = "lmsys"
    label_columns: ClassVar[tuple[str, ...]] = ONE_HOT

    def labels(self, batch: RowBatch) -> Columns:
        """Return the votes of the rows."""
        return {"winner": read_one_hot(batch, required=self.options.labels == "required")}


class Wsdm(VoteFormat):
    """The files of the WSDM cup: `winner` is model_a or model_b, the texts are plain."""

    name = "wsdm"
    is_plain = True


class Votecast(VoteFormat):
    """votecast's own files: turns as lists, a winner, soft labels, or neither."""

    name = "votecast"
    takes: ClassVar[tuple[str, ...]] = ("id", "model_a", "model_b", "weight", "language", "source")
    label_columns: ClassVar[tuple[str, ...]] = ("winner", "probabilities")

    def __init__(self, names: Sequence[str], head: Sequence[pa.Table], options: FormatOptions) -> None:
        super().__init__(names, head, options)
        self.reads_labels = options.labels != "ignored"  # they may begin in any row

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


class Numbers(VoteFormat):
    """Rows of an id and numbers, for judges that read no text; prompt and answers have no turns."""

    name = "numbers"
    needs: ClassVar[tuple[str, ...]] = ("id",)
    takes: ClassVar[tuple[str, ...]] = ("model_a", "model_b", "language", "source")
    label_columns: ClassVar[tuple[str, ...]] = ("winner", *ONE_HOT)
    text_columns: ClassVar[tuple[str, ...]] = ()

    def convert(self, batch: RowBatch) -> Columns:
        """Convert a batch to the columns of battles."""
        columns: Columns = dict.fromkeys(TEXT_COLUMNS, pa.array([[]] * len(batch), TURNS))
        columns |= self.named_columns(batch) | self.ids(batch)
        columns |= {"weight": read_weight(batch)} if "weight" in self.uses else {}
        return columns | (self.labels(batch) if self.reads_labels else {})

    def labels(self, batch: RowBatch) -> Columns:
        """Return the votes of the rows."""
        read = read_winner if "winner" in self.uses else read_one_hot
        return {"winner": read(batch, required=self.options.labels == "required")}


class Names(Numbers):
    """Rows of two models and the vote between them, for leaderboards."""

    name = "names"
    needs: ClassVar[tuple[str, ...]] = ("model_a", "model_b")
    takes: ClassVar[tuple[str, ...]] = ("id", "weight", "language", "source")
