"""The parts of a folder of predictions: read the rows of one, predict them, write its file.

Every engine of `predict_folder` works with these, in this process or on other machines.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from votecast.data.battles import Battles
from votecast.data.outputs import PredictionWriter
from votecast.data.reader import VoteReader
from votecast.errors import ArtifactError
from votecast.jobs.input_files import InputFile
from votecast.jobs.remote_files import FilePlace
from votecast.jobs.shards import SHARD_ROWS, fingerprint, in_shards
from votecast.judges.predict_batch import Truncations, add_truncations, predict_scorable
from votecast.types import Judge, Probabilities

PART_ROWS: Final = 4 * SHARD_ROWS
"""Rows of one part by default: the most that one killed process loses."""


@dataclass(frozen=True)
class FolderJob:
    """Everything a part of a folder of predictions depends on, except its rows.

    Args:
        out: The folder.
        judge: Name and hash of the judge.
        format: votecast, lmsys or wsdm.
        part_rows: Rows of a part.
        reader: Options of `VoteReader`.
        inference: Settings of inference of the judge.
        prior: Probabilities given to rows that cannot be scored, shape (3,); None if such rows are an error.
        settings: JSON-able: the settings kept in every part.
    """

    out: FilePlace
    judge: dict[str, str]
    format: str
    part_rows: int
    reader: dict[str, object]
    inference: dict[str, object]
    prior: list[float] | None
    settings: dict[str, object]

    def open(self, path: Path, name: str, quarantine: Path | None = None) -> VoteReader:
        """Open one input; invalid rows go to the quarantine file, if they are not errors."""
        options: dict[str, Any] = {"labels": "ignored", "lean": True} | self.reader
        if options.get("bad_rows") == "quarantine" and quarantine is not None:
            options["quarantine"] = quarantine
        return VoteReader(path, **options, name=name)


PendingInput = tuple[InputFile, Mapping[int, str]]
"""An input that must be read: the file, and the numbers of its finished parts with the hashes of their rows."""


@dataclass(frozen=True)
class PartDone:
    """The record of one part. Size and hash are None before it is predicted.

    Args:
        input: Number of the file.
        part: Number of the part in it, from 0.
        first: Rows of the file before it.
        rows: Rows of the part.
        rows_sha256: Hash of the rows.
        cut: Sums of what was truncated.
        unscored: Id, number and reason of each row that could not be scored.
        bytes: Size of the file in the folder; None where rows could not be scored and get no prior.
        sha256: Hash of the file.
    """

    input: int
    part: int
    first: int
    rows: int
    rows_sha256: str
    cut: Truncations = None
    unscored: Sequence[Mapping[str, object]] = ()
    bytes: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Name of the file; sorted by name, parts are in the order of the inputs and their rows.

        Example:
            >>> PartDone(3, 12, 0, 1, "").name
            'part-00003-00012.parquet'
        """
        return f"part-{self.input:05d}-{self.part:05d}.parquet"

    def to_dict(self) -> dict[str, object]:
        """Return the record as JSON-able values."""
        return {"name": self.name} | asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> PartDone:
        """Read what `to_dict` returned.

        Raises:
            TypeError: If a value is missing or unknown.
        """
        return cls(**{name: value for name, value in record.items() if name != "name"})


@dataclass(frozen=True)
class InputDone:
    """An input that was read to the end, as it is recorded.

    Args:
        input: Number of the file.
        parts: Its parts.
        rows: Its rows.
        rows_sha256: Hash of the rows.
        reading: The reader's report.
        bytes: Size of the file.
        changed: When the file was last written, in nanoseconds.
    """

    input: int
    parts: int
    rows: int
    rows_sha256: str
    reading: dict[str, object]
    bytes: int
    changed: int


class PartsEngine(Protocol):
    """What predicts the parts of a job."""

    def run(
        self, job: FolderJob, pending: Sequence[PendingInput], progress: Callable[[int], None]
    ) -> Generator[PartDone | InputDone, None, None]:
        """Predict every part of these inputs that is not done, in any order; yield each when it is.

        `progress` is called with the number of rows just predicted.

        Raises:
            VotecastError: At the first row that cannot be read and the first part that cannot be predicted.
        """


