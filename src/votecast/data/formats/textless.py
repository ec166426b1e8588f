"""Files without texts: numbers of each row, such as scores of both answers, or the names of two models."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa

from votecast.data.battles import TEXT_COLUMNS, TURNS
from votecast.data.formats.base import Columns, VoteFormat
from votecast.data.labels import ONE_HOT, read_one_hot, read_weight, read_winner
from votecast.data.row_batch import RowBatch


class Numbers(VoteFormat):
    """Rows of an id and numbers, for judges that read no text; prompt and answers have no turns."""

    name = "numbers"
    needs: ClassVar[tuple[str, ...]] = ("id",)
    takes: ClassVar[tuple[str, ...]] = ("model_a", "model_b", "language", "source")
    label_columns: ClassVar[tuple[str, ...]] = ("winner", *ONE_HOT)

    def convert(self, batch: RowBatch) -> Columns:
        """Convert a batch to the columns of battles."""
        columns: Columns = dict.fromkeys(TEXT_COLUMNS, pa.array([[]] * len(batch), TURNS))
        columns |= self.named_columns(batch) | self.ids(batch)
        columns |= {"weight": read_weight(batch)} if "weight" in self.uses else {}
        if not self.reads_labels:
            return columns
        if "winner" in self.uses:
            return columns | {"winner": read_winner(batch, required=self.options.labels == "required")}
        return columns | {"winner": read_one_hot(batch)}


class Names(Numbers):
    """Rows of two models and the vote between them, for leaderboards."""

    name = "names"
    needs: ClassVar[tuple[str, ...]] = ("model_a", "model_b")
    takes: ClassVar[tuple[str, ...]] = ("id", "weight", "language", "source")
