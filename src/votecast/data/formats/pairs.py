"""Pairs of a chosen and a rejected answer, and the benchmarks written that way."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.cells import CellError, json_kind, looks_like_list, mend
from votecast.data.formats.base import JSON, LIST, PLAIN, Columns, Source, list_of, text_cells
from votecast.data.messages import Message, looks_like_transcript, read_messages, read_transcript, turns_of
from votecast.data.parts import Part

TRANSCRIPT = "transcript"
_ANSWERS = ("chosen", "rejected")


class _Sides(NamedTuple):
    prompt: list[str | None] | None
    response_a: list[str | None] | None
    response_b: list[str | None] | None
    chosen_is_a: bool


_BAD = _Sides(None, None, None, chosen_is_a=True)


class Pairs(Source):
    """Chosen and rejected answers, as text, messages or transcripts, with or without a prompt.

    "Chosen" always first would give the answer away: the side of each answer follows from a hash of the texts and the
    seed, whatever the order of the rows.
    """

    name = "pairs"
    needs: ClassVar[tuple[str, ...]] = _ANSWERS
    takes: ClassVar[tuple[str, ...]] = ("id", "prompt", "chosen_model", "rejected_model", "language", "source")

    def __init__(self, names: Sequence[str], *args: Any) -> None:
        super().__init__(names, *args)
        self.notes.append(
            f"chosen and rejected are put on sides a and b by a hash of their texts and the seed {self.options.seed}"
        )
        if "prompt" not in self.uses and self.text.get("chosen") == PLAIN:
            self.notes.append("the file has no prompt column and plain texts: the prompts are empty")

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns whose cells are texts or conversations."""
        return ("prompt", *_ANSWERS)

    @property
    def has_labels(self) -> bool:
        """A pair is a vote."""
        return True

    def mode(self, name: str, head: Sequence[pa.Table]) -> str:
        """How the cells of a column hold their texts."""
        cells = list(text_cells(name, head))
        if not cells and not self._is_text(name, head):
            return LIST
        if self.options.text != "auto":
            return self.options.text
        if 2 * sum(_looks_like_json(cell) for cell in cells) >= len(cells):
            return JSON
        spoken = sum(looks_like_transcript(bytes(cell[:256]).decode("utf-8", "replace")) for cell in cells)
        return TRANSCRIPT if 2 * spoken > len(cells) else PLAIN

    def convert(self, part: Part) -> Columns:
        """The columns of the battles; what is wrong with a row is noted in the part."""
        prompts = part.values("prompt") if "prompt" in self.uses else [[]] * len(part)
        answers = zip(part.values("chosen"), part.values("rejected"), strict=True)
        rows = [
            self._row(part, position, prompt, pair)
            for position, (prompt, pair) in enumerate(zip(prompts, answers, strict=True))
        ]
        first = pa.array([row.chosen_is_a for row in rows], pa.bool_())
        columns = {
            name: list_of([getattr(row, name) for row in rows]) for name in ("prompt", "response_a", "response_b")
        }
        chosen, rejected = part.text("chosen_model"), part.text("rejected_model")
        columns |= {"model_a": pc.if_else(first, chosen, rejected), "model_b": pc.if_else(first, rejected, chosen)}
        columns |= {name: part.text(name) for name in ("language", "source")}
        winner = pc.if_else(first, "a", "b").cast(pa.large_string())
        return columns | self.ids(part) | ({"winner": winner} if self.reads_labels else {})

    def ids(self, part: Part) -> Columns:
        """The names of the rows."""
        return {"id": part.text("id", required=True)} if "id" in self.uses else {}

    def _row(self, part: Part, position: int, prompt: Any, answers: tuple[Any, Any]) -> _Sides:
        given = dict(zip(("prompt", *_ANSWERS), (prompt, *answers), strict=True))
        talks: dict[str, list[Message]] = {}
        for name, value in given.items():
            talk = self._talk(part, position, name, value)
            if talk is None:
                return _BAD
            talks[name] = talk
        chosen, rejected = (_after(talks["prompt"], talks[name]) for name in _ANSWERS)
        turns = turns_of(chosen, "user")
        if turns != turns_of(rejected, "user"):
            part.fault(
                position,
                "rejected",
                answers[1],
                "the rejected answer follows other user turns than the chosen one; they must share them",
            )
            return _BAD
        return _sides(turns, turns_of(chosen, "assistant"), turns_of(rejected, "assistant"), self.options.seed)

    def _talk(self, part: Part, position: int, name: str, value: Any) -> list[Message] | None:
        if value is None:
            part.fault(position, name, None, f"the value is missing; every row needs a {name}")
            return None
        mode = self.text.get(name, LIST)
        found = part.decoded(position, name, value) if mode == JSON else value
        if found is None:
            part.fault(position, name, value, "the cell is null; allowed is a JSON list")
            return None
        repairs: set[str] = set()
        try:
            talk = _messages(found, name, mode, repairs)
        except CellError as error:
            part.fault(position, name, value, str(error))
            return None
        part.repair(repairs, position)
        return talk


