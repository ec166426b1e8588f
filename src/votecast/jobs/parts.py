"""The parts of a folder of predictions: read the rows of one, predict them, write its file.

Every engine of `predict_folder` works with these, in this process or on other machines.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from votecast.data.battles import Battles
from votecast.data.outputs import PredictionWriter
from votecast.data.reader import VoteReader
from votecast.data.shards import SHARD_ROWS, Shard, fingerprint, in_shards
from votecast.errors import ArtifactError
from votecast.jobs.input_files import InputFile
from votecast.jobs.remote_files import FilePlace
from votecast.judges.predict_batch import add_truncations, predict_scorable
from votecast.types import Judge

PART_ROWS: Final = 4 * SHARD_ROWS
"""Rows of one part by default: the most that one killed process loses."""


@dataclass(frozen=True)
class FolderJob:
    """What every part of a folder of predictions depends on, beside its rows.

    Args:
        out: The folder.
        judge: Name and hash of the judge.
        format: votecast, lmsys or wsdm.
        part_rows: Rows of a part.
        reader: Options of `VoteReader`.
        inference: Settings of inference of the judge.
        prior: What rows get that cannot be scored; None makes them an error.
        settings: JSON-able: the settings kept in every part.
    """

    out: FilePlace
    judge: dict[str, str]
    format: str
    part_rows: int
    reader: dict[str, Any]
    inference: dict[str, Any]
    prior: list[float] | None
    settings: dict[str, Any]

    @property
    def reader_options(self) -> dict[str, Any]:
        """Options of `VoteReader` for one input."""
        return {"labels": "ignored", "lean": True} | self.reader


@dataclass(frozen=True)
class PendingInput:
    """An input that must be read.

    Args:
        file: The file.
        done: Numbers of its finished parts -> hash of their rows.
    """

    file: InputFile
    done: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PartRows:
    """The rows of one part.

    Args:
        input: Number of the file.
        part: Number of the part in it, from 0.
        first: Rows of the file before them.
        digest: Hash of the rows.
        battles: The rows.
    """

    input: int
    part: int
    first: int
    digest: str
    battles: Battles


@dataclass(frozen=True)
class PartDone:
    """A part that was predicted.

    Args:
        record: JSON-able: name, input, part, rows, their hash, and bytes and SHA-256 of the file in the folder; there
            is no file where rows could not be scored and are not to get the prior.
    """

    record: dict[str, Any]


@dataclass(frozen=True)
class InputDone:
    """An input that was read to the end.

    Args:
        record: JSON-able: input, parts, rows, their hash, and the reader's report.
    """

    record: dict[str, Any]


class PartsEngine(Protocol):
    """What predicts the parts of a job."""

    def run(
        self, job: FolderJob, pending: Sequence[PendingInput], progress: Callable[[int], None]
    ) -> Generator[PartDone | InputDone, None, None]:
        """Predict every part of these inputs that is not done, in any order; yield each when it is.

        Args:
            job: The job.
            pending: The inputs to read.
            progress: Called with the number of rows just predicted.

        Raises:
            VotecastError: At the first row that cannot be read and the first part that cannot be predicted.
        """


class LocalEngine:
    """Predict one part after the other in this process.

    Args:
        judge: The judge, set to the settings of inference of the job.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def run(
        self, job: FolderJob, pending: Sequence[PendingInput], progress: Callable[[int], None]
    ) -> Generator[PartDone | InputDone, None, None]:
        """See `PartsEngine`."""
        for each in pending:
            for found in read_parts(job, each):
                yield found if isinstance(found, InputDone) else predict_part(job, self._judge, found, progress)


def part_name(input: int, part: int) -> str:
    """Return the name of a part; sorted by name, parts are in the order of the inputs and their rows.

    Example:
        >>> part_name(3, 12)
        'part-00003-00012.parquet'
    """
    return f"part-{input:05d}-{part:05d}.parquet"


