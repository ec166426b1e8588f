"""Files whose answers are conversations: arena releases, MT-bench, and pairs of a chosen and a rejected answer.

`find_format` chooses among them by the columns.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import TEXT_COLUMNS, TURNS
from votecast.data.cells import CellError, json_kind, looks_like_list, mend
from votecast.data.formats.base import JSON, LIST, PLAIN, Columns, FormatOptions, VoteFormat, text_cells
from votecast.data.messages import (
    Message,
    first_turns,
    looks_like_messages,
    looks_like_transcript,
    read_messages,
    read_transcript,
    turns_of,
)
from votecast.data.row_batch import RowBatch

TRANSCRIPT = "transcript"
Talk = list[Message]
_CONVERSATIONS = ("conversation_a", "conversation_b")
_ANSWERS = ("chosen", "rejected")
_Sides = tuple[list[str | None] | None, list[str | None] | None, list[str | None] | None, bool]
"""Prompt and both answers of a row, and whether the chosen answer is the first; no turns if the row is bad."""
_BAD: _Sides = (None, None, None, True)


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
        return _read_talk(batch, position, name, value, read_messages)


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
        return {"id": _join_ids(question, *pieces, pa.array(batch.rows).cast(pa.large_string()))}

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
            talk = _read_talk(batch, position, name, value, read, is_json=mode == JSON)
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
        return {"id": _join_ids(batch.text("subset"), batch.ids("id"))}


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


def _read_talk(
    batch: RowBatch,
    position: int,
    name: str,
    value: object,
    read: Callable[[object, set[str]], Talk],
    *,
    is_json: bool = True,
) -> Talk | None:
    """Return the messages of one cell; None, and a fault, where it holds none."""
    if value is None:
        batch.fault(position, name, None, f"the value is missing; every row needs a {name}")
        return None
    found = batch.decoded(position, name, value) if is_json else value
    if found is None and position in batch.faults:
        return None
    repairs: set[str] = set()
    try:
        messages = read(found, repairs)
    except CellError as error:
        batch.fault(position, name, value, str(error))
        return None
    batch.repair(repairs, position)
    return messages


def _join_ids(*pieces: pa.Array) -> pa.Array:
    """Join columns to ids with hyphens; missing pieces are empty."""
    return pc.binary_join_element_wise(*(pc.fill_null(each, "") for each in pieces), pa.scalar("-", pa.large_string()))
