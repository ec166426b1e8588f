"""Reading the parts of a file, and forecasting and writing one: all that the engines share."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from votecast.data.outputs import PredictionWriter
from votecast.data.reader import VoteReader
from votecast.data.shards import SHARD_ROWS, Shard, fingerprint, in_shards
from votecast.errors import ArtifactError
from votecast.jobs.parts.inputs import Input
from votecast.jobs.parts.job import InputRead, Job, PartMade, Reading, Rows, part_name, quarantine_name
from votecast.judges.asking import add_cuts, ask_or_tell
from votecast.types import Judge


def read_parts(job: Job, reading: Reading) -> Iterator[Rows | InputRead]:
    """The parts of one input that are not done yet, and at the end what was read.

    Args:
        job: The work.
        reading: The input, and what is done of it.

    Raises:
        DataError: If the input or a row of it cannot be read; the message names both.
        ArtifactError: If what is done is of other rows than the input has now.
    """
    number, count, rows, whole = reading.input.number, 0, 0, hashlib.sha256()
    with (
        tempfile.TemporaryDirectory(prefix="votecast-") as folder,
        reading.input.place.fetched(reading.input.name) as path,
    ):
        aside = Path(folder) / quarantine_name(number)
        options = _reader_options(job)
        options |= {"quarantine": aside} if job.reader.get("bad_rows") == "quarantine" else {}
        votes = VoteReader(path, **options, name=reading.input.name)
        for battles in in_shards(votes, job.part_rows):
            digest = fingerprint(battles)
            whole.update(digest.encode())
            if reading.done.get(count, digest) != digest:
                raise _other_rows(reading, rows)
            if count not in reading.done:
                yield Rows(number, count, rows, digest, battles)
            count, rows = count + 1, rows + len(battles)
            del battles  # before the next rows are read
        if any(part >= count for part in reading.done):
            raise _other_rows(reading, rows)
        if aside.exists():
            (job.out / aside.name).write(aside.read_bytes())
    found = votes.report.to_dict() | {"quarantine": aside.name if votes.report.quarantined else None}
    del found["path"]
    yield InputRead({"input": number, "parts": count, "rows": rows, "rows_sha256": whole.hexdigest(), "reading": found})


def check_columns(job: Job, inputs: Iterable[Input]) -> None:
    """Look at the first rows of all inputs on this machine, so that a wrong file stops the work at its beginning.

    Raises:
        DataError: If one is no file of battles.
    """
    for each in inputs:
        if each.place.path is not None:
            VoteReader(each.place.path, **_reader_options(job), name=each.name).check_columns()


def make_part(job: Job, judge: Judge, rows: Rows, progress: Callable[[int], None]) -> PartMade:
    """Forecast a part and write it into the folder, whole or not at all.

    Args:
        job: The work.
        judge: The judge, set to the settings of inference of the job.
        rows: The part.
        progress: Called with the number of rows just forecast.

    Raises:
        DataError: If what the judge says is no distribution.
        ArtifactError: If the part cannot be written.
    """
    shards: list[Shard] = []
    unscored: list[dict[str, Any]] = []
    cut = None
    for start in range(0, len(rows.battles), SHARD_ROWS):
        battles = rows.battles[start : start + SHARD_ROWS]
        shard, reasons = ask_or_tell(judge, battles, after=rows.first + start)
        ids = battles.ids if reasons else []
        place = rows.first + start + 1
        unscored += [{"id": ids[row], "row": place + row, "reason": why} for row, why in reasons.items()]
        shards.append(shard)
        cut = add_cuts(cut, shard.cut)
        progress(len(battles))
    record: dict[str, Any] = {"name": part_name(rows.input, rows.part), "input": rows.input, "part": rows.part}
    record |= {"first": rows.first, "rows": len(rows.battles), "rows_sha256": rows.digest}
    record |= {"cut": cut, "unscored": unscored}
    if unscored and job.prior is None:
        return PartMade(record)
    data = _encoded(job, record, shards)
    try:
        (job.out / record["name"]).write(data)
    except OSError as error:
        raise ArtifactError(f"{job.out / record['name']} could not be written: {error}") from error
    return PartMade(record | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})


def _reader_options(job: Job) -> dict[str, Any]:
    return {"labels": "ignored", "lean": True} | job.reader


def _encoded(job: Job, record: dict[str, Any], shards: list[Shard]) -> bytes:
    """The part as it lies in the folder."""
    settings = job.settings | {name: record[name] for name in ("input", "part", "first")}
    with tempfile.TemporaryDirectory(prefix="votecast-") as folder:
        path = Path(folder) / record["name"]
        with PredictionWriter(path, format=job.format, judge=job.judge, metadata=settings) as writer:
            for shard in shards:
                writer.write(shard.ids, _filled(job, shard).probabilities)
        return bytes(path.read_bytes())


def _filled(job: Job, shard: Shard) -> Shard:
    if job.prior is None:
        return shard
    p = shard.probabilities
    return dataclasses.replace(shard, probabilities=np.where(np.isfinite(p), p, np.array(job.prior)))


def _other_rows(reading: Reading, row: int) -> ArtifactError:
    return ArtifactError(
        f"{reading.input.name} has other rows now (from row {row + 1} on) than those whose forecasts are in the "
        "folder; give the input the work began with, or drop --resume and pass --overwrite to start anew"
    )
