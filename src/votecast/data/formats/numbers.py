"""Files without texts: numbers of each row, such as scores of both answers, or the names of two models."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa

from votecast.data.battles import TEXT_COLUMNS, TURNS
from votecast.data.formats.base import Columns, Source
from votecast.data.labels import ONE_HOT, read_one_hot, read_weight, read_winner
from votecast.data.parts import Part


class Numbers(Source):
    """Rows of an id and numbers, for judges that read no text; prompt and answers have no turns."""

    name = "numbers"
    needs: ClassVar[tuple[str, ...]] = ("id",)
    takes: ClassVar[tuple[str, ...]] = ("model_a", "model_b", "language", "source")
    label_columns: ClassVar[tuple[str, ...]] = ("winner", *ONE_HOT)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """There are none."""
        return ()

    def convert(self, part: Part) -> Columns:
        """The columns of the battles; what is wrong with a row is noted in the part."""
        nothing = pa.array([[]] * len(part), TURNS)
        columns: Columns = dict.fromkeys(TEXT_COLUMNS, nothing)
        columns |= {name: part.text(name) for name in ("model_a", "model_b", "language", "source")}
        columns |= {"weight": read_weight(part)} if "weight" in self.uses else {}
        columns |= {"id": part.text("id", required=True)} if "id" in self.uses else {}
        if not self.reads_labels:
            return columns
        if "winner" in self.uses:
            return columns | {"winner": read_winner(part, required=self.options.labels == "required")}
        return columns | {"winner": read_one_hot(part)}


class Names(Numbers):
    """Rows of two models and the vote between them, for leaderboards."""

    name = "names"
    needs: ClassVar[tuple[str, ...]] = ("model_a", "model_b")
    takes: ClassVar[tuple[str, ...]] = ("id", "weight", "language", "source")
