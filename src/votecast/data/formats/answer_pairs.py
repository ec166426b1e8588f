"""Formats that are read row by row: pairs of chosen and rejected answers, and the base of the public sets.

A row makes one pair of answers, several or none. `find_format` chooses among them by the columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import SCHEMA, TEXT_COLUMNS, TURNS
from votecast.data.cells import CellError, json_kind, load_json, looks_like_list, mend
from votecast.data.formats.base import JSON, LIST, PLAIN, Columns, FormatOptions, VoteFormat
from votecast.data.messages import (
    SYSTEM_LEFT_OUT,
    Message,
    join_talks,
    looks_like_messages,
    looks_like_transcript,
    read_messages,
    read_transcript,
    turns_of,
)
from votecast.data.row_batch import RowBatch
from votecast.types import NO_VOTE_NAMES, read_model_name, winner_key

TRANSCRIPT = "transcript"
MOST_PAIRS = 1000
"""Pairs of answers that one row may make."""
MOST_CHARACTERS = 1 << 25
"""Characters of prompt and answers that the pairs of one row may have together."""

Row = dict[str, object]
Talk = list[Message]
Turns = list[str | None]
Shares = tuple[float, float, float]


@dataclass(frozen=True)
class Pair:
    """A pair of answers with its vote; without a vote, perhaps the reason why it does not count."""

    prompt: Turns
    answer_a: Turns
    answer_b: Turns
    winner: str | None = None
    probabilities: Shares | None = None
    model_a: str | None = None
    model_b: str | None = None
    ignored: str | None = None

    def swapped(self) -> Pair:
        """Return the pair with its answers in the other order."""
        winner = {"a": "b", "b": "a"}.get(str(self.winner), self.winner)
        shares = self.probabilities and (self.probabilities[1], self.probabilities[0], self.probabilities[2])
        return replace(
            self,
            answer_a=self.answer_b,
            answer_b=self.answer_a,
            winner=winner,
            probabilities=shares,
            model_a=self.model_b,
            model_b=self.model_a,
        )

    def on_sides(self, seed: int) -> Pair:
        """Put the answers on sides by a hash of the texts: "better" always first would give the vote away."""
        # The smaller hash is on side a: the same two answers always get the same sides.
        keys = [
            hashlib.sha256(repr((seed, self.prompt, answer)).encode("utf-8", "backslashreplace")).digest()
            for answer in (self.answer_a, self.answer_b)
        ]
        return self if keys[0] <= keys[1] else self.swapped()


class RowFormat(VoteFormat):
    """A format whose rows are read one by one, each making pairs of answers."""

    ids_of: ClassVar[tuple[str, ...]] = ("id",)
    """The columns that name a row, joined by hyphens where there are several."""
    language_of: ClassVar[str] = "language"
    source_of: ClassVar[tuple[str, ...]] = ("source",)
    makes_none: ClassVar[str] = "the row has no two answers to compare"
    bytes_at_once: ClassVar[int | None] = 1 << 18

    def read_row(self, row: Row, repairs: set[str]) -> list[Pair]:
        """Return the pairs of one row.

        Raises:
            CellError: If it cannot be read; it names the column.
        """
        raise NotImplementedError

    def convert(self, batch: RowBatch) -> Columns:
        """Convert a batch to the columns of battles, one or more a row."""
        names = [name for name in batch.table.column_names if name in self.known]
        cells = {name: batch.values(name, as_text=name in self.text_columns) for name in names}
        pairs: list[Pair] = []
        origin: list[int] = []
        for position in range(len(batch)):
            row = {name: column[position] for name, column in cells.items()}
            if position in batch.faults:
                continue
            repairs: set[str] = set()
            try:
                found = self.read_row(row, repairs)
                _check_size(found)
            except CellError as error:
                column = error.column or self.needs[0]
                batch.fault(position, column, row.get(column.partition(", ")[0]), str(error))
                continue
            batch.repair(repairs, position)
            if not found:
                batch.left_out[position] = self.makes_none
            for pair in found:
                if pair.ignored is not None:
                    batch.ignore_vote(position, ", ".join(self.text_columns[-2:]), pair.ignored)
                pairs.append(pair)
                origin.append(position)
        batch.origin = np.array(origin, dtype=np.int64)
        texts = [[pair.prompt, pair.answer_a, pair.answer_b] for pair in pairs]
        columns: Columns = {name: pa.array([row[at] for row in texts], TURNS) for at, name in enumerate(TEXT_COLUMNS)}
        columns |= {name: self._models(pairs, name) for name in ("model_a", "model_b")}
        source = next((name for name in self.source_of if name in batch), self.source_of[0])
        language, sources = batch.text(self.language_of), [_join_names(each) for each in batch.values(source)]
        columns |= {"language": batch.spread(language), "source": batch.spread(pa.array(sources, pa.large_string()))}
        if self.reads_labels:
            columns["winner"] = pa.array([pair.winner for pair in pairs], pa.large_string())
            soft = [pair.probabilities for pair in pairs]
            columns["probabilities"] = pa.array(soft, SCHEMA.field("probabilities").type)
            if self.options.labels == "required":
                for position, pair in zip(origin, pairs, strict=True):
                    if pair.winner is None and pair.ignored is None:
                        batch.fault_missing(position, next(iter(self.label_columns), "vote"))
        return columns | self.ids(batch)

    def ids(self, batch: RowBatch) -> Columns:
        """Return the column of ids; empty where the file has none."""
        names = [name for name in self.ids_of if name in self.uses]
        if not names:
            return {}
        pieces = [batch.text(name, required=True) for name in names]
        return {"id": batch.spread(pieces[0] if len(pieces) == 1 else join_ids(*pieces), unique=True)}

    def _models(self, pairs: Sequence[Pair], name: str) -> pa.Array:
        given = [getattr(pair, name) for pair in pairs]
        names = [each and read_model_name(each) for each in given]
        return pa.array([each and self.spellings.setdefault(each.lower(), each) for each in names], pa.large_string())


_ANSWERS = ("chosen", "rejected")
_PROMPTS = ("prompt", "question", "instruction", "conversations", "conversation", "query", "context", "history")
_LAST_PROMPTS = ("input", "messages")  # a prompt only where there is none of the others
_SYSTEMS = ("system", "system_prompt")
_RATINGS = (
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("rating_chosen", "rating_rejected"),
    ("chosen_avg_rating", "rejected_avg_rating"),
)
SAME_TEXT = "chosen and rejected are the same text"
SAME_TEXT_PASSED_OVER = "rejected answer passed over that is the text of the chosen one"
LOWER_RATING = "the chosen answer has the lower rating: the vote is kept"


class ChosenRejected(RowFormat):
    """Chosen and rejected answers, as text, messages or transcripts, with or without a prompt.

    "Chosen" always first would reveal the answer: the side of each answer follows from a hash of the texts and the
    seed, whatever the order of the rows. Several rejected answers make a pair each.
    """

    name = "pairs"
    needs: ClassVar[tuple[str, ...]] = _ANSWERS
    takes: ClassVar[tuple[str, ...]] = (
        *("id", *_PROMPTS, *_LAST_PROMPTS, *_SYSTEMS, *(name for names in _RATINGS for name in names), "status"),
        *("chosen_model", "rejected_model", "language", "source", "subset"),
    )
    label_columns: ClassVar[tuple[str, ...]] = ()
    text_columns: ClassVar[tuple[str, ...]] = (*_PROMPTS, *_LAST_PROMPTS, *_SYSTEMS, "chosen", "rejected")
    source_of: ClassVar[tuple[str, ...]] = ("source", "subset")
    always_voted = True

    def __init__(self, names: Sequence[str], head: Sequence[pa.Table], options: FormatOptions) -> None:
        super().__init__(names, head, options)
        self.notes.append(
            f"chosen and rejected are put on sides a and b by a hash of their texts and the seed {self.options.seed}"
        )
        self._prompt = next((name for name in (*_PROMPTS, *_LAST_PROMPTS) if name in self.uses), None)
        joined = {self._prompt, "messages"} | ({"input", "history"} if self._prompt == "instruction" else set())
        self.unread = [name for name in (*_PROMPTS, *_LAST_PROMPTS) if name in self.uses and name not in joined]
        if self._prompt is None and self.text.get("chosen") == PLAIN:
            self.notes.append("the file has no prompt column and plain texts: the prompts are empty")

    def guess_mode(self, cells: Sequence[memoryview]) -> str:
        """Decide how cells hold their texts by the first of them."""
        if 2 * sum(looks_like_list(cell) or looks_like_messages(cell) for cell in cells) >= len(cells):
            return JSON
        transcripts = sum(looks_like_transcript(bytes(cell[:256]).decode("utf-8", "replace")) for cell in cells)
        return TRANSCRIPT if 2 * transcripts > len(cells) else PLAIN

    def read_row(self, row: Row, repairs: set[str]) -> list[Pair]:
        """Return a pair for each chosen and rejected answer."""
        for name in _SYSTEMS:
            if row.get(name):
                repairs.add(SYSTEM_LEFT_OUT)
        prompt = self._read_prompt(row, repairs)
        chosen, rejected = (self._read_answers(row, name, prompt, repairs) for name in _ANSWERS)
        check_count(len(chosen) * len(rejected), "rejected")
        pairs = [self._pair(row, good, bad, repairs) for good in chosen for bad in rejected]
        if len(pairs) > 1 and any(pair.ignored for pair in pairs):
            repairs.add(SAME_TEXT_PASSED_OVER)
            pairs = [pair for pair in pairs if not pair.ignored]
        return pairs

    def _pair(self, row: Row, chosen: Talk, rejected: Talk, repairs: set[str]) -> Pair:
        prompt = turns_of(chosen, "user")
        if prompt != turns_of(rejected, "user"):
            reason = "the rejected answer follows other user turns than the chosen one; they must share them"
            raise CellError(reason, "rejected")
        models = [read_text(row.get(name)) for name in ("chosen_model", "rejected_model")]
        pair = Pair(prompt, turns_of(chosen, "assistant"), turns_of(rejected, "assistant"), "a", None, *models)
        if pair.answer_a == pair.answer_b:
            return replace(pair, winner=None, ignored=SAME_TEXT).on_sides(self.options.seed)
        if self._is_tie(row, repairs):
            pair = replace(pair, winner="tie")
        return pair.on_sides(self.options.seed)

    def _is_tie(self, row: Row, repairs: set[str]) -> bool:
        """Return whether the ratings of the answers are equal, which the order of chosen and rejected hides."""
        if winner_key(str(row.get("status"))) == "tie":
            return True
        for names in _RATINGS:
            good, bad = (read_number(row, name) for name in names)
            if good is not None and bad is not None:
                if good < bad:
                    repairs.add(LOWER_RATING)
                return good == bad
        return False

    def _read_prompt(self, row: Row, repairs: set[str]) -> Talk:
        if self._prompt is None:
            late = next((name for name in (*_PROMPTS, *_LAST_PROMPTS) if row.get(name)), None)
            if late is not None and late in self.known:
                raise CellError("the first rows have no prompt and this one has; give every row its prompt", late)
            return []
        name = self._prompt
        try:
            talk = self._read(row.get(name), name, repairs, "user")
            if name == "instruction":
                if row.get("input"):
                    given = _one_text(row["input"], "input")
                    talk = [("user", "\n\n".join(text for text in (talk[0][1], given) if text))]
                if row.get("history"):
                    talk = [*_read_history(row["history"], repairs), *talk]
        except CellError as error:
            raise CellError(str(error), error.column or name) from None
        return talk

    def _read_answers(self, row: Row, name: str, prompt: Talk, repairs: set[str]) -> list[Talk]:
        """Return the conversation of each answer in a cell: one, or several alternatives."""
        value = row.get(name)
        try:
            if isinstance(value, str) and self.text.get(name) == JSON:
                value = decode_cell(value, repairs)
            if isinstance(value, list) and value and all(isinstance(each, list) for each in value):
                talks = [self._read(each, name, repairs, "assistant") for each in value]
            elif isinstance(value, list) and len(value) > 1 and not any(isinstance(each, dict) for each in value):
                turns = max(1, sum(role == "user" for role, _ in prompt))
                if turns > 1 and turns != len(value):
                    raise CellError(
                        f"the list holds {len(value)} texts and the prompt {turns} turns; allowed are a text for each "
                        "turn, or several answers to a prompt of one turn"
                    )
                one_by_one = [value] if turns > 1 else [[each] for each in value]
                talks = [self._read(each, name, repairs, "assistant") for each in one_by_one]
            else:
                talks = [self._read(value, name, repairs, "assistant")]
            return [join_talks(prompt, talk) for talk in talks]
        except CellError as error:
            raise CellError(str(error), error.column or name) from None

    def _read(self, value: object, name: str, repairs: set[str], role: str) -> Talk:
        mode = self.text.get(name, LIST)
        if value is None:
            raise CellError(f"the value is missing; every row needs a {name}", name)
        if isinstance(value, str) and mode == JSON:
            value = decode_cell(value, repairs)
            if isinstance(value, str):
                raise CellError("the cell is a string; allowed is a JSON list", name)
        return read_cell(value, repairs, role=role, mode=mode)


class RewardBench(ChosenRejected):
    """RewardBench: pairs with the names of their models, grouped in subsets."""

    name = "rewardbench"
    needs: ClassVar[tuple[str, ...]] = ("prompt", "chosen", "rejected", "chosen_model", "rejected_model", "subset")
    takes: ClassVar[tuple[str, ...]] = ("id", "language")
    text_columns: ClassVar[tuple[str, ...]] = ("prompt", "chosen", "rejected")
    source_of: ClassVar[tuple[str, ...]] = ("subset",)
    ids_of: ClassVar[tuple[str, ...]] = ("subset", "id")

    def __init__(self, names: Sequence[str], head: Sequence[pa.Table], options: FormatOptions) -> None:
        super().__init__(names, head, options)
        self.notes.append("ids are subset-id, as ids repeat between subsets")

    def ids(self, batch: RowBatch) -> Columns:
        """Return the column of ids."""
        return super().ids(batch) if "id" in self.uses else {}


def read_cell(value: object, repairs: set[str], *, role: str, mode: str) -> Talk:
    """Read one cell as messages; what is not a conversation is a turn, or turns, of this role."""
    if isinstance(value, str):
        text = mend(value, repairs)
        talk: Talk = read_transcript(text) if mode == TRANSCRIPT else [(role, text)]
        return talk[:-1] if role == "user" and talk[-1] in (("assistant", ""), ("assistant", None)) else talk
    if isinstance(value, dict):
        return read_messages([value], repairs)
    if isinstance(value, list) and all(turn is None or isinstance(turn, str) for turn in value):
        return [(role, turn and mend(turn, repairs)) for turn in value]
    if isinstance(value, list):
        return read_messages(value, repairs)
    raise CellError(f"the value is {json_kind(value)}; allowed is text, a list of texts or a list of messages")


def decode_cell(text: str, repairs: set[str]) -> object:
    """Decode one cell that holds a list or an object as JSON or in Python's notation."""
    value, kinds = load_json(text)
    repairs |= kinds
    return value


