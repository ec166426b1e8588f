"""Read prompts with several answers to choose from, from memory and from files.

`rerank` takes `CandidateReader` for files and `candidates_of` for rows in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from votecast.data.cells import CellError, json_kind, load_json, mend, mend_turns
from votecast.data.io import TableStream, open_table
from votecast.data.messages import read_messages, turns_of
from votecast.data.row_batch import RowBatch
from votecast.data.row_checks import BAD_ROWS, ReadReport, RowChecks
from votecast.errors import ConfigError, DataError
from votecast.types import Turns, spell_id

PROMPT, CANDIDATES = "prompt", "candidates"
_LIST = "allowed is a list of answers, each a text, a list of turns, or messages with role and content"
EMPTY_CANDIDATE = "candidate without a visible character ranked as an empty answer"
"""The kind of repair of a row in which a model gave no answer."""
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
    given_prompt: object
    given: tuple[object, ...]

    @classmethod
    def of(cls, row: Mapping[str, object], name: str = "0", repairs: set[str] | None = None) -> Candidates:
        """Read one row.

        Args:
            row: With `prompt`, `candidates` and perhaps `id`.
            name: Its name where it has no id.
            repairs: Receives the kinds of repair that were made.

        Raises:
            CellError: If prompt or candidates cannot be used; it names the column.
        """
        repairs = set() if repairs is None else repairs
        column = PROMPT
        try:
            prompt, history = _read_prompt(row.get(PROMPT), repairs)
            column = CANDIDATES
            given = _read_list(row.get(CANDIDATES), repairs)
            answers = [_read_answer(value, n, prompt, history, repairs) for n, value in enumerate(given, start=1)]
            if not any(map(_has_text, answers)):
                raise CellError("no candidate has a visible character; give at least one answer, or leave the row out")
            if not all(map(_has_text, answers)):
                repairs.add(EMPTY_CANDIDATE)
            column = "id"
            name = spell_id(row["id"]) if row.get("id") is not None else name
        except ValueError as error:
            raise CellError(str(error), column) from None
        return cls(name, prompt, tuple(answers), row[PROMPT], tuple(given))

    @cached_property
    def distinct(self) -> list[Turns]:
        """The different answers, sorted by hash so that their order does not depend on that of the candidates."""
        return [answer for _, answer in sorted(dict(zip(self._hashes, self.answers, strict=True)).items())]

    @cached_property
    def places(self) -> list[int]:
        """Place of each candidate among the different answers."""
        place = {digest: n for n, digest in enumerate(sorted(set(self._hashes)))}
        return [place[digest] for digest in self._hashes]

    @cached_property
    def _hashes(self) -> list[str]:
        return [hashlib.sha256(repr(answer).encode("utf-8", "backslashreplace")).hexdigest() for answer in self.answers]


def candidates_of(rows: Iterable[Mapping[str, object]]) -> Iterator[Candidates]:
    """Read rows from memory, each with `prompt`, `candidates` and perhaps `id`; else rows are numbered from 0.

    Raises:
        DataError: If a row cannot be used; the message names it.
    """
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DataError(f"row {number + 1} is {json_kind(row)}; allowed is a mapping with prompt and candidates")
        try:
            yield Candidates.of(row, str(number))
        except CellError as error:
            raise DataError(f"row {number + 1}, column {error.column!r}: {error}") from None


def _read_prompt(value: object, repairs: set[str]) -> tuple[Turns, list[str | None]]:
    """Return the user's turns, and the answers to all but the last."""
    if value is None:
        raise CellError("the value is missing; every row needs a prompt")
    if _are_messages(value):
        messages = read_messages(value, repairs)
        if not messages or messages[-1][0] != "user":
            raise CellError("the conversation does not end with the user's turn; the candidates answer the last one")
        turns, history = turns_of(messages, "user"), turns_of(messages, "assistant")
    else:
        turns, history = _read_turns(value, "the prompt", repairs), []
    if all(turn is None for turn in turns):
        raise CellError("the prompt has no turn with a text; every row needs a prompt")
    before = len(turns) - 1
    return tuple(turns), [*history[:before], *[None] * (before - len(history))]


def _read_list(value: object, repairs: set[str]) -> list[object]:
    """Return the candidates as a list."""
    if value is None:
        raise CellError("the value is missing; every row needs candidates, a list of answers")
    if isinstance(value, str):
        try:
            value, kinds = load_json(value)
        except CellError:
            raise CellError(f"the candidates are one text that is not a JSON list; {_LIST}") from None
        repairs |= kinds
    if not isinstance(value, list | tuple):
        raise CellError(f"the candidates are {json_kind(value)}; {_LIST}")
    if not value:
        raise CellError("the list of candidates is empty; give at least one answer, or leave the row out")
    return list(value)


def _read_answer(value: object, number: int, prompt: Turns, history: list[str | None], repairs: set[str]) -> Turns:
    """Return the turns of one candidate."""
    place = f"candidate {number}"
    if value is None:
        raise CellError(f"{place} is null; every candidate needs an answer: leave it out of the list")
    if _are_messages(value):
        try:
            turns: list[str | None] = turns_of(read_messages(value, repairs), "assistant")
        except CellError as error:
            raise CellError(f"{place}: {error}") from None
    else:
        turns = _read_turns(value, place, repairs)
    if all(turn is None for turn in turns):
        raise CellError(f"{place} has no answer: it holds no text; leave it out of the list")
    answers_last = isinstance(value, str) or (_are_messages(value) and len(turns) == 1)
    return tuple([*history, *turns] if answers_last and len(prompt) > 1 else turns)


