"""Predict many files into a folder of parts with a manifest, resumable and the same bytes from every engine.

`votecast predict` calls it for several inputs or an output folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from votecast import __version__
from votecast.data.shards import SHARD_ROWS
from votecast.errors import ConfigError, JudgeError
from votecast.jobs.file_run import json_values
from votecast.jobs.input_files import InputFile, find_inputs
from votecast.jobs.parts import (
    PART_ROWS,
    FolderJob,
    InputDone,
    LocalEngine,
    PartsEngine,
    PendingInput,
    check_columns,
)
from votecast.jobs.parts_folder import KIND, MANIFEST, UNSCORED, VERSION, PartsFolder
from votecast.jobs.remote_files import FilePlace
from votecast.judges.predict_batch import (
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
    reader: Mapping[str, Any] | None = None,
    inference: Mapping[str, Any] | None = None,
    unscored: Literal["prior"] | None = None,
    engine: PartsEngine | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Predict every row of many files into a folder of parts, `part-INPUT-PART.parquet`, and `manifest.json`.

    A part holds `part_rows` rows of one input, the last one what is left of it. So parts depend on the rows alone: not
    on the engine, nor on the number of workers, nor on kills. The folder is finished if and only if the manifest is
    there. After a kill the same call with `resume` makes only the parts that are missing or damaged, and the folder has
    the same bytes as one of an undisturbed run.

    Args:
        judge: Any judge.
        inputs: Files, globs, folders and URLs that pyarrow's filesystems reach; votes in them are ignored. They are
            read in the order given, and within a glob or folder by name.
        out: The folder, or its URL.
        format: Columns of the parts: votecast (`id, p_a, p_b, p_tie`), lmsys or wsdm.
        part_rows: Rows of a part, a multiple of `SHARD_ROWS`.
        overwrite: Whether predictions in the folder may be replaced and partial output discarded.
        resume: Continue from the partial output of a killed run of the same call.
        reader: Options of `VoteReader`; `limit` and `sample` hold for each input by itself.
        inference: Settings of inference for the judge; see `TrainedJudge.run_with`.
        unscored: What rows get that the judge cannot score: an error at the end, once all others are done (None), or
            the class prior ("prior"). Either way `unscored.jsonl` in the folder lists these rows with reasons.
        engine: What predicts the parts; by default this process.
        progress: Called with the number of rows done.

    Returns:
        Rows, judge, parts, inputs, what the judge truncated, how many rows it could not score, and how many rows an
        earlier run had done.

    Raises:
        DataError: If an input is missing or not a file of battles, or a row cannot be read.
        ArtifactError: If something is in the way in the folder, or its finished parts are of other rows.
        ConfigError: If the partial output is of another judge or other options, or an input lies in the folder.
        JudgeError: If rows cannot be scored and are not to get the prior; the predictions of the others are kept.
    """
    found = find_inputs([str(each) for each in ([inputs] if isinstance(inputs, str | Path) else inputs)])
    set_inference(judge, inference or {})
    prior = class_prior(judge).tolist()
    job = _describe_job(
        judge, str(out), format, part_rows, dict(reader or {}), dict(inference or {}), prior if unscored else None
    )
    folder = PartsFolder(job.out)
    folder.check(resume=resume, overwrite=overwrite)
    _check_outside(found, job.out)
    if not resume:
        check_columns(job, found)
    with folder.hold(resume=resume, overwrite=overwrite):
        sizes = {each.name: each.size for each in found}
        folder.begin({"votecast": __version__, "judge": job.judge, "settings": job.settings, "inputs": sizes})
        run = _FolderRun(job, found, folder)
        pending = run.pending()
        if resume:
            check_columns(job, [each.file for each in pending])
        if pending:
            run.predict(engine or LocalEngine(judge), pending, progress or no_progress)
        run.check_unscored()
        manifest = run.finish(prior)
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
        "reused": run.reused,
    }