def read_text(value: object) -> str | None:
    """Return a name or number as text."""
    return None if value is None else str(value)


def _join_names(value: object) -> str | None:
    return ", ".join(map(str, value)) if isinstance(value, list) else read_text(value)


def read_number(row: Row, name: str) -> float | None:
    """Return the number in a column, None where it is missing.

    Raises:
        CellError: If it is not a finite number.
    """
    value = row.get(name)
    if value is None or (isinstance(value, str) and value.strip().lower() in NO_VOTE_NAMES):
        return None
    try:
        number = float("x" if isinstance(value, bool) else str(value))
    except ValueError:
        number = float("inf")
    if number in (float("inf"), float("-inf")):
        raise CellError("the value is not a number; allowed are finite numbers", name)
    return None if number != number else number


def join_ids(*pieces: pa.Array) -> pa.Array:
    """Join columns to ids with hyphens; missing pieces are empty."""
    return pc.binary_join_element_wise(*(pc.fill_null(each, "") for each in pieces), pa.scalar("-", pa.large_string()))


def _one_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise CellError(f"the value is {json_kind(value)}; allowed is text", name)
    return value


def _read_history(value: object, repairs: set[str]) -> Talk:
    """Read earlier exchanges, each a list of the user's text and the answer."""
    value = decode_cell(value, repairs) if isinstance(value, str) else value
    talk: Talk = []
    for exchange in value if isinstance(value, list) else [None]:
        if not isinstance(exchange, list) or [type(text) for text in exchange] != [str, str]:
            raise CellError("the history is no list of exchanges; allowed are lists of prompt and answer", "history")
        talk += [("user", mend(exchange[0], repairs)), ("assistant", mend(exchange[1], repairs))]
    return talk


def check_count(count: int, column: str) -> None:
    """Refuse rows that make too many pairs of answers."""
    if count > MOST_PAIRS:
        raise CellError(f"the row makes {count:,} pairs of answers; allowed are {MOST_PAIRS:,}: divide it", column)


def _check_size(pairs: Sequence[Pair]) -> None:
    if len(pairs) > 1:
        texts = (turns for pair in pairs for turns in (pair.prompt, pair.answer_a, pair.answer_b))
        size = sum(len(turn or "") for turns in texts for turn in turns)
        if size > MOST_CHARACTERS:
            raise CellError(
                f"the {len(pairs):,} pairs of the row have {size:,} characters; allowed are {MOST_CHARACTERS:,}: "
                "divide the row"
            )