def _has_text(answer: Turns) -> bool:
    return any(turn and turn.strip() for turn in answer)


def _are_messages(value: object) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(part, Mapping) for part in value)


def _read_turns(value: object, place: str, repairs: set[str]) -> list[str | None]:
    if isinstance(value, str):
        return [mend(value, repairs)]
    if not isinstance(value, list | tuple):
        raise CellError(f"{place} is {json_kind(value)}; {_TURNS}")
    return mend_turns(value, repairs, _TURNS, f" of {place}")


class CandidateReader:
    """Read prompts with their candidates part by part; memory stays flat whatever the length of the file.

    Args:
        path: JSON lines, Parquet or Arrow with the columns prompt and candidates and perhaps id; also CSV whose
            candidates are JSON lists; each also gzip- or zstd-compressed; "-" is standard input.
        bad_rows: "error" stops at the first bad row, "quarantine" writes bad rows with reasons to a side file.
        quarantine: The side file; by default `<name of the file>.quarantine.jsonl` in the working folder.
        limit: Read at most this many rows.
        overwrite: Whether an existing side file may be replaced.

    Attributes:
        report: What was found and repaired, complete when the last row was read.

    Raises:
        ConfigError: If an option has a value that is not allowed.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "answers.jsonl"
        >>> _ = path.write_text('{"prompt": "Why?", "candidates": ["So.", "Because."]}')
        >>> [(row.id, len(row.answers)) for row in CandidateReader(path)]
        [('0', 2)]
    """

    def __init__(
        self,
        path: str | Path,
        *,
        bad_rows: str = "error",
        quarantine: str | Path | None = None,
        limit: int | None = None,
        overwrite: bool = False,
    ) -> None:
        if bad_rows not in BAD_ROWS:
            raise ConfigError(f"bad_rows is {bad_rows!r}; allowed are {', '.join(BAD_ROWS)}")
        if limit is not None and limit < 1:
            raise ConfigError(f"limit is {limit}; allowed are whole numbers from 1 up")
        self.report = ReadReport(path=str(path))
        self._path, self._limit, self._overwrite = path, limit, overwrite
        self._bad_rows, self._quarantine = bad_rows, quarantine
        self._stream: TableStream | None = None

    @property
    def expected_rows(self) -> int | None:
        """About how many rows this reader will yield, once it has begun; None for a pipe."""
        rows = self._stream.expected_rows if self._stream is not None else None
        return None if rows is None else round(min(rows, self._limit or rows))

    def __iter__(self) -> Iterator[Candidates]:
        """Yield the rows; iterating again reads the file again, with a new report."""
        limited = None if self._limit is None else f"limit {self._limit}"
        self.report = ReadReport(path=str(self._path), format=CANDIDATES, sampling=limited)
        with (
            RowChecks(self.report, self._path, self._bad_rows, self._quarantine, overwrite=self._overwrite) as checks,
            open_table(self._path, on_bad_row=checks.waiting.append, lean=True) as stream,
        ):
            self._stream = stream
            missing = [name for name in (PROMPT, CANDIDATES) if name not in stream.names]
            if missing:
                raise DataError(
                    f"{stream.path} has no column {' and none '.join(map(repr, missing))}; it has "
                    f"{', '.join(map(repr, stream.names)) or 'none'}; a row holds a prompt and its candidates, a list "
                    "of answers: rename the columns"
                )
            self.report.container = stream.container + (f"+{stream.compression}" if stream.compression else "")
            self.report.ignored = [name for name in stream.names if name not in (PROMPT, CANDIDATES, "id")]
            for raw in stream:
                for row in _read_rows(RowBatch(raw, empty_is_missing=stream.container in ("csv", "tsv")), checks):
                    self.report.rows += 1
                    yield row
                    if self.report.rows == self._limit:
                        return
            checks.finish(stream.rows)


def _read_rows(batch: RowBatch, checks: RowChecks) -> list[Candidates]:
    """Return the good rows of a batch; the others are passed on."""
    names = batch.ids("id").to_pylist() if "id" in batch else [str(row - 1) for row in batch.rows]
    found: dict[int, Candidates] = {}
    columns = zip(names, batch.values(PROMPT), batch.values(CANDIDATES), strict=True)
    for position, (name, prompt, candidates) in enumerate(columns):
        kinds: set[str] = set()
        try:
            found[position] = Candidates.of({PROMPT: prompt, CANDIDATES: candidates}, name, kinds)
        except CellError as error:
            column, value = (PROMPT, prompt) if error.column == PROMPT else (CANDIDATES, candidates)
            batch.fault(position, column, value, str(error))
        batch.repair(kinds, position)
    checks.fault_repeated_ids(batch, pa.array(names, pa.large_string()), "leave ids out")
    checks.finish_batch(batch)
    return [row for position, row in found.items() if position not in batch.faults]
