"""From a file of votes to battles, in parts."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import Battles
from votecast.data.formats import FORMATS, Options, Source, find_source
from votecast.data.ids import IdIndex
from votecast.data.io import LARGE_FILE, BadRow, RawBatch, TableStream, open_table
from votecast.data.labels import BOTH_BAD, read_both_bad
from votecast.data.parts import Part
from votecast.data.quarantine import BadRows
from votecast.data.report import ReadReport
from votecast.data.sampling import StratifiedSample
from votecast.errors import ConfigError, DataError

HEAD_ROWS = 64
"""Rows by which format and text mode are decided."""
_HEAD_BYTES = 16 << 20
_CHOICES = {
    "format": ("auto", *FORMATS, "names"),
    "text": ("auto", "json", "plain"),
    "bad_rows": ("error", "quarantine"),
    "labels": ("optional", "required", "ignored"),
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
        numbers: Further columns to carry along, as numbers; a row where one is not a finite number is a bad row. A file
            that has them, and ids, needs no texts.
        ranking: Read for a leaderboard: a further column `both_bad` tells which ties were votes against both answers,
            and a file that names the models of its rows needs no texts.
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
        numbers: Sequence[str] = (),
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
        _check_choices(format=format, text=text, bad_rows=bad_rows, labels=labels)
        if limit is not None and limit < 1:
            raise ConfigError(f"limit is {limit}; allowed are whole numbers from 1 up")
        if sample is not None:
            StratifiedSample(sample, seed)
        self._name = name or str(path)
        self.report = ReadReport(path=self._name)
        self._path = path
        self._format = format
        self._options = Options(text=text, labels=labels, seed=seed, numbers=tuple(numbers), ranking=ranking)
        self._side_file = _side_file(path, quarantine) if bad_rows == "quarantine" else None
        self._limit = limit
        self._sample = sample
        self._keep = (*keep, *numbers)
        self._overwrite = overwrite
        self._lean = lean

    def __iter__(self) -> Iterator[Battles]:
        """Parts of some megabytes; iterating again reads the file again, with a new report."""
        self.report = ReadReport(path=self._name, sampling=self._sampling())
        waiting: list[BadRow] = []
        name = None if self._name == str(self._path) else self._name
        with contextlib.ExitStack() as files:
            bad = files.enter_context(BadRows(self._name, self._side_file, overwrite=self._overwrite))
            stream = files.enter_context(open_table(self._path, on_bad_row=waiting.append, lean=self._lean, name=name))
            large = _is_large(self._path) and not self._lean
            batches = files.enter_context(contextlib.closing(_batches(stream, ahead=large)))
            first = _Head(batches)
            steps = _Pass(self._source(stream, first), self.report, bad, waiting, self._keep)
            steps.is_thrifty = not large
            steps.empty_is_missing = stream.container in ("csv", "tsv")
            parts = map(steps.begin, itertools.chain(first.batches(), batches))
            yield from self._counted(filter(len, map(steps.convert, _one_ahead(parts) if large else parts)))
            steps.finish(read_to_the_end=self._limit is None or self.report.rows < self._limit)
            self.report.quarantined = bad.count
            self.report.quarantine = str(self._side_file) if bad.count else None

    def check_columns(self) -> None:
        """Look at the first rows alone, before a long work: whether this is a file of battles.

        Raises:
            DataError: If the file cannot be opened, or its columns are those of no format that fits.
        """
        name = None if self._name == str(self._path) else self._name
        with (
            open_table(self._path, on_bad_row=_unheard, lean=True, name=name) as stream,
            contextlib.closing(_batches(stream, ahead=False)) as batches,
        ):
            self._source(stream, _Head(batches))
        self.report = ReadReport(path=self._name)

    def _source(self, stream: TableStream, first: _Head) -> Source:
        head = first.rows()
        open_ended = stream.container == "jsonl"
        names = _filled_names(head) if open_ended else stream.names
        source = find_source(stream.path, names, head, self._options, wanted=self._format, open_ended=open_ended)
        absent = [name for name in self._keep if name not in names]
        if absent:
            lost = "; a judge of bare numbers cannot score texts and forecasts only files with these columns"
            why = lost if set(absent) & set(self._options.numbers) else " to keep"
            raise DataError(f"{stream.path} has no column {', '.join(absent)}{why}; it has {', '.join(names)}")
        self.report.container = stream.container + (f"+{stream.compression}" if stream.compression else "")
        self.report.format, self.report.text = source.name, source.text
        self.report.notes.extend(source.notes)
        if self._options.ranking and self._options.labels == "ignored" and _holds_votes(source, head):
            self.report.notes.append("its votes are not looked at; give the file as --input (votes) to use them")
        return source

    def _counted(self, parts: Iterator[Battles]) -> Iterator[Battles]:
        """The rows that were asked for: sample first, then the limit."""
        sample = None if self._sample is None else StratifiedSample(self._sample, self._options.seed)
        for battles in parts:
            if sample is not None:
                battles = Battles(battles.table.filter(pa.array(sample.choose(_strata(battles)))))
            if self._limit is not None:
                battles = battles[: self._limit - self.report.rows]
            self.report.count(battles)
            if len(battles):
                yield battles
            if self.report.rows == self._limit:
                return

    def _sampling(self) -> str | None:
        said = []
        if self._sample is not None:
            said.append(f"sample {self._sample:g}, stratified by label, in file order, seed {self._options.seed}")
        if self._limit is not None:
            said.append(f"limit {self._limit}")
        return "; ".join(said) or None


def iter_votes(path: str | Path, **options: Any) -> Iterator[Battles]:
    """Read a file of votes in parts; memory stays flat whatever its length.

    Args:
        path: The file, or "-" for standard input.
        options: As of `VoteReader`.

    Raises:
        DataError: If the file or a row cannot be read; the message names the place.
    """
    return iter(VoteReader(path, **options))


def read_votes(path: str | Path, **options: Any) -> Battles:
    """Read a whole file of votes.

    Args:
        path: The file, or "-" for standard input.
        options: As of `VoteReader`.

    Returns:
        The battles, with what was found and repaired in `.report`.

    Raises:
        DataError: If the file or a row cannot be read; the message names the place.
    """
    reader = VoteReader(path, **options)
    battles = Battles.concat(list(reader))
    battles.report = reader.report
    return battles


class _Pass:
    """One pass over a file: what has to be remembered from part to part."""

    def __init__(
        self, source: Source, report: ReadReport, bad: BadRows, waiting: list[BadRow], keep: Sequence[str]
    ) -> None:
        self.empty_is_missing = False
        self.is_thrifty = True
        self._source = source
        self._report = report
        self._bad = bad
        self._waiting = waiting
        self._keep = keep
        self._ids = IdIndex()

    def begin(self, batch: RawBatch) -> Part:
        """Take up a batch; its texts are parsed from now on, unless memory counts more than time."""
        part = Part(batch, empty_is_missing=self.empty_is_missing)
        if not self.is_thrifty:
            self._source.parse_ahead(part)
        return part

    def convert(self, part: Part) -> Battles:
        """The good rows of a part; the bad ones are set aside."""
        columns = self._source.convert(part)
        columns |= {name: part.numbers(name) for name in self._source.options.numbers}
        if "id" in columns:
            self._fault_repeated(part, columns["id"])
        self._set_aside(part)
        self._note(part)
        keep = self._keep
        if self._source.options.ranking:
            columns[BOTH_BAD] = read_both_bad(part, columns.get("winner"))
            keep = tuple(dict.fromkeys((*keep, BOTH_BAD)))
        battles = Battles(part.battles(columns, keep))
        if self.is_thrifty:
            pa.default_memory_pool().release_unused()
        return battles

    def finish(self, *, read_to_the_end: bool) -> None:
        """Set aside what the container found after the last batch."""
        if read_to_the_end:
            for bad in self._waiting:
                self._bad.add(bad)

    def _fault_repeated(self, part: Part, ids: pa.Array) -> None:
        good = np.flatnonzero(part.good)
        names = ids.take(pa.array(good)).to_pylist()
        for at, earlier in self._ids.repeated(names, part.rows[good]).items():
            reason = (
                f"the id was used before, in row {earlier}; ids must be unique, so rename it or leave the column out"
            )
            part.fault(int(good[at]), "id", names[at], reason)

    def _set_aside(self, part: Part) -> None:
        """Hand on the bad rows of part and container together, in the order of the file."""
        last = int(part.rows[-1])
        found: list[tuple[BadRow, int | None]] = [(bad, position) for position, bad in part.faults.items()]
        found += [(bad, None) for bad in self._waiting if bad.row <= last]
        self._waiting[:] = [bad for bad in self._waiting if bad.row > last]
        for bad, position in sorted(found, key=lambda each: each[0].row):
            self._bad.add(bad, None if position is None else part.table.slice(position, 1).to_pylist()[0])

    def _note(self, part: Part) -> None:
        known = {*self._source.known, *self._keep, *self._report.ignored}
        self._report.ignored.extend(name for name in part.table.column_names if name not in known)
        for kind, positions in part.repairs.items():
            self._report.repaired(kind, [int(part.rows[i]) for i in positions if i not in part.faults])
        bad = {fault.row for fault in part.faults.values()}
        for kind, rows in part.repairs_before.items():
            self._report.repaired(kind, [row for row in rows if row not in bad])


def _batches(stream: TableStream, *, ahead: bool) -> Generator[RawBatch, None, None]:
    """The batches; if `ahead`, the next one is read while the last one is worked on, at the price of its memory."""
    batches = iter(stream)
    if not ahead:
        yield from batches
        return
    with ThreadPoolExecutor(1, thread_name_prefix="votecast-read") as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def _one_ahead(parts: Iterator[Part]) -> Iterator[Part]:
    """The same parts, each handed on when the next one has been begun."""
    last: Part | None = None
    for part in parts:
        if last is not None:
            yield last
        last = part
    if last is not None:
        yield last


class _Head:
    """The first batches of a file, read before the rest and handed on once.

    Args:
        batches: The batches; as many are taken as hold `HEAD_ROWS` rows, or fewer where rows are very large.
    """

    def __init__(self, batches: Iterator[RawBatch]) -> None:
        self._batches: list[RawBatch] = []
        self._taken: list[int] = []
        size = 0
        while sum(self._taken) < HEAD_ROWS and size < _HEAD_BYTES and (batch := next(batches, None)) is not None:
            most, taken = min(batch.table.num_rows, HEAD_ROWS - sum(self._taken)), 0
            while taken < most and size < _HEAD_BYTES:
                size += batch.table.slice(taken, 1).nbytes
                taken += 1
            self._batches.append(batch)
            self._taken.append(taken)

    def rows(self) -> list[pa.Table]:
        """The first rows, which do not depend on how the file is cut into batches."""
        return [batch.table.slice(0, taken) for batch, taken in zip(self._batches, self._taken, strict=True)]

    def batches(self) -> Iterator[RawBatch]:
        """The batches, each let go when it is handed on."""
        while self._batches:
            yield self._batches.pop(0)


def _holds_votes(source: Source, head: Sequence[pa.Table]) -> bool:
    """Whether a column of votes holds anything in the first rows; in pairs of chosen and rejected all rows do."""
    columns = [table.column(name) for table in head for name in source.label_columns if name in table.column_names]
    said = any(cell not in (None, "") for column in columns for cell in column.to_pylist())
    return said or (source.has_labels and not source.label_columns)


def _filled_names(head: Sequence[pa.Table]) -> list[str]:
    """The columns with a value in the first rows."""
    names = dict.fromkeys(name for table in head for name in table.column_names)
    return [
        name for name in names if any(name in t.column_names and t.column(name).null_count < t.num_rows for t in head)
    ]


def _strata(battles: Battles) -> pa.ChunkedArray:
    """The label of each row; of a soft label the largest share."""
    winner = battles.column("winner")
    soft = battles.column("probabilities")
    if soft.null_count == len(soft):
        return winner
    shares = pc.fill_null(pc.list_element(soft, 0), 0.0), pc.list_element(soft, 1), pc.list_element(soft, 2)
    largest = pc.if_else(
        pc.greater(shares[2], pc.max_element_wise(*shares[:2])),
        "tie",
        pc.if_else(pc.greater(shares[1], shares[0]), "b", "a"),
    )
    return pc.coalesce(winner, pc.if_else(pc.is_valid(soft), largest, None).cast(winner.type))


def _is_large(path: str | Path) -> bool:
    """Whether reading ahead pays. A thread that waits for a silent pipe would outlive Ctrl-C."""
    return Path(path).is_file() and Path(path).stat().st_size >= LARGE_FILE


def _side_file(path: str | Path, wanted: str | Path | None) -> Path:
    name = "stdin" if str(path) == "-" else Path(path).name
    return Path(wanted) if wanted is not None else Path(f"{name}.quarantine.jsonl")


def _unheard(bad: BadRow) -> None:
    """A bad row that is told when the file is read."""


def _check_choices(**given: str) -> None:
    for option, value in given.items():
        if value not in _CHOICES[option]:
            raise ConfigError(f"{option} is {value!r}; allowed are {', '.join(_CHOICES[option])}")