def _describe_job(
    judge: Judge,
    out: str,
    format: str,
    part_rows: int,
    reader: dict[str, Any],
    inference: dict[str, Any],
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
    settings = {"format": format, "part_rows": part_rows, "shard_rows": SHARD_ROWS, "reader": options}
    settings |= {"inference": inference} if inference else {}
    settings |= {"link": "not fitted"} if is_link_unfitted(judge) else {}
    place = FilePlace.of(out)
    return FolderJob(place, cite(judge), format, part_rows, options, inference, prior, json_values(settings))


def _check_outside(inputs: Sequence[InputFile], out: FilePlace) -> None:
    """Refuse inputs in the output folder, where files are replaced and removed."""
    for each in inputs:
        if each.place.path is not None and out.path is not None:
            is_inside = out.path.resolve() in each.place.path.resolve().parents
        else:
            is_inside = each.place.where.startswith(f"{out.where.partition('?')[0].rstrip('/')}/")
        if is_inside:
            raise ConfigError(f"{each.name} lies in the output folder, {out}; name another output")


class _FolderRun:
    """The finished parts and inputs of one call of `predict_folder`."""

    def __init__(self, job: FolderJob, inputs: Sequence[InputFile], folder: PartsFolder) -> None:
        self.job, self.inputs, self.folder = job, inputs, folder
        self.parts: dict[tuple[int, int], dict[str, Any]] = {}
        self.read: dict[int, dict[str, Any]] = {}
        parts, read = folder.records()
        finished = folder.is_finished
        for record in parts:
            is_settled = finished or not record["unscored"] or job.prior is not None  # else tried again
            if is_settled and folder.is_whole(record):
                self.parts[record["input"], record["part"]] = record
        if finished and len(self.parts) < len(parts):  # some are damaged: keep the others, then withdraw the manifest
            for record in self.parts.values():
                folder.keep_part(record)
            folder.reopen()
        self.reused = sum(record["rows"] for record in self.parts.values())
        for record in read:
            file = inputs[record["input"]]
            has_all = all((file.number, part) in self.parts for part in range(record["parts"]))
            if has_all and file.changed and (record["bytes"], record["changed"]) == (file.size, file.changed):
                self.read[file.number] = record

    def pending(self) -> list[PendingInput]:
        """List the inputs that must be read: those with missing parts, and those that may have changed."""
        done: dict[int, dict[int, str]] = {each.number: {} for each in self.inputs if each.number not in self.read}
        for (number, part), record in self.parts.items():
            if number in done:
                done[number][part] = record["rows_sha256"]
        return [PendingInput(self.inputs[number], parts) for number, parts in done.items()]

    def predict(self, engine: PartsEngine, pending: Sequence[PendingInput], progress: Callable[[int], None]) -> None:
        """Predict all pending parts and keep a record of each."""
        rows_done = self.reused

        def count(rows: int) -> None:
            nonlocal rows_done
            rows_done += rows
            progress(rows_done)

        with contextlib.closing(engine.run(self.job, pending, count)) as finished:
            for each in finished:
                record = each.record
                if isinstance(each, InputDone):
                    file = self.inputs[record["input"]]
                    record = record | {"bytes": file.size, "changed": file.changed}
                    self.read[file.number] = record
                    self.folder.keep_input(record)
                else:
                    self.parts[record["input"], record["part"]] = record
                    self.folder.keep_part(record)

    def check_unscored(self) -> None:
        """List the rows that could not be scored; an error unless they get the prior."""
        rows = [
            {"input": self.inputs[number].name} | row
            for (number, _), record in sorted(self.parts.items())
            for row in record["unscored"]
        ]
        self.folder.write(UNSCORED, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        if rows and self.job.prior is None:
            raise JudgeError(
                f"{len(rows):,} rows could not be scored (the first: {rows[0]['reason']}); "
                f"{self.folder.place / UNSCORED} lists them. Pass --resume to try them again, or --resume --unscored "
                "prior to give them the class prior"
            )

    def finish(self, prior: list[float]) -> dict[str, Any]:
        """Write the manifest: from now on the folder is finished."""
        parts = [record for _, record in sorted(self.parts.items())]
        unscored = sum(len(record["unscored"]) for record in parts)
        truncations = None
        for record in parts:
            truncations = add_truncations(truncations, record["cut"])
        names = ("input", "parts", "rows", "rows_sha256", "reading", "bytes")
        inputs = [{name: self.read[each.number][name] for name in names} | {"path": each.name} for each in self.inputs]
        manifest: dict[str, Any] = {
            "kind": KIND,
            "format_version": VERSION,
            "votecast": __version__,
            "judge": self.job.judge,
            "settings": self.job.settings,
            "rows": sum(each["rows"] for each in inputs),
            "inputs": inputs,
            "cut": truncation_shares(truncations),
            "unscored": {"rows": unscored, "given": prior} if unscored else None,
            "parts": [record | {"unscored": len(record["unscored"])} for record in parts],
        }
        self.folder.write(MANIFEST, json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        return manifest
