"""Files with one conversation an answer: the later arena releases and the human judgements of MT-bench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.cells import CellError
from votecast.data.formats.base import JSON, LIST, Columns, Source, list_of
from votecast.data.labels import read_winner
from votecast.data.messages import Message, first_turns, read_messages, turns_of
from votecast.data.parts import Part

_SIDES = ("conversation_a", "conversation_b")


class Arena(Source):
    """The arena releases with whole conversations: user turns are the prompt, assistant turns the answers."""

    name = "arena"
    needs: ClassVar[tuple[str, ...]] = _SIDES
    takes: ClassVar[tuple[str, ...]] = ("id", "question_id", "model_a", "model_b", "language", "source")
    label_columns: ClassVar[tuple[str, ...]] = ("winner",)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns whose cells are texts or conversations."""
        return _SIDES

    def mode(self, name: str, head: Sequence[pa.Table]) -> str:
        """How the cells of a column hold their texts."""
        return JSON if self._is_text(name, head) else LIST

    def convert(self, part: Part) -> Columns:
        """The columns of the battles; what is wrong with a row is noted in the part."""
        values = [part.values(name) for name in _SIDES]
        rows = [self._row(part, position, pair) for position, pair in enumerate(zip(*values, strict=True))]
        prompts, answers_a, answers_b = zip(*rows, strict=True) if rows else ((), (), ())
        columns = {"prompt": list_of(prompts), "response_a": list_of(answers_a), "response_b": list_of(answers_b)}
        columns |= {name: part.text(name) for name in ("model_a", "model_b", "language", "source")}
        return columns | self.ids(part) | ({"winner": read_winner(part)} if self.reads_labels else {})

    def ids(self, part: Part) -> Columns:
        """The names of the rows."""
        name = next((name for name in ("id", "question_id") if name in self.uses), None)
        return {"id": part.text(name, required=True)} if name else {}

    def messages(self, part: Part, position: int, name: str, value: Any) -> list[Message] | None:
        """The exchanges of one cell that were voted on; None, and a fault, where it holds none."""
        return conversation(part, position, name, value)

    def _row(self, part: Part, position: int, pair: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        talks = []
        for name, value in zip(_SIDES, pair, strict=True):
            messages = self.messages(part, position, name, value)
            if messages is None:
                return None, None, None
            talks.append(messages)
        prompt, other = (turns_of(talk, "user") for talk in talks)
        if prompt != other:
            part.fault(
                position,
                ", ".join(_SIDES),
                other,
                "the two conversations have different user turns; they must share them",
            )
        return prompt, turns_of(talks[0], "assistant"), turns_of(talks[1], "assistant")


class MtBench(Arena):
    """The human judgements of MT-bench: several a question, each on the first `turn` exchanges."""

    name = "mtbench"
    needs: ClassVar[tuple[str, ...]] = (*_SIDES, "question_id", "judge", "turn")
    takes: ClassVar[tuple[str, ...]] = ("model_a", "model_b")
    label_columns: ClassVar[tuple[str, ...]] = ("winner",)

    def __init__(self, names: Sequence[str], *args: Any) -> None:
        super().__init__(names, *args)
        self.notes.append("ids are question_id-model_a-model_b-judge-turn-row, as questions are judged many times")
        self.notes.append("of each conversation the first `turn` exchanges are read, as they were judged")

    def convert(self, part: Part) -> Columns:
        """The columns of the battles; what is wrong with a row is noted in the part."""
        columns = super().convert(part)
        source = pa.array(["mtbench"] * len(part), pa.large_string())
        return columns | {"source": source}

    def ids(self, part: Part) -> Columns:
        """The names of the rows."""
        names = ("question_id", "model_a", "model_b", "judge", "turn")
        pieces = [pc.fill_null(part.text(name), "") for name in names]
        rows = pa.array(part.rows).cast(pa.large_string())
        return {"id": pc.binary_join_element_wise(*pieces, rows, pa.scalar("-", pa.large_string()))}

    def messages(self, part: Part, position: int, name: str, value: Any) -> list[Message] | None:
        """The exchanges up to the one that was judged."""
        found = super().messages(part, position, name, value)
        given = part.table.column("turn")[position].as_py() if "turn" in part else None
        try:
            count = int(str(given))
        except ValueError:
            count = 0
        if count < 1:
            part.fault(position, "turn", given, "the turn is no number; allowed are whole numbers from 1 up")
        return found and first_turns(found, count)


def conversation(part: Part, position: int, name: str, value: Any) -> list[Message] | None:
    """The messages of one cell, given as a list or as JSON; None, and a fault, where it holds none."""
    if value is None:
        part.fault(position, name, None, f"the value is missing; every row needs a {name}")
        return None
    found = part.decoded(position, name, value)
    if position in part.faults and found is None:
        return None
    repairs: set[str] = set()
    try:
        messages = read_messages(found, repairs)
    except CellError as error:
        part.fault(position, name, value, str(error))
        return None
    part.repair(repairs, position)
    return messages
