"""Files of prompts with several answers to choose from, read part by part."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from votecast.data.candidates import CANDIDATES, PROMPT, Candidates, FieldError
from votecast.data.ids import IdIndex
from votecast.data.io import BadRow, TableStream, open_table
from votecast.data.parts import Part
from votecast.data.quarantine import BadRows
from votecast.data.report import ReadReport
from votecast.errors import ConfigError, DataError


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
        if bad_rows not in ("error", "quarantine"):
            raise ConfigError(f"bad_rows is {bad_rows!r}; allowed are error, quarantine")
        if limit is not None and limit < 1:
            raise ConfigError(f"limit is {limit}; allowed are whole numbers from 1 up")
        self.report = ReadReport(path=str(path))
        name = "stdin" if str(path) == "-" else Path(path).name
        side_file = Path(quarantine) if quarantine is not None else Path(f"{name}.quarantine.jsonl")
        self._path, self._limit, self._overwrite = path, limit, overwrite
        self._side_file = side_file if bad_rows == "quarantine" else None

    def __iter__(self) -> Iterator[Candidates]:
        """The rows; iterating again reads the file again, with a new report."""
        limited = None if self._limit is None else f"limit {self._limit}"
        self.report = ReadReport(path=str(self._path), format=CANDIDATES, sampling=limited)
        ids, waiting = IdIndex(), list[BadRow]()
        with contextlib.ExitStack() as files:
            bad = files.enter_context(BadRows(str(self._path), self._side_file, overwrite=self._overwrite))
            stream = files.enter_context(open_table(self._path, on_bad_row=waiting.append, lean=True))
            self._begin(stream)
            for batch in stream:
                part = Part(batch, empty_is_missing=stream.container in ("csv", "tsv"))
                rows = self._rows(part, ids)
                self._set_aside(part, waiting, bad)
                for row in rows:
                    self.report.rows += 1
                    yield row
                    if self.report.rows == self._limit:
                        return
            for left in waiting:
                self._set_one_aside(bad, left, None)

    def _begin(self, stream: TableStream) -> None:
        """Refuse a file without the columns."""
        missing = [name for name in (PROMPT, CANDIDATES) if name not in stream.names]
        if missing:
            raise DataError(
                f"{stream.path} has no column {' and none '.join(map(repr, missing))}; it has "
                f"{', '.join(map(repr, stream.names)) or 'none'}; a row holds a prompt and its candidates, a list of "
                "answers: rename the columns"
            )
        self.report.container = stream.container + (f"+{stream.compression}" if stream.compression else "")
        self.report.ignored = [name for name in stream.names if name not in (PROMPT, CANDIDATES, "id")]

    def _rows(self, part: Part, ids: IdIndex) -> list[Candidates]:
        """The good rows of a part; what is wrong with the others is noted in it."""
        names = part.text("id", required=True).to_pylist() if "id" in part else [str(row - 1) for row in part.rows]
        columns = part.values(PROMPT), part.values(CANDIDATES)
        found: list[Candidates | None] = []
        for position, (name, prompt, candidates) in enumerate(zip(names, *columns, strict=True)):
            kinds: set[str] = set()
            try:
                found.append(Candidates.of({PROMPT: prompt, CANDIDATES: candidates}, name, kinds))
            except FieldError as error:
                found.append(None)
                part.fault(position, error.column, prompt if error.column == PROMPT else candidates, str(error))
            part.repair(kinds, position)
        good = np.flatnonzero(part.good)
        for at, earlier in ids.repeated([names[i] for i in good], part.rows[good]).items():
            reason = f"the id was used before, in row {earlier}; ids must be unique, so rename it or leave ids out"
            part.fault(int(good[at]), "id", names[good[at]], reason)
        return [row for position, row in enumerate(found) if row is not None and position not in part.faults]

    def _set_aside(self, part: Part, waiting: list[BadRow], bad: BadRows) -> None:
        """Hand on the bad rows of part and container together, in the order of the file, and note the repairs."""
        last = int(part.rows[-1])
        found: list[tuple[BadRow, int | None]] = [(each, position) for position, each in part.faults.items()]
        found += [(each, None) for each in waiting if each.row <= last]
        waiting[:] = [each for each in waiting if each.row > last]
        for each, position in sorted(found, key=lambda pair: pair[0].row):
            self._set_one_aside(bad, each, None if position is None else part.table.slice(position, 1).to_pylist()[0])
        for kind, positions in part.repairs.items():
            self.report.repaired(kind, [int(part.rows[i]) for i in positions if i not in part.faults])
        for kind, rows in part.repairs_before.items():
            self.report.repaired(kind, rows)

    def _set_one_aside(self, bad: BadRows, row: BadRow, cells: dict[str, Any] | None) -> None:
        bad.add(row, cells)
        self.report.quarantined = bad.count
        self.report.quarantine = str(self._side_file)
