"""Files with two whole conversations: arena releases and MT-bench.

`find_format` chooses among them by the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from votecast.data.battles import TEXT_COLUMNS, TURNS
from votecast.data.cells import CellError
from votecast.data.formats.answer_pairs import Talk, join_ids
from votecast.data.formats.base import JSON, LIST, Columns, FormatOptions, VoteFormat, text_cells
from votecast.data.messages import first_turns, read_messages, turns_of
from votecast.data.row_batch import RowBatch

_CONVERSATIONS = ("conversation_a", "conversation_b")


class Arena(VoteFormat):
    """The arena releases with whole conversations: user turns are the prompt, assistant turns the answers."""

    name = "arena"
    needs: ClassVar[tuple[str, ...]] = _CONVERSATIONS
    takes: ClassVar[tuple[str, ...]] = ("id", "question_id", "model_a", "model_b", "language", "source")
    text_columns: ClassVar[tuple[str, ...]] = _CONVERSATIONS

    def mode(self, name: str, head: Sequence[pa.Table]) -> str:
        """Decide how the cells of a column hold their texts."""
        return LIST if text_cells(name, head) is None else JSON

    def convert(self, batch: RowBatch) -> Columns:
        """Convert a batch to the columns of battles."""
        rows: list[tuple[list[str | None] | None, ...]] = []
        for position, pair in enumerate(zip(*(batch.values(name) for name in _CONVERSATIONS), strict=True)):
            first = self.messages(batch, position, _CONVERSATIONS[0], pair[0])
            second = None if first is None else self.messages(batch, position, _CONVERSATIONS[1], pair[1])
            if first is None or second is None:
                rows.append((None, None, None))
                continue
            prompt, other = turns_of(first, "user"), turns_of(second, "user")
            if prompt != other:
                reason = "the two conversations have different user turns; they must share them"
                batch.fault(position, ", ".join(_CONVERSATIONS), other, reason)
            rows.append((prompt, turns_of(first, "assistant"), turns_of(second, "assistant")))
        columns = {name: pa.array([row[at] for row in rows], TURNS) for at, name in enumerate(TEXT_COLUMNS)}
        labels = self.labels(batch) if self.reads_labels else {}
        return columns | self.named_columns(batch) | self.ids(batch) | labels

    def ids(self, batch: RowBatch) -> Columns:
        """Return the column of ids."""
        name = next((name for name in ("id", "question_id") if name in self.uses), None)
        return {"id": batch.ids(name)} if name else {}

    def messages(self, batch: RowBatch, position: int, name: str, value: object) -> Talk | None:
        """Return the messages of one cell, given as a list or as JSON; None, and a fault, where it holds none."""
        if value is None:
            batch.fault(position, name, None, f"the value is missing; every row needs a {name}")
            return None
        found = batch.decoded(position, name, value)
        if found is None and position in batch.faults:
            return None
        repairs: set[str] = set()
        try:
            messages = read_messages(found, repairs)
        except CellError as error:
            batch.fault(position, name, value, str(error))
            return None
        batch.repair(repairs, position)
        return messages


class MtBench(Arena):
    """The human judgements of MT-bench: several a question, each on the first `turn` exchanges."""

    name = "mtbench"
    needs: ClassVar[tuple[str, ...]] = (*_CONVERSATIONS, "question_id", "judge", "turn")
    takes: ClassVar[tuple[str, ...]] = ("model_a", "model_b")

    def __init__(self, names: Sequence[str], head: Sequence[pa.Table], options: FormatOptions) -> None:
        super().__init__(names, head, options)
        self.notes.append("ids are question_id-model_a-model_b-judge-turn-row, as questions are judged many times")
        self.notes.append("of each conversation the first `turn` exchanges are read, as they were judged")

    def convert(self, batch: RowBatch) -> Columns:
        """Convert a batch to the columns of battles."""
        return super().convert(batch) | {"source": pa.array(["mtbench"] * len(batch), pa.large_string())}

    def ids(self, batch: RowBatch) -> Columns:
        """Return the column of ids."""
        pieces = [batch.text(name) for name in ("model_a", "model_b", "judge", "turn")]
        question = batch.ids("question_id", required=False)
        return {"id": join_ids(question, *pieces, pa.array(batch.rows).cast(pa.large_string()))}

    def messages(self, batch: RowBatch, position: int, name: str, value: object) -> Talk | None:
        """Return the messages up to the exchange that was judged."""
        found = super().messages(batch, position, name, value)
        given = batch.table.column("turn")[position].as_py() if "turn" in batch else None
        try:
            count = int(str(given))
        except ValueError:
            count = 0
        if count < 1:
            batch.fault(position, "turn", given, "the turn is not a number; allowed are whole numbers from 1 up")
        return found and first_turns(found, count)
