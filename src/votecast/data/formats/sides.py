"""Files with one column a text: prompt, response_a, response_b. LMSYS, WSDM and votecast's own."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import TEXT_COLUMNS
from votecast.data.formats.base import LIST, Columns, Source
from votecast.data.labels import ONE_HOT, read_one_hot, read_probabilities, read_weight, read_winner
from votecast.data.parts import Part


class _Sides(Source):
    needs: ClassVar[tuple[str, ...]] = TEXT_COLUMNS

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns whose cells are texts or conversations."""
        return TEXT_COLUMNS

    @property
    def _modes(self) -> dict[str, str]:
        return {name: self.text.get(name, LIST) for name in TEXT_COLUMNS}

    def parse_ahead(self, part: Part) -> None:
        """Begin to parse the texts of a part."""
        part.parse_ahead(self._modes)

    def convert(self, part: Part) -> Columns:
        """The columns of the battles; what is wrong with a row is noted in the part."""
        columns = {name: part.turns(name, mode) for name, mode in self._modes.items()}
        columns |= {name: part.text(name) for name in ("model_a", "model_b", "language", "source")}
        if "id" in self.uses:
            columns["id"] = part.text("id", required=True)
        return columns | (self.labels(part) if self.reads_labels else {})

    def labels(self, part: Part) -> Columns:
        """The votes of the rows."""
        return {"winner": read_winner(part)}


class Lmsys(_Sides):
    """The Kaggle files of LMSYS: one-hot votes in three columns; the test file has none."""

    name = "lmsys"
    takes: ClassVar[tuple[str, ...]] = ("id", "model_a", "model_b", "language", "source")
    label_columns: ClassVar[tuple[str, ...]] = ONE_HOT

    def labels(self, part: Part) -> Columns:
        """The votes of the rows."""
        return {"winner": read_one_hot(part)}


class Wsdm(_Sides):
    """The files of the WSDM cup: `winner` is model_a or model_b, the texts are plain."""

    name = "wsdm"
    takes: ClassVar[tuple[str, ...]] = ("id", "model_a", "model_b", "language", "source")
    label_columns: ClassVar[tuple[str, ...]] = ("winner",)


class Votecast(_Sides):
    """votecast's own files: turns as lists, a winner, soft labels, or neither."""

    name = "votecast"
    takes: ClassVar[tuple[str, ...]] = ("id", "model_a", "model_b", "weight", "language", "source")
    label_columns: ClassVar[tuple[str, ...]] = ("winner", "probabilities")

    @property
    def reads_labels(self) -> bool:
        """Votes may begin in any row."""
        return self.options.labels != "ignored"

    def convert(self, part: Part) -> Columns:
        """The columns of the battles; what is wrong with a row is noted in the part."""
        return super().convert(part) | ({"weight": read_weight(part)} if "weight" in part else {})

    def labels(self, part: Part) -> Columns:
        """The votes of the rows."""
        winner = read_winner(part, required=False)
        if "probabilities" not in part:
            return {"winner": self._required(part, winner, pc.is_valid(winner))}
        soft = read_probabilities(part)
        return {
            "winner": self._required(part, winner, pc.or_(pc.is_valid(winner), pc.is_valid(soft))),
            "probabilities": soft,
        }

    def _required(self, part: Part, winner: pa.Array, labelled: pa.BooleanArray) -> pa.Array:
        """A row without a vote is a battle nobody voted on, unless votes are required."""
        if self.options.labels == "required":
            for position, known in enumerate(labelled.to_pylist()):
                if not known:
                    part.fault(
                        position,
                        "winner",
                        None,
                        "the row has no vote; every row needs a winner (a, b, tie) or probabilities",
                    )
        return winner
