"""Read a file of votes as battles, part by part, in memory that does not grow with the file.

Everything that takes a path of votes goes through `VoteReader`, `iter_votes` or `read_votes`.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.formats import FORMATS, KNOWN_COLUMNS, FormatOptions, StandardNames, VoteFormat, find_format
from votecast.data.io import BadRow, RawBatch, TableStream, open_table
from votecast.data.labels import BOTH_BAD, read_both_bad
from votecast.data.row_batch import RowBatch
from votecast.data.row_checks import BAD_ROWS, ReadReport, RowChecks
from votecast.data.row_sampling import StratifiedSample
from votecast.errors import ConfigError, DataError
from votecast.types import CLASSES

# Enough that one odd row does not decide for the file, few enough that looking at them costs nothing.
HEAD_ROWS = 64
"""Rows by which format and text mode are decided."""
MOST_TURNS = 10_000
"""Turns of the longest text that is read."""
_HEAD_BYTES = 16 << 20
_CHOICES = {
    "format": ("auto", *FORMATS, "names"),
    "text": ("auto", "json", "plain"),
    "labels": ("optional", "required", "ignored"),
    "bad_rows": BAD_ROWS,
}


class VoteReader:
    r"""Read a file of votes part by part; memory stays flat whatever its length.

    Args:
        path: CSV, TSV, JSON lines, Parquet or Arrow, also gzip- or zstd-compressed; "-" is standard input.
        format: lmsys, wsdm, arena, pairs, rewardbench, mtbench or votecast; names (models and votes alone) with
            `ranking`; "auto" goes by the columns.
        text: Whether text cells are "json" lists or "plain" text; "auto" decides once a column by the first rows.
        bad_rows: "error" stops at the first bad row, "quarantine" writes bad rows with reasons to a side file.
        quarantine: The side file; by default `<name of the file>.quarantine.jsonl` in the working folder. It is written
            when the last row was read, and only if there is a bad row.
        limit: Read at most this many rows.
        sample: Keep this fraction of the rows, stratified by label, in the order of the file.
        seed: Seed of the sample, and of the sides of chosen and rejected answers.
        labels: "required" makes a row without a vote bad, "ignored" does not look at votes.
        keep: Further columns to carry along, as text.
        columns: Columns of the file by ours, where they have other names, such as {"prompt": "question"}.
        label_names: What the labels in the column of the winner mean, such as {"1": "a", "2": "b", "0": "tie"}; allowed
            are a, b, tie, both_bad and none.
        numbers: Further columns to carry along, as numbers; a row where one is not a finite number is a bad row. A file
            that has them, and ids, needs no texts.
        both_bad: Whether a further column `both_bad` marks ties that were votes against both answers.
        ranking: Read for a leaderboard: with the column `both_bad`, and a file that names the models of its rows needs
            no texts.
        overwrite: Whether an existing side file may be replaced.
        lean: Whether to hold as little as possible at a time, for work that takes far longer than reading.
        name: What to call the file in messages and reports; by default its path.

    Attributes:
        report: What was found and repaired, complete when the last part was read.

    Ids must be unique: a row whose id occurred before is a bad row. Where a file has no ids, rows are numbered from 0.

    Raises:
        ConfigError: If an option has a value that is not allowed.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "votes.csv"
        >>> _ = path.write_text("prompt,response_a,response_b,winner\nWhy?,Because.,No.,a\n")
        >>> reader = VoteReader(path)
        >>> [battle.winner for battles in reader for battle in battles], reader.report.text["prompt"]
        (['a'], 'plain')
    """

    def __init__(
        self,
        path: str | Path,
        *,
        format: str = "auto",
        text: str = "auto",
        bad_rows: str = "error",
        quarantine: str | Path | None = None,
        limit: int | None = None,
        sample: float | None = None,
        seed: int = 0,
        labels: str = "optional",
        keep: Sequence[str] = (),
        columns: Mapping[str, str] | None = None,
        label_names: Mapping[str, str] | None = None,
        numbers: Sequence[str] = (),
        both_bad: bool = False,
        ranking: bool = False,
        overwrite: bool = False,
        lean: bool = False,
        name: str | None = None,
    ) -> None:
        if not isinstance(path, str | Path):
            raise DataError(
                f"a file is given as {type(path).__name__}; allowed is its path: "
                "frames and lists of dicts go straight to train, evaluate and predict_proba"
            )
        for option, value in {"format": format, "text": text, "labels": labels, "bad_rows": bad_rows}.items():
            if value not in _CHOICES[option]:
                raise ConfigError(f"{option} is {value!r}; allowed are {', '.join(_CHOICES[option])}")
        if limit is not None and limit < 1:
            raise ConfigError(f"limit is {limit}; allowed are whole numbers from 1 up")
        chosen = [] if limit is None else [f"limit {limit}"]
        if sample is not None:
            StratifiedSample(sample, seed)  # raises for a fraction that is not allowed
            chosen.insert(0, f"sample {sample:g}, stratified by label, in file order, seed {seed}")
        self._sampling = "; ".join(chosen) or None
        self._given_name, self._name = name, name or str(path)
        self.report = ReadReport(path=self._name)
        self._path, self._bad_rows, self._quarantine = path, bad_rows, quarantine
        self._format = format
        self._options = FormatOptions(
            text=text,
            labels=labels,
            seed=seed,
            numbers=tuple(numbers),
            columns=tuple((columns or {}).items()),
            label_names=tuple((label_names or {}).items()),
            ranking=ranking,
        )
        self._names = StandardNames(KNOWN_COLUMNS, columns, label_names, (*keep, *numbers))
        self._limit = limit
        self._sample = sample
        self._keep = (*keep, *numbers)
        self._both_bad = both_bad or ranking
        self._overwrite = overwrite
        self._lean = lean
        self._stream: TableStream | None = None

    def __iter__(self) -> Iterator[Battles]:
        """Yield parts of some megabytes; iterating again reads the file again, with a new report."""
        self.report = ReadReport(path=self._name, sampling=self._sampling)
        sample = None if self._sample is None else StratifiedSample(self._sample, self._options.seed)
        with (
            RowChecks(self.report, self._path, self._bad_rows, self._quarantine, overwrite=self._overwrite) as checks,
            open_table(self._path, on_bad_row=checks.waiting.append, lean=self._lean, name=self._given_name) as stream,
            contextlib.ExitStack() as threads,
        ):
            self._stream = stream
            is_large = stream.is_large and not self._lean
            raw = threads.enter_context(contextlib.closing(_read_ahead(stream))) if is_large else iter(stream)
            head, raw = _take_head(map(self._names.apply, raw))
            source = self._find_format(stream, head)
            del head
            convert = functools.partial(self._convert, source=source, checks=checks, release=not is_large)
            # `map` releases each batch when it is converted; a generator expression would hold it.
            is_csv = stream.container in ("csv", "tsv")
            raw = itertools.chain.from_iterable(_slices(batch, source.bytes_at_once) for batch in raw)
            make_batch = functools.partial(RowBatch, empty_is_missing=is_csv, given_names=self._names.given)
            batches: Iterator[RowBatch] = map(make_batch, raw)
            for battles in map(convert, _parse_ahead(batches, source) if is_large else batches):
                if sample is not None:
                    battles = Battles(battles.table.filter(pa.array(sample.choose(_strata(battles)))))
                if self._limit is not None:
                    battles = battles[: self._limit - self.report.rows]
                if not len(battles):
                    continue
                self.report.rows += len(battles)
                self.report.labelled += int(battles.labelled.sum())
                yield battles
                if self.report.rows == self._limit:
                    return
            checks.finish(stream.rows)

    @property
    def expected_rows(self) -> int | None:
        """About how many rows this reader will yield, once it has begun; None for a pipe."""
        rows = self._stream.expected_rows if self._stream is not None else None
        return None if rows is None else round(min(rows * (self._sample or 1), self._limit or rows))

    def check_columns(self) -> None:
        """Check by the first rows alone, before a long work, that this is a file of battles.

        Raises:
            DataError: If the file cannot be opened, or its columns fit no format.
        """
        ignored: list[BadRow] = []  # reported when the file is read
        with open_table(self._path, on_bad_row=ignored.append, lean=True, name=self._given_name) as stream:
            self._find_format(stream, _take_head(map(self._names.apply, stream))[0])
        self.report = ReadReport(path=self._name)

    def _find_format(self, stream: TableStream, head: Sequence[pa.Table]) -> VoteFormat:
        """Find the format by the first rows, and begin the report."""
        names = self._names.rename(stream.names)
        self._names.check(stream.names, stream.path, votes=self._options.labels != "ignored")
        if open_ended := stream.container == "jsonl":  # the columns with a value in the first rows
            tables = [(table, name) for table in head for name in table.column_names]
            names = list(dict.fromkeys(name for table, name in tables if table[name].null_count < len(table)))
        source = find_format(stream.path, names, head, self._options, wanted=self._format, open_ended=open_ended)
        missing = [name for name in self._keep if name not in names]
        if missing:
            no_numbers = "; a judge of bare numbers cannot score texts and predicts only files with these columns"
            why = no_numbers if set(missing) & set(self._options.numbers) else " to keep"
            raise DataError(f"{stream.path} has no column {', '.join(missing)}{why}; it has {', '.join(names)}")
        self.report.container = stream.container + (f"+{stream.compression}" if stream.compression else "")
        self.report.format, self.report.text = source.name, source.text
        self.report.notes.extend(source.notes)
        if self._options.ranking and self._options.labels == "ignored":
            votes = [table[name] for table in head for name in source.label_columns if name in table.column_names]
            has_votes = any(cell not in (None, "") for column in votes for cell in column.to_pylist())
            if has_votes or (source.has_labels and not source.label_columns):  # chosen and rejected always are votes
                self.report.notes.append("its votes are not looked at; give the file as --input (votes) to use them")
        return source

    def _convert(self, batch: RowBatch, source: VoteFormat, checks: RowChecks, *, release: bool) -> Battles:
        """Return the good rows of a batch as battles; the bad ones are passed on."""
        columns = source.read(batch)
        for name in TEXT_COLUMNS:
            _fault_many_turns(batch, name, columns[name])
        columns |= {name: batch.spread(batch.numbers(name)) for name in self._options.numbers}
        if "id" in columns:
            checks.fault_repeated_ids(batch, columns["id"], "leave the column out")
        checks.finish_batch(batch)
        known = {*source.known, *self._keep, *self.report.ignored}
        self.report.ignored.extend(name for name in batch.table.column_names if name not in known)
        keep = self._keep
        if self._both_bad:
            columns[BOTH_BAD] = read_both_bad(batch, columns.get("winner"))
            keep = tuple(dict.fromkeys((*keep, BOTH_BAD)))
        battles = batch.battles(columns, keep)
        if release:
            pa.default_memory_pool().release_unused()
        return battles


def _fault_many_turns(batch: RowBatch, name: str, turns: pa.Array) -> None:
    """Fault the rows with more turns than a conversation has: each takes far more memory than its bytes."""
    counts = pc.list_value_length(turns).fill_null(0).to_numpy(zero_copy_only=False)
    for place in np.flatnonzero(counts > MOST_TURNS).tolist():
        reason = f"there are {counts[place]:,} turns, at most {MOST_TURNS:,} are read; leave the row out"
        batch.fault(int(batch.origins[place]), name, "", reason)


def iter_votes(path: str | Path, **options: Any) -> Iterator[Battles]:
    """Read a file of votes ("-" is standard input) in parts, with the options of `VoteReader`.

    Raises:
        DataError: If the file or a row cannot be read; the message names the place.
    """
    return iter(VoteReader(path, **options))


def read_votes(path: str | Path, **options: Any) -> Battles:
    """Read a whole file of votes ("-" is standard input), with the options of `VoteReader`.

    Returns:
        The battles, with what was found and repaired in `.report`.

    Raises:
        DataError: If the file or a row cannot be read; the message names the place.
    """
    reader = VoteReader(path, **options)
    battles = Battles.concat(list(reader))
    battles.report = reader.report
    return battles


def _read_ahead(stream: TableStream) -> Generator[RawBatch, None, None]:
    """Yield the batches; the next one is read while the last one is worked on, at the price of memory."""
    # A thread that waits for a silent pipe would outlive Ctrl-C: only files are read ahead.
    batches = iter(stream)
    with ThreadPoolExecutor(1, thread_name_prefix="votecast-read") as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def _parse_ahead(batches: Iterator[RowBatch], source: VoteFormat) -> Iterator[RowBatch]:
    """Yield the same batches, each when parsing the texts of the next one has begun."""
    last: RowBatch | None = None
    for batch in batches:
        source.parse_ahead(batch)
        if last is not None:
            yield last
        last = batch
    if last is not None:
        yield last


def _take_head(batches: Iterator[RawBatch]) -> tuple[list[pa.Table], Iterator[RawBatch]]:
    """Return the first `HEAD_ROWS` rows, or fewer where rows are very large, and all batches, these included.

    The rows do not depend on how the file is divided into batches.
    """
    taken: list[RawBatch] = []
    head: list[pa.Table] = []
    rows = size = 0
    while rows < HEAD_ROWS and size < _HEAD_BYTES and (batch := next(batches, None)) is not None:
        count = 0
        while count < min(len(batch.table), HEAD_ROWS - rows) and size < _HEAD_BYTES:
            size += batch.table.slice(count, 1).nbytes
            count += 1
        taken.append(batch)
        head.append(_texts_apart(batch, count))
        rows += count
    return head, itertools.chain((taken.pop(0) for _ in range(len(taken))), batches)


def _texts_apart(batch: RawBatch, count: int) -> pa.Table:
    """Return the first rows; of a column that mixes texts with lists, whose cells are JSON, the texts alone."""
    table = batch.table.slice(0, count)
    for name in batch.encoded:
        cells = [cell and json.loads(cell) for cell in table.column(name).to_pylist()]
        if any(isinstance(cell, str) for cell in cells):
            texts = [cell if isinstance(cell, str) else None for cell in cells]
            place = table.column_names.index(name)
            table = table.set_column(place, name, pa.array(texts, pa.large_string()))
    return table


def _slices(batch: RawBatch, size: int | None) -> Iterator[RawBatch]:
    """Divide a batch into parts of so many bytes, or single rows."""
    waiting = [(0, len(batch.table))]
    while waiting:
        start, stop = waiting.pop()
        part = batch.table.slice(start, stop - start)
        if size is not None and stop - start > 1 and part.nbytes > size:
            half = (start + stop) // 2
            waiting += [(half, stop), (start, half)]
            continue
        numbers = batch.rows[start:stop]
        here = set(numbers.tolist()) if batch.repairs else set()
        repairs = {kind: [row for row in found if row in here] for kind, found in batch.repairs.items()}
        yield batch if size is None else replace(batch, table=part, rows=numbers, repairs=repairs)


def _strata(battles: Battles) -> pa.ChunkedArray:
    """Return the label of each row; of a soft label the largest share."""
    winner = battles.column("winner")
    soft = battles.column("probabilities")
    if soft.null_count == len(soft):
        return winner
    largest = np.array(CLASSES, dtype=object)[battles.targets(required=False).argmax(axis=1)]
    return pc.coalesce(winner, pa.array(np.where(battles.labelled, largest, None), winner.type))
