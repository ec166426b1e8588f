"""Files without texts: numbers of each row, such as scores of both answers, and perhaps a vote."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa

from votecast.data.battles import TEXT_COLUMNS, TURNS
from votecast.data.labels import ONE_HOT, read_one_hot, read_winner
from votecast.data.parts import Part
from votecast.data.sources.base import Columns, Source


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
        columns |= {name: part.text(name) for name in self.takes} | {"id": part.text("id", required=True)}
        if not self.reads_labels:
            return columns
        if "winner" in self.uses:
            return columns | {"winner": read_winner(part, required=self.options.labels == "required")}
        return columns | {"winner": read_one_hot(part)}
