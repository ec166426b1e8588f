"""Pairs of a chosen and a rejected answer, and the benchmarks written that way.

`find_format` chooses among them by the columns.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import TEXT_COLUMNS, TURNS
from votecast.data.cells import CellError, json_kind, looks_like_list, mend
from votecast.data.formats.base import JSON, LIST, PLAIN, Columns, FormatOptions, Talk, VoteFormat, join_ids, read_talk
from votecast.data.messages import (
    looks_like_messages,
    looks_like_transcript,
    read_messages,
    read_transcript,
    turns_of,
)
from votecast.data.row_batch import RowBatch

TRANSCRIPT = "transcript"
_ANSWERS = ("chosen", "rejected")

_Sides = tuple[list[str | None] | None, list[str | None] | None, list[str | None] | None, bool]
"""Prompt and both answers of a row, and whether the chosen answer is the first; no turns if the row is bad."""
_BAD: _Sides = (None, None, None, True)


class ChosenRejected(VoteFormat):
    """Chosen and rejected answers, as text, messages or transcripts, with or without a prompt.

    "Chosen" always first would reveal the answer: the side of each answer follows from a hash of the texts and the
    seed, whatever the order of the rows.
    """

    name = "pairs"
    needs: ClassVar[tuple[str, ...]] = _ANSWERS
    takes: ClassVar[tuple[str, ...]] = ("id", "prompt", "chosen_model", "rejected_model", "language", "source")
    label_columns: ClassVar[tuple[str, ...]] = ()
    text_columns: ClassVar[tuple[str, ...]] = ("prompt", *_ANSWERS)
    always_voted = True

    def __init__(self, names: Sequence[str], head: Sequence[pa.Table], options: FormatOptions) -> None:
        super().__init__(names, head, options)
        self.notes.append(
            f"chosen and rejected are put on sides a and b by a hash of their texts and the seed {self.options.seed}"
        )
        if "prompt" not in self.uses and self.text.get("chosen") == PLAIN:
            self.notes.append("the file has no prompt column and plain texts: the prompts are empty")

    def guess_mode(self, cells: Sequence[memoryview]) -> str:
        """Decide how cells hold their texts by the first of them."""
        if 2 * sum(looks_like_list(cell) or looks_like_messages(cell) for cell in cells) >= len(cells):
            return JSON
        transcripts = sum(looks_like_transcript(bytes(cell[:256]).decode("utf-8", "replace")) for cell in cells)
        return TRANSCRIPT if 2 * transcripts > len(cells) else PLAIN

    def parse_ahead(self, batch: RowBatch) -> None:
        """Do nothing: answers are read row by row."""

    def convert(self, batch: RowBatch) -> Columns:
        """Convert a batch to the columns of battles."""
        prompts = batch.values("prompt") if "prompt" in self.uses else [[]] * len(batch)
        cells = zip(prompts, batch.values("chosen"), batch.values("rejected"), strict=True)
        rows = [self._read_row(batch, position, texts) for position, texts in enumerate(cells)]
        first = pa.array([chosen_is_a for *_, chosen_is_a in rows], pa.bool_())
        chosen, rejected = batch.text("chosen_model"), batch.text("rejected_model")
        columns = {name: pa.array([row[at] for row in rows], TURNS) for at, name in enumerate(TEXT_COLUMNS)}
        columns |= {
            "model_a": pc.if_else(first, chosen, rejected),
            "model_b": pc.if_else(first, rejected, chosen),
            "language": batch.text("language"),
            "source": batch.text("source"),
        }
        winner = pc.if_else(first, "a", "b").cast(pa.large_string())
        return columns | self.ids(batch) | ({"winner": winner} if self.reads_labels else {})

    def _read_row(self, batch: RowBatch, position: int, cells: tuple[object, object, object]) -> _Sides:
        talks: list[Talk] = []
        for name, value in zip(self.text_columns, cells, strict=True):
            mode = self.text.get(name, LIST)
            read = functools.partial(_read_cell, role="user" if name == "prompt" else "assistant", mode=mode)
            talk = read_talk(batch, position, name, value, read, is_json=mode == JSON)
            if talk is None:
                return _BAD
            talks.append(talk)
        # An answer that repeats its prompt is the whole conversation already.
        whole = [talk if talk[: len(talks[0])] == talks[0] else [*talks[0], *talk] for talk in talks[1:]]
        turns = turns_of(whole[0], "user")
        if turns != turns_of(whole[1], "user"):
            reason = "the rejected answer follows other user turns than the chosen one; they must share them"
            batch.fault(position, "rejected", cells[2], reason)
            return _BAD
        answers = [turns_of(talk, "assistant") for talk in whole]
        # The smaller hash is on side a: the same two answers always get the same sides.
        keys = [hashlib.sha256(repr((self.options.seed, turns, answer)).encode()).digest() for answer in answers]
        chosen_is_a = keys[0] < keys[1] if keys[0] != keys[1] else keys[0][0] % 2 == 0
        first, second = answers if chosen_is_a else answers[::-1]
        return turns, first, second, chosen_is_a


class RewardBench(ChosenRejected):
    """RewardBench: pairs with the names of their models, grouped in subsets."""

    name = "rewardbench"
    needs: ClassVar[tuple[str, ...]] = ("prompt", *_ANSWERS, "chosen_model", "rejected_model", "subset")
    takes: ClassVar[tuple[str, ...]] = ("id", "language")

    def __init__(self, names: Sequence[str], head: Sequence[pa.Table], options: FormatOptions) -> None:
        super().__init__(names, head, options)
        self.notes.append("ids are subset-id, as ids repeat between subsets")

    def convert(self, batch: RowBatch) -> Columns:
        """Convert a batch to the columns of battles."""
        return super().convert(batch) | {"source": batch.text("subset")}

    def ids(self, batch: RowBatch) -> Columns:
        """Return the column of ids."""
        if "id" not in self.uses:
            return {}
        return {"id": join_ids(batch.text("subset"), batch.text("id", required=True))}


def _read_cell(value: object, repairs: set[str], *, role: str, mode: str) -> Talk:
    """Read one cell as messages; what is not a conversation is a turn, or turns, of this role."""
    if value is None:
        raise CellError("the cell is null; allowed is a JSON list")
    if isinstance(value, str) and mode == JSON:
        raise CellError("the cell is a string; allowed is a JSON list")
    if isinstance(value, str):
        text = mend(value, repairs)
        talk: Talk = read_transcript(text) if mode == TRANSCRIPT else [(role, text)]
        return talk[:-1] if role == "user" and talk[-1] == ("assistant", "") else talk
    if isinstance(value, list) and all(turn is None or isinstance(turn, str) for turn in value):
        return [(role, turn and mend(turn, repairs)) for turn in value]
    if isinstance(value, list):
        return read_messages(value, repairs)
    raise CellError(f"the value is {json_kind(value)}; allowed is text, a list of texts or a list of messages")