def read_parts(job: FolderJob, pending: PendingInput) -> Iterator[PartRows | InputDone]:
    """Read the parts of one input that are not done yet, and at the end report on the input.

    Args:
        job: The job.
        pending: The input, and its finished parts.

    Raises:
        DataError: If the input or a row of it cannot be read; the message names both.
        ArtifactError: If finished parts are of other rows than the input has now.
    """
    file, count, rows, digest_of_all = pending.file, 0, 0, hashlib.sha256()
    quarantine = f"quarantine-{file.number:05d}.jsonl"
    with tempfile.TemporaryDirectory(prefix="votecast-") as folder, file.place.fetched(file.name) as path:
        rejected = Path(folder) / quarantine
        options = job.reader_options
        options |= {"quarantine": rejected} if job.reader.get("bad_rows") == "quarantine" else {}
        votes = VoteReader(path, **options, name=file.name)
        for battles in in_shards(votes, job.part_rows):
            digest = fingerprint(battles)
            digest_of_all.update(digest.encode())
            if pending.done.get(count, digest) != digest:
                raise _changed_rows(file, rows)
            if count not in pending.done:
                yield PartRows(file.number, count, rows, digest, battles)
            count, rows = count + 1, rows + len(battles)
            del battles  # free the memory before the next rows are read
        if any(part >= count for part in pending.done):
            raise _changed_rows(file, rows)
        if rejected.exists():
            (job.out / quarantine).write(rejected.read_bytes())
    reading = votes.report.to_dict() | {"quarantine": quarantine if votes.report.quarantined else None}
    del reading["path"]
    record = {"input": file.number, "parts": count, "rows": rows, "rows_sha256": digest_of_all.hexdigest()}
    yield InputDone(record | {"reading": reading})


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
            VoteReader(each.place.path, **job.reader_options, name=each.name).check_columns()


def predict_part(job: FolderJob, judge: Judge, rows: PartRows, progress: Callable[[int], None]) -> PartDone:
    """Predict a part and write it into the folder atomically.

    Args:
        job: The job.
        judge: The judge, set to the settings of inference of the job.
        rows: The part.
        progress: Called with the number of rows just predicted.

    Raises:
        DataError: If a prediction is not a distribution.
        ArtifactError: If the part cannot be written.
    """
    shards: list[Shard] = []
    unscored: list[dict[str, object]] = []
    truncations = None
    for start in range(0, len(rows.battles), SHARD_ROWS):
        battles = rows.battles[start : start + SHARD_ROWS]
        shard, reasons = predict_scorable(judge, battles, after=rows.first + start)
        ids, place = battles.ids if reasons else [], rows.first + start + 1
        unscored += [{"id": ids[row], "row": place + row, "reason": why} for row, why in reasons.items()]
        shards.append(shard)
        truncations = add_truncations(truncations, shard.cut)
        progress(len(battles))
    record: dict[str, Any] = {
        "name": part_name(rows.input, rows.part),
        "input": rows.input,
        "part": rows.part,
        "first": rows.first,
        "rows": len(rows.battles),
        "rows_sha256": rows.digest,
        "cut": truncations,
        "unscored": unscored,
    }
    if unscored and job.prior is None:
        return PartDone(record)
    data = _encode_part(job, record, shards)
    place_of_part = job.out / record["name"]
    try:
        place_of_part.write(data)
    except OSError as error:
        raise ArtifactError(f"{place_of_part} could not be written: {error}; free space or check access") from error
    return PartDone(record | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})


def _encode_part(job: FolderJob, record: Mapping[str, Any], shards: Sequence[Shard]) -> bytes:
    settings = job.settings | {name: record[name] for name in ("input", "part", "first")}
    with tempfile.TemporaryDirectory(prefix="votecast-") as folder:
        path = Path(folder) / record["name"]
        with PredictionWriter(path, format=job.format, judge=job.judge, metadata=settings) as writer:
            for shard in shards:
                p = shard.probabilities
                writer.write(shard.ids, p if job.prior is None else np.where(np.isfinite(p), p, np.array(job.prior)))
        return bytes(path.read_bytes())
