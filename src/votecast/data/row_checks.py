"""What a reader finds in the rows it reads: bad rows, repeated ids, repairs; and the report on all of it.

`VoteReader` and `CandidateReader` share `RowChecks`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.artifacts import atomic_file, check_free
from votecast.data.io import BadRow
from votecast.data.row_batch import RowBatch
from votecast.errors import DataError

BAD_ROWS = ("error", "quarantine")
FIRST_ROWS = 5
"""Row numbers kept for each kind of repair."""


@dataclass
class ReadReport:
    """What was read from one file.

    Args:
        path: The file.
        container: csv, parquet, jsonl or arrow, with its compression.
        format: lmsys, wsdm, arena, pairs, rewardbench, mtbench or votecast.
        text: For each text column, whether its cells are "json" lists, "plain" text, "transcript" or "list", which they
            are already.
        rows: Rows that were read.
        labelled: Rows among them with a vote or a soft label.
        repairs: Number of repairs by kind.
        examples: First row numbers of each kind of repair.
        ignored_votes: Number of votes that do not count, by reason; their rows are read without a vote.
        left_out: Number of rows that make no battle although nothing is wrong with them, by reason.
        quarantined: Bad rows written to the side file.
        quarantine: The side file.
        ignored: Columns of the file that were not used.
        sampling: The limit or sample that was asked for, as text.
        notes: Further remarks for the reader of the output.
    """

    path: str
    container: str = ""
    format: str = ""
    text: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    labelled: int = 0
    repairs: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[int]] = field(default_factory=dict)
    ignored_votes: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0
    quarantine: str | None = None
    ignored: list[str] = field(default_factory=list)
    sampling: str | None = None
    notes: list[str] = field(default_factory=list)

    def add_repairs(self, kind: str, rows: Iterable[int]) -> None:
        """Add the numbers of rows, from 1, in which this kind of repair was made."""
        for row in rows:
            self.repairs[kind] = self.repairs.get(kind, 0) + 1
            first = self.examples.setdefault(kind, [])
            if len(first) < FIRST_ROWS and row not in first:
                first.append(row)

    def to_dict(self) -> dict[str, object]:
        """Return the report as JSON-able values."""
        return dict(vars(self))


@dataclass
class IdIndex:
    """The ids seen so far, as sorted 64-bit hashes with the row of each: 16 bytes a row."""

    _runs: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=list)

    def repeated(self, ids: Sequence[str], rows: NDArray[np.int64]) -> dict[int, int]:
        """Add the next ids with their rows, shape (n,); return the position of each repeated one, and its first row."""
        # Two ids of 10 million share a hash with probability 3e-6: a row is then called a repeat by mistake.
        hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
        _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        earlier = rows[first[inverse]]  # (n,) row of the first occurrence in this batch
        again = earlier != rows
        for known, known_rows in self._runs:
            at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            found = known[at] == hashes
            again |= found
            earlier = np.where(found, known_rows[at], earlier)
        fresh = first[~again[first]]  # in the order of their hashes
        hashes, rows = hashes[fresh], rows[fresh]
        # Runs of similar length are merged, so that there are few of them.
        while self._runs and len(self._runs[-1][0]) <= 2 * len(hashes):
            known, known_rows = self._runs.pop()
            order = np.argsort(np.concatenate([known, hashes]), kind="stable")
            hashes = np.concatenate([known, hashes])[order]
            rows = np.concatenate([known_rows, rows])[order]
        if len(hashes):
            self._runs.append((hashes, rows))
        return {int(i): int(earlier[i]) for i in np.flatnonzero(again)}


class RowChecks(contextlib.ExitStack):
    """The checks of one pass over a file; raise for the first bad row, or write bad rows to a side file.

    Args:
        report: Names the file, and receives repairs and the count of bad rows.
        path: The file that is read, "-" for standard input.
        bad_rows: "error", or "quarantine" to write bad rows with their reasons to a side file, atomically.
        quarantine: The side file; by default `<name of the file>.quarantine.jsonl` in the working folder.
        overwrite: Whether an existing side file may be replaced.

    Attributes:
        waiting: Bad rows that the container found, until the rows before them are through.

    Raises:
        ArtifactError: If the side file already exists; nothing is read.
    """

    def __init__(
        self, report: ReadReport, path: str | Path, bad_rows: str, quarantine: str | Path | None, *, overwrite: bool
    ) -> None:
        super().__init__()
        self._side_file: Path | None = None
        if bad_rows == "quarantine":
            name = "stdin" if str(path) == "-" else Path(path).name
            self._side_file = Path(quarantine) if quarantine is not None else Path(f"{name}.quarantine.jsonl")
            check_free(self._side_file, overwrite=overwrite)
        self.waiting: list[BadRow] = []
        self._report = report
        self._overwrite = overwrite
        self._ids = IdIndex()
        self._passed = 0
        self._file: IO[str] | None = None

    def fault_repeated_ids(self, batch: RowBatch, ids: pa.Array, cure: str) -> None:
        """Note a fault for each good row whose id was used before; the cure is for ids without a meaning."""
        good = batch.good_battles()
        names, origins = ids.take(pa.array(good)).to_pylist(), batch.origins[good]
        for at, earlier in self._ids.repeated(names, batch.rows[origins]).items():
            reason = f"the id was used before, in row {earlier}; ids must be unique, so rename it or {cure}"
            batch.fault(int(origins[at]), "id", names[at], reason)

    def finish_batch(self, batch: RowBatch) -> None:
        """Pass on the bad rows of batch and container in the order of the file, and report the other rows' repairs."""
        last = int(batch.rows[-1])
        self._passed += len(batch) - len(batch.faults)
        bad_rows: list[tuple[BadRow, int | None]] = [(bad, position) for position, bad in batch.faults.items()]
        bad_rows += [(bad, None) for bad in self.waiting if bad.row <= last]
        self.waiting[:] = [bad for bad in self.waiting if bad.row > last]
        for bad, position in sorted(bad_rows, key=lambda each: each[0].row):
            self._add(bad, None if position is None else batch.table.slice(position, 1).to_pylist()[0])
        ignored = {position: reason for position, (_, reason) in batch.ignored_votes.items()}
        for found, counts in ((batch.left_out, self._report.left_out), (ignored, self._report.ignored_votes)):
            for position, reason in found.items():
                if position not in batch.faults:
                    counts[reason] = counts.get(reason, 0) + 1
        for kind, positions in batch.repairs.items():
            self._report.add_repairs(kind, [int(batch.rows[i]) for i in positions if i not in batch.faults])
        rejected = {fault.row for fault in batch.faults.values()}
        for kind, rows in batch.repairs_before.items():
            self._report.add_repairs(kind, [row for row in rows if row not in rejected])

    def finish(self, rows: int) -> None:
        """Pass on what the container found after the last batch, and account for all rows of the file.

        Raises:
            DataError: If rows of the file were neither passed on nor reported.
        """
        for bad in self.waiting:
            self._add(bad, None)
        if self._passed + self._report.quarantined != rows:
            raise DataError(
                f"{self._report.path} has {rows} rows, of which {self._passed} were passed on and "
                f"{self._report.quarantined} rejected; this is a fault of votecast: report it with the file"
            )

    def _add(self, bad: BadRow, cells: dict[str, object] | None) -> None:
        path = self._report.path
        if self._side_file is None:
            raise DataError(
                f"{bad.message(path)}; mend the row, or write such rows to a side file with --bad-rows quarantine"
            )
        # The side file is opened at the first bad row: a file without bad rows leaves none.
        if self._file is None:
            part = self.enter_context(atomic_file(self._side_file, overwrite=self._overwrite))
            self._file = self.enter_context(part.open("w", encoding="utf-8"))
        line = {"file": path, "row": bad.row, "column": bad.column, "value": bad.value, "reason": bad.reason}
        self._file.write(json.dumps(line | ({"cells": cells} if cells is not None else {}), default=str) + "\n")
        self._report.quarantined += 1
        self._report.quarantine = str(self._side_file)