class RewardBench(Pairs):
    """RewardBench: pairs with the names of their models, grouped in subsets."""

    name = "rewardbench"
    needs: ClassVar[tuple[str, ...]] = ("prompt", *_ANSWERS, "chosen_model", "rejected_model", "subset")
    takes: ClassVar[tuple[str, ...]] = ("id", "language")

    def __init__(self, names: Sequence[str], *args: Any) -> None:
        super().__init__(names, *args)
        self.notes.append("ids are subset-id, as ids repeat between subsets")

    def convert(self, part: Part) -> Columns:
        """The columns of the battles; what is wrong with a row is noted in the part."""
        return super().convert(part) | {"source": part.text("subset")}

    def ids(self, part: Part) -> Columns:
        """The names of the rows."""
        if "id" not in self.uses:
            return {}
        subset = pc.fill_null(part.text("subset"), "")
        return {
            "id": pc.binary_join_element_wise(subset, part.text("id", required=True), pa.scalar("-", pa.large_string()))
        }


def _looks_like_json(cell: memoryview) -> bool:
    return looks_like_list(cell) or (bytes(cell[:256]).lstrip()[:1] == b"[" and b'"role"' in bytes(cell[:4096]))


def _messages(value: Any, name: str, mode: str, repairs: set[str]) -> list[Message]:
    """One cell as messages: what is not a conversation is a turn, or turns, of the side it stands for."""
    role = "user" if name == "prompt" else "assistant"
    if isinstance(value, str) and mode == JSON:
        raise CellError("the cell is a string; allowed is a JSON list")
    if isinstance(value, str):
        text = mend(value, repairs)
        talk: list[Message] = read_transcript(text) if mode == TRANSCRIPT else [(role, text)]
        return talk[:-1] if name == "prompt" and talk[-1] == ("assistant", "") else talk
    if isinstance(value, list) and all(turn is None or isinstance(turn, str) for turn in value):
        return [(role, turn and mend(turn, repairs)) for turn in value]
    if isinstance(value, list):
        return read_messages(value, repairs)
    raise CellError(f"the value is {json_kind(value)}; allowed is text, a list of texts or a list of messages")


def _after(prompt: list[Message], answer: list[Message]) -> list[Message]:
    """The whole conversation: an answer that repeats its prompt is whole already."""
    return answer if answer[: len(prompt)] == prompt else [*prompt, *answer]


def _sides(prompt: list[str | None], chosen: list[str | None], rejected: list[str | None], seed: int) -> _Sides:
    """Each answer goes where its hash says, so that the same two answers always stand on the same sides."""
    keys = [hashlib.sha256(repr((seed, prompt, answer)).encode()).digest() for answer in (chosen, rejected)]
    first = keys[0] < keys[1] if keys[0] != keys[1] else keys[0][0] % 2 == 0
    return _Sides(prompt, chosen if first else rejected, rejected if first else chosen, chosen_is_a=first)
