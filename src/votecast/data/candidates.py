"""Prompts with several answers to choose from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from votecast.data.cells import CellError, json_kind, load_json, mend
from votecast.data.messages import read_messages, turns_of
from votecast.errors import DataError
from votecast.types import Turns

PROMPT, CANDIDATES = "prompt", "candidates"
_LIST = "allowed is a list of answers, each a text, a list of turns, or messages with role and content"
_TURNS = "allowed is a text, a list of turns, or messages with role and content"


@dataclass(frozen=True)
class Candidates:
    """One prompt and the answers to choose from.

    Args:
        id: Name of the row.
        prompt: The user's turns.
        answers: The turns of each candidate; one that is a text answers the last turn of the prompt.
        given_prompt: The prompt as it stood in the file.
        given: The candidates as they stood in the file.

    Example:
        >>> row = Candidates.of({"prompt": "Why?", "candidates": ["So.", "Because.", "So."]})
        >>> len(row.answers), len(row.distinct), row.places[0] == row.places[2]
        (3, 2, True)
    """

    id: str
    prompt: Turns
    answers: tuple[Turns, ...]
    given_prompt: Any
    given: tuple[Any, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any], name: str = "0", repairs: set[str] | None = None) -> Candidates:
        """Read one row.

        Args:
            row: With `prompt`, `candidates` and perhaps `id`.
            name: Its name where it has no id.
            repairs: Receives the kinds of repair that were made.

        Raises:
            FieldError: If prompt or candidates cannot be used; it names the column.
        """
        repairs = set() if repairs is None else repairs
        try:
            prompt, history = _prompt(row.get(PROMPT), repairs)
        except CellError as error:
            raise FieldError(PROMPT, error) from None
        try:
            given = _listed(row.get(CANDIDATES), repairs)
            answers = tuple(_answer(value, n, prompt, history, repairs) for n, value in enumerate(given, start=1))
        except CellError as error:
            raise FieldError(CANDIDATES, error) from None
        name = str(row["id"]) if row.get("id") is not None else name
        return cls(name, prompt, answers, row[PROMPT], tuple(given))

    @cached_property
    def distinct(self) -> list[Turns]:
        """The different answers in the order of their hashes, which is not that of the candidates."""
        return [answer for _, answer in sorted(dict(zip(self._hashes, self.answers, strict=True)).items())]

    @cached_property
    def places(self) -> list[int]:
        """Place of each candidate among the different answers."""
        place = {digest: n for n, digest in enumerate(sorted(set(self._hashes)))}
        return [place[digest] for digest in self._hashes]

    @cached_property
    def _hashes(self) -> list[str]:
        return [hashlib.sha256(repr(answer).encode("utf-8", "backslashreplace")).hexdigest() for answer in self.answers]


class FieldError(CellError):
    """A column of a row cannot be used.

    Args:
        column: The column.
        error: What is wrong with it.
    """

    def __init__(self, column: str, error: CellError) -> None:
        super().__init__(str(error))
        self.column = column


def candidates_of(rows: Iterable[Mapping[str, Any]]) -> Iterator[Candidates]:
    """Rows from memory.

    Args:
        rows: Each with `prompt`, `candidates` and perhaps `id`; without ids rows are numbered from 0.

    Raises:
        DataError: If a row cannot be used; the message names it.
    """
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DataError(f"row {number + 1} is {json_kind(row)}; allowed is a mapping with prompt and candidates")
        try:
            yield Candidates.of(row, str(number))
        except FieldError as error:
            raise DataError(f"row {number + 1}, column {error.column!r}: {error}") from None


def _prompt(value: Any, repairs: set[str]) -> tuple[Turns, list[str | None]]:
    """The user's turns, and the answers to all but the last."""
    if value is None:
        raise CellError("the value is missing; every row needs a prompt")
    if _are_messages(value):
        messages = read_messages(value, repairs)
        if not messages or messages[-1][0] != "user":
            raise CellError("the conversation does not end with the user's turn; the candidates answer the last one")
        turns, history = turns_of(messages, "user"), turns_of(messages, "assistant")
    else:
        turns, history = _turns(value, "the prompt", repairs), []
    if all(turn is None for turn in turns):
        raise CellError("the prompt has no turn with a text; every row needs a prompt")
    before = len(turns) - 1
    return tuple(turns), [*history[:before], *[None] * (before - len(history))]


def _listed(value: Any, repairs: set[str]) -> list[Any]:
    """The candidates as a list."""
    if value is None:
        raise CellError("the value is missing; every row needs candidates, a list of answers")
    if isinstance(value, str):
        try:
            value, kinds = load_json(value)
        except CellError:
            raise CellError(f"the candidates are one text, and no JSON list; {_LIST}") from None
        repairs |= kinds
    if not isinstance(value, list | tuple):
        raise CellError(f"the candidates are {json_kind(value)}; {_LIST}")
    if not value:
        raise CellError("the list of candidates is empty; give at least one answer, or leave the row out")
    return list(value)


def _answer(value: Any, number: int, prompt: Turns, history: list[str | None], repairs: set[str]) -> Turns:
    """The turns of one candidate."""
    place = f"candidate {number}"
    if value is None:
        raise CellError(f"{place} is null; every candidate needs an answer: leave it out of the list")
    if _are_messages(value):
        try:
            messages = read_messages(value, repairs)
        except CellError as error:
            raise CellError(f"{place}: {error}") from None
        turns: list[str | None] = turns_of(messages, "assistant")
    else:
        turns = _turns(value, place, repairs)
    if not any(turn and turn.strip() for turn in turns):
        raise CellError(f"{place} has no answer: it holds no visible character; leave it out of the list")
    answers_last = isinstance(value, str) or (_are_messages(value) and len(turns) == 1)
    return tuple([*history, *turns] if answers_last and len(prompt) > 1 else turns)


def _are_messages(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(part, Mapping) for part in value)


def _turns(value: Any, place: str, repairs: set[str]) -> list[str | None]:
    if isinstance(value, str):
        return [mend(value, repairs)]
    if not isinstance(value, list | tuple):
        raise CellError(f"{place} is {json_kind(value)}; {_TURNS}")
    for number, turn in enumerate(value, start=1):
        if not (turn is None or isinstance(turn, str)):
            raise CellError(f"turn {number} of {place} is {json_kind(turn)}; {_TURNS}")
    return [turn and mend(turn, repairs) for turn in value]
