"""One batch of a file while it becomes battles: typed columns, faults of rows, repairs.

Readers and frames make a `RowBatch` of every raw batch; the formats convert its columns.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.data import cells
from votecast.data.battles import SCHEMA, TURNS, Battles
from votecast.data.io import BadRow, RawBatch
from votecast.types import FLOAT_ID, lost_digits, read_model_name, spell_id

_PARSERS = 2


@cache
def _parsers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_PARSERS, thread_name_prefix="votecast-parse")


class RowBatch:
    """The rows of one batch; positions count from 0 inside it.

    Args:
        batch: The rows as the container holds them.
        given_names: What columns are called in the file, where they were renamed; messages say so.
        empty_is_missing: Whether an empty text is a missing value, as in CSV, which cannot tell the two apart.

    Attributes:
        faults: What is wrong, by position; the first fault of a row is the one that is kept.
        ignored_votes: Column and reason for which the vote of a row does not count, by position.
        left_out: Why a row makes no battle although nothing is wrong with it, by position.
        origin: Position of the row that each battle comes from, where rows make several or none; None where each makes
            one.
        repairs: Positions of repaired rows by kind of repair.
        repairs_before: Numbers of the rows that the container repaired, by kind.
    """

    def __init__(
        self, batch: RawBatch, *, empty_is_missing: bool, given_names: Mapping[str, str] | None = None
    ) -> None:
        self.table = batch.table
        self.rows = batch.rows
        self.encoded = batch.encoded
        self.repairs_before = batch.repairs
        self.faults: dict[int, BadRow] = {}
        self.ignored_votes: dict[int, tuple[str, str]] = {}
        self.left_out: dict[int, str] = {}
        self.origin: NDArray[np.int64] | None = None
        self.repairs: dict[str, list[int]] = {}
        self._given_names = given_names or {}
        self._empty_is_missing = empty_is_missing
        self._parsing: dict[str, Future[cells.ParsedCells]] = {}

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __contains__(self, name: str) -> bool:
        return name in self.table.column_names

    def fault(self, position: int, column: str, value: object, reason: str) -> None:
        """Note that a row is bad."""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        column = self._given_names.get(column, column)
        self.faults.setdefault(position, BadRow(int(self.rows[position]), column, text, reason))

    def fault_missing(self, position: int, column: str) -> None:
        """Note that a row has no value in a column that it needs."""
        value, what = ("", "the cell is empty") if self._empty_is_missing else (None, "the value is missing")
        self.fault(position, column, value, f"{what}; every row needs a {column}")

    def ignore_vote(self, position: int, column: str, reason: str) -> None:
        """Note that the vote of a row does not count, and why; the report counts such rows."""
        self.ignored_votes.setdefault(position, (column, reason))

    def repair(self, kinds: Iterable[str], position: int) -> None:
        """Note what was repaired in a row."""
        for kind in sorted(kinds):
            self.repairs.setdefault(kind, []).append(position)

    def text(self, name: str, *, required: bool = False) -> pa.LargeStringArray:
        """Return a column as text, null where the value is missing (and a fault there, if it is required)."""
        if name not in self and not required:
            return pa.nulls(len(self), pa.large_string())
        column = self._column(name)
        if name in self.encoded or pa.types.is_nested(column.type):
            texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in self.values(name)]
            column = pa.array(texts, pa.large_string())
        if pa.types.is_floating(column.type):
            # pandas turns whole numbers beside missing values into floats with NaN.
            column = pc.if_else(pc.is_nan(column).fill_null(True), None, column)
        column = column if pa.types.is_large_string(column.type) else column.cast(pa.large_string())
        missing = self._missing(column, name if required else None)
        return _replaced(column, missing, None) if self._empty_is_missing else column

    def ids(self, name: str, *, required: bool = True) -> pa.LargeStringArray:
        """Return a column of ids as text, as `spell_id` spells them; one that it refuses is a fault."""
        texts, kind = self.text(name, required=required), self._column(name).type
        if pa.types.is_floating(kind):
            digits = np.finfo(kind.to_pandas_dtype()).nmant + 1
            values = self._column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)  # (n,), NaN where missing
            for position in np.flatnonzero(np.abs(values) >= 2**digits).tolist():
                self.fault(position, name, texts[position].as_py(), lost_digits(digits))
        floats = pc.fill_null(pc.match_substring_regex(texts, f"^(?:{FLOAT_ID})$"), fill_value=False)
        spelled: list[str | None] = []
        for position in np.flatnonzero(floats.to_numpy(zero_copy_only=False)).tolist():
            try:
                spelled.append(spell_id(texts[position].as_py()))
            except ValueError as error:
                spelled.append(None)
                self.fault(position, name, texts[position].as_py(), str(error))
        return pc.replace_with_mask(texts, floats, pa.array(spelled, texts.type)) if spelled else texts

    def numbers(self, name: str) -> pa.DoubleArray:
        """Return a column as finite numbers; NaN, and a fault, where a value is not one."""
        column = self._column(name)
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            found = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
        else:
            found = np.full(len(self), np.nan)
            for position, value in enumerate(self.values(name)):
                if value is not None and not isinstance(value, bool):
                    with contextlib.suppress(ValueError):
                        found[position] = float(str(value))
        for position in np.flatnonzero(~np.isfinite(found)).tolist():
            reason = "the value must be a finite number; leave out rows without one"
            self.fault(position, name, column[position].as_py(), reason)
        return pa.array(found)

    def fault_blank(self, names: Sequence[str]) -> None:
        """Fault rows whose texts are all empty cells of CSV, such as those that spreadsheets leave at the end."""
        if not self._empty_is_missing:
            return
        blank = np.ones(len(self), dtype=bool)
        for name in names:
            column = self._column(name)
            blank &= pc.fill_null(pc.equal(column, ""), True).to_numpy(zero_copy_only=False)
        for position in np.flatnonzero(blank).tolist():
            self.fault_missing(position, names[0])

    def values(self, name: str, *, as_text: bool = False) -> list[object]:
        """Return a column as Python values, None where they are missing or cannot be read.

        Args:
            name: The column.
            as_text: Whether an empty cell of CSV is an empty text, as in a column of answers.
        """
        values: list[object] = self._column(name).to_pylist()
        if name in self.encoded:
            values = [self.decoded(position, name, value) for position, value in enumerate(values)]
        if as_text or not self._empty_is_missing:
            return values
        return [None if value == "" else value for value in values]

    def decoded(self, position: int, name: str, text: object) -> object:
        """Decode a JSON text; None, and a fault, where it is not JSON. Other values stay as they are."""
        if not isinstance(text, str):
            return text
        try:
            value, repairs = cells.load_json(text)
        except cells.CellError as error:
            self.fault(position, name, text, str(error))
            return None
        self.repair(repairs, position)
        return value

    def parse_ahead(self, names: Iterable[str]) -> None:
        """Begin to parse columns of JSON lists in parallel; `turns` waits for each of them."""
        for name in names:
            column = self._column(name)
            if name not in self.encoded and pa.types.is_large_string(column.type):
                texts = _replaced(column, self._missing(column), "[]")
                self._parsing[name] = _parsers().submit(cells.parse_cells, texts)

    def turns(self, name: str, mode: str, *, is_guess: bool = False) -> pa.Array:
        """Return a column of turns as list<large_string>; bad rows are noted, and null or empty.

        Args:
            name: The column.
            mode: "json" where texts are JSON lists; otherwise a text is one turn.
            is_guess: Whether the mode follows from other rows: then a plain text that looks like a list is a fault.
        """
        column = self._column(name)
        kind = column.type
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        holds_text = is_list and (is_text(kind.value_type) or pa.types.is_null(kind.value_type))
        if name in self.encoded or not (pa.types.is_large_string(kind) or holds_text):
            return self._turns_one_by_one(name, mode)
        column = column.cast(TURNS) if holds_text else column
        if holds_text or mode != "json":  # an empty text is a text, in CSV too
            for position in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist():
                self.fault_missing(position, name)
        if holds_text:
            return column
        if mode != "json":
            if is_guess:
                self._fault_lists(name, column)
            return pa.ListArray.from_arrays(pa.array(np.arange(len(column) + 1, dtype=np.int32)), column, type=TURNS)
        missing = self._missing(column, name)
        parsing = self._parsing.get(name)
        found = parsing.result() if parsing else cells.parse_cells(_replaced(column, missing, "[]"))
        for position, reason in found.bad.items():
            self.fault(position, name, column[position].as_py(), reason)
        for repair, positions in found.repairs.items():
            self.repairs.setdefault(repair, []).extend(positions)
        return found.turns

    def _fault_lists(self, name: str, column: pa.LargeStringArray) -> None:
        suspects = pc.match_substring_regex(column, r"^\s*(\[|array\()").fill_null(False)
        for position in np.flatnonzero(suspects.to_numpy(zero_copy_only=False)).tolist():
            if cells.has_escaped_quotes(text := column[position].as_py()):
                reason = "its quotes are escaped by backslashes, and CSV doubles them: write it so, or as Parquet"
                self.fault(position, name, text, reason)
            elif cells.looks_like_list(memoryview(column[position].as_buffer())):
                reason = (
                    "it looks like a list of turns and other rows are plain text; say which with --text json or plain"
                )
                self.fault(position, name, column[position].as_py(), reason)

    def _turns_one_by_one(self, name: str, mode: str) -> pa.Array:
        """Read a column that no single Arrow type holds: texts in some rows, lists in others."""
        turns: list[list[str | None]] = []
        for position, value in enumerate(self.values(name)):
            lists: list[str | None] = []
            repairs: set[str] = set()
            try:
                if value is None:
                    raise cells.CellError(f"the value is missing; every row needs a {name}")
                # beside lists of JSON a text is one turn, unless it is a list itself
                if (
                    isinstance(value, str)
                    and mode == "json"
                    and cells.looks_like_list(value.encode("utf-8", "replace"))
                ):
                    lists, repairs = cells.load_turns(value)
                elif isinstance(value, str):
                    lists = [cells.mend(value, repairs)]
                elif isinstance(value, list):
                    lists = cells.mend_turns(value, repairs, cells.TEXT_OR_LIST)
                else:
                    raise cells.CellError(f"the value is {cells.json_kind(value)}; {cells.TEXT_OR_LIST}")
                self.repair(repairs, position)
            except cells.CellError as error:
                self.fault(position, name, value, str(error))
            turns.append(lists)
        return pa.array(turns, TURNS)

    def names(self, name: str, spellings: dict[str, str]) -> pa.LargeStringArray:
        """Return a column of models without spaces around the names; "None" and "NaN" name none.

        Args:
            name: The column.
            spellings: The first spelling of each name by its lower case; names that differ by case alone become it.
        """
        given = self.text(name)
        encoded = given.dictionary_encode()
        distinct: list[str] = encoded.dictionary.to_pylist()
        clean = [name and spellings.setdefault(name.lower(), name) for name in map(read_model_name, distinct)]
        found = pa.array(clean, pa.large_string()).take(encoded.indices)
        if clean != distinct:
            changed = pc.and_(pc.is_valid(found), pc.not_equal(found, given)).fill_null(False)
            for position in np.flatnonzero(changed.to_numpy(zero_copy_only=False)).tolist():
                self.repair({f"{name} with other spaces or case read as its first spelling"}, position)
        return found

    def battles(self, columns: dict[str, pa.Array], keep: Iterable[str] = ()) -> Battles:
        """Return the good rows as battles.

        Args:
            columns: Columns of `SCHEMA`, one value a battle; missing ones are filled.
            keep: Further columns of the file to carry along, as text unless they are among `columns`.
        """
        columns = {"id": self.spread(pa.array(self.rows - 1).cast(pa.large_string()), unique=True)} | columns
        arrays = {name: columns[name] for name in SCHEMA.names if name in columns}
        for name in keep:
            if name not in arrays:
                arrays[name] = columns[name] if name in columns else self.spread(self.text(name))
        if self.faults or self.left_out:
            good = pa.array(self.good_battles())
            arrays = {name: array.take(good) for name, array in arrays.items()}
        return Battles(pa.table(arrays))

    @property
    def origins(self) -> NDArray[np.int64]:
        """Position of the row that each battle comes from."""
        return np.arange(len(self), dtype=np.int64) if self.origin is None else self.origin

    def good_battles(self) -> NDArray[np.int64]:
        """Return the places of the battles whose row is neither bad nor left out."""
        lost = [*self.faults, *self.left_out]
        return np.flatnonzero(~np.isin(self.origins, lost)).astype(np.int64)

    def spread(self, values: pa.Array, *, unique: bool = False) -> pa.Array:
        """Repeat the values of rows for each of their battles.

        Args:
            values: One value a row.
            unique: Whether names become unique: of a row with several battles, "-0", "-1" ... follow its name.
        """
        if self.origin is None:
            return values
        spread = values.take(pa.array(self.origin))
        counts = np.bincount(self.origin, minlength=len(self))
        if not unique or counts.max(initial=0) < 2:
            return spread
        first = np.concatenate([[0], np.cumsum(counts)])[self.origin]  # battles stand in the order of their rows
        numbers = pa.array(np.arange(len(self.origin)) - first).cast(pa.large_string())
        numbered = pc.binary_join_element_wise(spread, numbers, pa.scalar("-", pa.large_string()))
        return pc.if_else(pa.array(counts[self.origin] > 1), numbered, spread)

    def _column(self, name: str) -> pa.Array:
        """Return a column as one array, texts as large_string."""
        if name not in self:
            return pa.nulls(len(self))
        column = self.table.column(name)
        array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which copies
        array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
        array = array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array
        return array.cast(pa.large_string()) if is_text(array.type) else array

    def _missing(self, column: pa.Array, needed: str | None = None) -> NDArray[np.int64]:
        """Return the positions without a value; each is a fault of the column that is needed."""
        missing = np.zeros(len(column), dtype=bool)
        if column.null_count:
            missing = pc.is_null(column).to_numpy(zero_copy_only=False)
        # Empty texts have equal offsets, which is faster than comparing texts.
        if self._empty_is_missing and pa.types.is_large_string(column.type) and len(column):
            offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
            missing = missing | (offsets[1:] == offsets[:-1])
        positions = np.flatnonzero(missing)
        for position in positions.tolist() if needed else ():
            self.fault_missing(position, str(needed))
        return positions


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is one of Arrow's three types of text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _replaced(column: pa.Array, positions: NDArray[np.int64], value: str | None) -> pa.Array:
    if not len(positions):
        return column
    mask = np.zeros(len(column), dtype=bool)
    mask[positions] = True
    return pc.if_else(pa.array(mask), pa.scalar(value, column.type), column)