class LocalEngine:
    """Predict one part after the other in this process; the judge has the settings of inference of the job."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def run(
        self, job: FolderJob, pending: Sequence[PendingInput], progress: Callable[[int], None]
    ) -> Generator[PartDone | InputDone, None, None]:
        """See `PartsEngine`."""
        for file, done in pending:
            for found in read_parts(job, file, done):
                yield found if isinstance(found, InputDone) else predict_part(job, self._judge, *found, progress)


def read_parts(
    job: FolderJob, file: InputFile, done: Mapping[int, str]
) -> Iterator[tuple[PartDone, Battles] | InputDone]:
    """Read the parts of one input that are not done yet, each with its rows, and at the end report on the input.

    Raises:
        DataError: If the input or a row of it cannot be read; the message names both.
        ArtifactError: If finished parts are of other rows than the input has now.
    """
    count, rows, digest_of_all = 0, 0, hashlib.sha256()
    quarantine = f"quarantine-{file.number:05d}.jsonl"
    with tempfile.TemporaryDirectory(prefix="votecast-") as folder, file.place.fetched(file.name) as path:
        # the reader writes its side file on this machine; the output may be remote
        rejected = Path(folder) / quarantine
        votes = job.open(path, file.name, rejected)
        for battles in in_shards(votes, job.part_rows):
            digest = fingerprint(battles)
            digest_of_all.update(digest.encode())
            if done.get(count, digest) != digest:
                raise _changed_rows(file, rows)
            if count not in done:
                yield PartDone(file.number, count, rows, len(battles), digest), battles
            count, rows = count + 1, rows + len(battles)
            del battles  # free the memory before the next rows are read
        if any(part >= count for part in done):
            raise _changed_rows(file, rows)
        if rejected.exists():
            (job.out / quarantine).write(rejected.read_bytes())
    reading = votes.report.to_dict() | {"quarantine": quarantine if votes.report.quarantined else None}
    # the manifest names the input; the path of a fetched copy would differ from run to run
    del reading["path"]
    yield InputDone(file.number, count, rows, digest_of_all.hexdigest(), reading, file.size, file.changed)


def _changed_rows(file: InputFile, row: int) -> ArtifactError:
    return ArtifactError(
        f"{file.name} has other rows now (from row {row + 1} on) than those whose predictions are in the folder; give "
        "the original input, or drop --resume and pass --overwrite to start over"
    )


def check_columns(job: FolderJob, inputs: Iterable[InputFile]) -> None:
    """Read the first rows of all local inputs, so that a wrong file stops the run at its start.

    Raises:
        DataError: If one is not a file of battles.
    """
    for each in inputs:
        if each.place.path is not None:
            job.open(each.place.path, each.name).check_columns()


def predict_part(
    job: FolderJob, judge: Judge, part: PartDone, battles: Battles, progress: Callable[[int], None]
) -> PartDone:
    """Predict the rows of a part as it was read, and write it into the folder atomically.

    Raises:
        DataError: If a prediction is not a distribution.
        ArtifactError: If the part cannot be written.
    """
    shards: list[tuple[list[str], Probabilities]] = []
    unscored: list[dict[str, object]] = []
    truncations: Truncations = None
    # The judge sees the same rows together as in one file: predictions depend on them in the last bits.
    for start in range(0, part.rows, SHARD_ROWS):
        rows, before = battles[start : start + SHARD_ROWS], part.first + start
        shard, reasons = predict_scorable(judge, rows, after=before)
        unscored += [{"id": shard.ids[row], "row": before + row + 1, "reason": why} for row, why in reasons.items()]
        shards.append((shard.ids, shard.probabilities))
        truncations = add_truncations(truncations, shard.cut)
        progress(len(rows))
    done = replace(part, cut=truncations, unscored=unscored)
    if unscored and job.prior is None:
        return done
    settings = job.settings | {"input": part.input, "part": part.part, "first": part.first}
    with tempfile.TemporaryDirectory(prefix="votecast-") as folder:
        path = Path(folder) / done.name
        with PredictionWriter(path, format=job.format, judge=job.judge, metadata=settings) as writer:
            for ids, p in shards:
                writer.write(ids, p if job.prior is None else np.where(np.isfinite(p), p, np.array(job.prior)))
        data = path.read_bytes()
    try:
        (job.out / done.name).write(data)
    except OSError as error:
        raise ArtifactError(
            f"{job.out / done.name} could not be written: {error}; free space or check access"
        ) from error
    return replace(done, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
