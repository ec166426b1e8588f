"""Predict many files into a folder of parts with a manifest, resumable and the same bytes from every engine.

`votecast predict` calls it for several inputs or an output folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from votecast import __version__
from votecast.errors import ConfigError, JudgeError
from votecast.jobs.file_run import RowProgress, json_values
from votecast.jobs.input_files import InputFile, find_inputs
from votecast.jobs.parts import (
    PART_ROWS,
    FolderJob,
    InputDone,
    LocalEngine,
    PartDone,
    PartsEngine,
    PendingInput,
    check_columns,
)
from votecast.jobs.parts_folder import KIND, MANIFEST, UNSCORED, VERSION, PartsFolder
from votecast.jobs.predict import Unscored, gives_prior
from votecast.jobs.remote_files import FilePlace
from votecast.jobs.shards import SHARD_ROWS
from votecast.judges.predict_batch import (
    Truncations,
    add_truncations,
    cite,
    class_prior,
    is_link_unfitted,
    reader_numbers,
    set_inference,
    truncation_shares,
)
from votecast.types import Judge, no_progress

_FORMATS = ("votecast", "lmsys", "wsdm")


def predict_folder(
    judge: Judge,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    format: str = "votecast",
    part_rows: int = PART_ROWS,
    overwrite: bool = False,
    resume: bool = False,
    reader: Mapping[str, object] | None = None,
    inference: Mapping[str, object] | None = None,
    unscored: Unscored = "error",
    engine: PartsEngine | None = None,
    progress: RowProgress | None = None,
) -> dict[str, Any]:
    """Predict every row of many files into a folder of parts, `part-INPUT-PART.parquet`, and `manifest.json`.

    A part holds `part_rows` rows of one input, the last one what is left of it: parts do not depend on the engine, the
    number of workers or kills. The folder is finished if and only if the manifest is there. After a kill the same call
    with `resume` makes only the parts that are missing or damaged, with the same bytes.

    Args:
        judge: The judge.
        inputs: Files, globs, folders and URLs that pyarrow's filesystems reach; votes in them are ignored. They are
            read in the order given, and within a glob or folder by name.
        out: The folder, or its URL.
        format: Columns of the parts: votecast (`id, p_a, p_b, p_tie`), lmsys or wsdm.
        part_rows: Rows of a part, a multiple of `SHARD_ROWS`.
        overwrite: Whether predictions in the folder may be replaced and partial output discarded.
        resume: Continue from the partial output of a killed run of the same call.
        reader: Options of `VoteReader`; `limit` and `sample` hold for each input by itself.
        inference: Settings of inference for the judge; see `TrainedJudge.run_with`.
        unscored: "error" or "prior", as in `predict_file`; `unscored.jsonl` in the folder lists the rows.
        engine: What predicts the parts; by default this process.
        progress: Called with the rows done, and about how many there are (None until an input was read to its end).

    Returns:
        What `predict_file` returns, with a reading for each input, inputs, parts and the hash of all parts.

    Raises:
        DataError: If an input is missing or not a file of battles, or a row cannot be read.
        ArtifactError: If something is in the way in the folder, or its finished parts are of other rows.
        ConfigError: If the partial output is of another judge or other options, or an input lies in the folder.
        JudgeError: If rows cannot be scored and `unscored` is "error"; the predictions of the others are kept.
    """
    found = find_inputs([str(each) for each in ([inputs] if isinstance(inputs, str | Path) else inputs)])
    set_inference(judge, inference or {})
    prior = class_prior(judge).tolist()
    job = _folder_job(
        judge,
        str(out),
        format,
        part_rows,
        dict(reader or {}),
        dict(inference or {}),
        prior if gives_prior(unscored) else None,
    )
    folder = PartsFolder(job.out)
    folder.check(resume=resume, overwrite=overwrite)
    for each in found:  # files in the output folder are replaced and removed
        if job.out.path is not None and each.place.path is not None:
            is_inside = job.out.path.resolve() in each.place.path.resolve().parents
        else:
            is_inside = each.place.where.startswith(f"{job.out.where.partition('?')[0].rstrip('/')}/")
        if is_inside:
            raise ConfigError(f"{each.name} lies in the output folder, {job.out}; name another output")
    if not resume:
        check_columns(job, found)
    with folder.hold(resume=resume, overwrite=overwrite):
        sizes = {each.name: each.size for each in found}
        folder.begin({"votecast": __version__, "judge": job.judge, "settings": job.settings}, sizes)
        parts, read = _load_finished(job, found, folder)
        reused = sum(part.rows for part in parts.values())
        pending: list[PendingInput] = []
        for file in found:  # those with missing parts, and those that may have changed
            if file.number not in read:
                done = {part: record.rows_sha256 for (number, part), record in parts.items() if number == file.number}
                pending.append((file, done))
        if resume:
            check_columns(job, [file for file, _ in pending])
        if pending:
            _predict(job, engine or LocalEngine(judge), pending, folder, parts, read, progress or no_progress)
        manifest = _finish(job, found, folder, [part for _, part in sorted(parts.items())], read, prior)
    # one hash for all parts, which depends on neither the place of the folder nor the engine
    digest = hashlib.sha256("".join(part["sha256"] for part in manifest["parts"]).encode()).hexdigest()
    return {
        "rows": manifest["rows"],
        "out": str(out),
        "format": job.format,
        "judge": job.judge,
        "inputs": len(manifest["inputs"]),
        "parts": len(manifest["parts"]),
        "parts_sha256": digest,
        "reading": [{"path": each["path"]} | each["reading"] for each in manifest["inputs"]],
        "cut": manifest["cut"],
        "unscored": (manifest["unscored"] or {"rows": 0})["rows"],
        "reused": reused,
    }


Parts = dict[tuple[int, int], PartDone]
"""Finished parts by the number of their input and their number in it."""


def _folder_job(
    judge: Judge,
    out: str,
    format: str,
    part_rows: int,
    reader: dict[str, object],
    inference: dict[str, object],
    prior: list[float] | None,
) -> FolderJob:
    if format not in _FORMATS:
        raise ConfigError(f"the format is {format!r}; allowed are {', '.join(_FORMATS)}")
    if part_rows < 1 or part_rows % SHARD_ROWS:
        raise ConfigError(f"part_rows is {part_rows}; allowed are multiples of {SHARD_ROWS}")
    if reader.get("quarantine") is not None:
        raise ConfigError(
            "--quarantine is not allowed for a folder of predictions: rejected rows go to the folder, one file per "
            "input; drop it"
        )
    options = {name: value for name, value in reader.items() if name != "overwrite"} | reader_numbers(judge)
    settings: dict[str, object] = {"format": format, "part_rows": part_rows, "shard_rows": SHARD_ROWS}
    settings |= {"reader": options}
    settings |= {"inference": inference} if inference else {}
    settings |= {"link": "not fitted"} if is_link_unfitted(judge) else {}
    place = FilePlace.of(out)
    return FolderJob(place, cite(judge), format, part_rows, options, inference, prior, json_values(settings))


def _load_finished(
    job: FolderJob, inputs: Sequence[InputFile], folder: PartsFolder
) -> tuple[Parts, dict[int, InputDone]]:
    """Return the parts that need not be predicted again, and the inputs that need not be read again."""
    is_finished, records = folder.manifest() is not None, folder.finished_parts()
    inputs_done = folder.finished_inputs()
    settled = [part for part in records if is_finished or not part.unscored or job.prior is not None]
    parts = {(part.input, part.part): part for part in settled if folder.is_whole(part)}
    if is_finished and len(parts) < len(records):  # some are damaged: keep the others, then withdraw the manifest
        for part in parts.values():
            folder.keep(part)
        folder.write(MANIFEST, "")
    read = {}
    for done in inputs_done:
        file = inputs[done.input]
        # size and time stand for the rows of an input that is not read again
        has_all = all((file.number, part) in parts for part in range(done.parts))
        if has_all and file.changed and (done.bytes, done.changed) == (file.size, file.changed):
            read[file.number] = done
    return parts, read


def _predict(
    job: FolderJob,
    engine: PartsEngine,
    pending: Sequence[PendingInput],
    folder: PartsFolder,
    parts: Parts,
    read: dict[int, InputDone],
    progress: RowProgress,
) -> None:
    """Predict all pending parts; add the record of each to `parts`, and of each input to `read`."""
    rows_done = sum(part.rows for part in parts.values())
    all_bytes = sum(file.size for file, _ in pending) + sum(done.bytes for done in read.values())

    def _count(rows: int) -> None:
        nonlocal rows_done
        rows_done += rows
        # rows of inputs that were not read yet are estimated by their bytes
        bytes_read = sum(done.bytes for done in read.values())
        rows_read = sum(done.rows for done in read.values())
        progress(rows_done, round(all_bytes * rows_read / bytes_read) if bytes_read else None)

    with contextlib.closing(engine.run(job, pending, _count)) as finished:
        for done in finished:
            if isinstance(done, InputDone):
                read[done.input] = done
            else:
                parts[done.input, done.part] = done
            folder.keep(done)


def _finish(
    job: FolderJob,
    inputs: Sequence[InputFile],
    folder: PartsFolder,
    parts: Sequence[PartDone],
    read: Mapping[int, InputDone],
    prior: list[float],
) -> dict[str, Any]:
    """List the rows that could not be scored, and write the manifest: from then on the folder is finished.

    Raises:
        JudgeError: If rows could not be scored and are not to get the prior.
    """
    unscored = [{"input": inputs[part.input].name, **row} for part in parts for row in part.unscored]
    folder.write(UNSCORED, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in unscored))
    if unscored and job.prior is None:
        raise JudgeError(
            f"{len(unscored):,} rows could not be scored (the first: {unscored[0]['reason']}); "
            f"{folder.place / UNSCORED} lists them. Pass --resume to try them again, or --resume --unscored prior to "
            "give them the class prior"
        )
    truncations: Truncations = None
    for part in parts:
        truncations = add_truncations(truncations, part.cut)
    entries = [asdict(read[each.number]) | {"path": each.name} for each in inputs]
    for entry in entries:
        del entry["changed"]  # the manifest has the same bytes wherever the inputs were copied to
    manifest: dict[str, Any] = {
        "kind": KIND,
        "format_version": VERSION,
        "votecast": __version__,
        "judge": job.judge,
        "settings": job.settings,
        "rows": sum(done.rows for done in read.values()),
        "inputs": entries,
        "cut": truncation_shares(truncations),
        "unscored": {"rows": len(unscored), "given": prior} if unscored else None,
        "parts": [part.to_dict() | {"unscored": len(part.unscored)} for part in parts],
    }
    folder.write(MANIFEST, json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return manifest
