"""Forecasts of many files: what there is to do, what is done already, and the manifest that says it is finished."""

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
from votecast.jobs.parts.inputs import Input, find_inputs
from votecast.jobs.parts.job import MANIFEST, PART_ROWS, Engine, InputRead, Job, Reading
from votecast.jobs.parts.local import LocalEngine
from votecast.jobs.parts.parts import check_columns
from votecast.jobs.parts.places import Place
from votecast.jobs.parts.target import KIND, UNSCORED, VERSION, Target
from votecast.judges.asking import add_cuts, cite, class_prior, cut_shares, numbers_of, set_inference
from votecast.types import Judge

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
    engine: Engine | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Forecast every row of many files into a folder of parts, `part-INPUT-PART.parquet`, and `manifest.json`.

    A part holds `part_rows` rows of one input and a last one what is left of it, so that parts depend on nothing but
    the rows: not on the engine, nor on how many work at them, nor on what was killed on the way. The folder is finished
    if and only if the manifest is there. After a kill the same call with `resume` makes only the parts that are missing
    or damaged, and the folder has the same bytes as one of an undisturbed run.

    Args:
        judge: Any judge.
        inputs: Files, globs, folders and URLs that pyarrow's filesystems reach; votes in them are not looked at. The
            order is that of the names given, and within a glob or folder that of the names found.
        out: The folder, or its URL.
        format: Columns of the parts: votecast (`id, p_a, p_b, p_tie`), lmsys or wsdm.
        part_rows: Rows of a part, a multiple of `SHARD_ROWS`.
        overwrite: Whether forecasts in the folder may be replaced, and unfinished work on them discarded.
        resume: Go on with what a killed run of the same call has left.
        reader: Options of `VoteReader`; `limit` and `sample` hold for each input by itself.
        inference: Settings of inference the judge is to run with; see `TrainedJudge.run_with`.
        unscored: What becomes of rows that the judge cannot score: an error at the end, once all others are done, or
            the class prior (prior). Either way `unscored.jsonl` in the folder tells which, and why.
        engine: What does the work; by default this process.
        progress: Called with the number of rows done, if given.

    Returns:
        Rows, judge, parts, inputs, what the judge cut from the texts, how many rows it could not score, and how many
        rows an earlier run had done.

    Raises:
        DataError: If an input is missing or no file of battles, or a row cannot be read.
        ArtifactError: If something is in the way in the folder, or what is done there is of other rows.
        ConfigError: If the unfinished work is of another judge or was asked for in another way, or an input lies in the
            folder.
        JudgeError: If rows cannot be scored and are not to have the prior; the others are kept.
    """
    found = find_inputs([str(each) for each in ([inputs] if isinstance(inputs, str | Path) else inputs)])
    set_inference(judge, inference or {})
    prior = class_prior(judge).tolist() if unscored is not None else None
    job = _job(judge, Place.of(str(out)), format, part_rows, dict(reader or {}), dict(inference or {}), prior)
    target = Target(job.out)
    target.check(resume=resume, overwrite=overwrite)
    _check_apart(found, job.out)
    if not resume:
        check_columns(job, found)
    with target.at_work(resume=resume, overwrite=overwrite):
        target.begin(_identity(job, found))
        work = _Work(job, found, target, progress or _unheard)
        work.take_stock()
        if resume:
            check_columns(job, [each.input for each in work.readings()])
        with contextlib.closing(_Running(engine or LocalEngine(judge), work)) as running:
            running.go()
        work.tell_unscored()
        manifest = work.finish(class_prior(judge).tolist())
    return _summary(job, manifest, work.reused, str(out))


class _Work:
    """What is done of one call of `predict_folder`."""

    def __init__(self, job: Job, inputs: Sequence[Input], target: Target, progress: Callable[[int], None]) -> None:
        self.job, self.inputs, self.target = job, inputs, target
        self.parts: dict[tuple[int, int], dict[str, Any]] = {}
        self.read: dict[int, dict[str, Any]] = {}
        self.reused = 0
        self._progress = progress
        self._done = 0

    def take_stock(self) -> None:
        """Take over what an earlier run has left, as far as it is whole."""
        parts, read = self.target.records()
        finished = self.target.is_finished
        for record in parts:
            settled = finished or not record["unscored"] or self.job.prior is not None
            if settled and self.target.is_whole(record):
                self.parts[record["input"], record["part"]] = record
        if finished and len(self.parts) < len(parts):
            for record in self.parts.values():
                self.target.keep_part(record)
            self.target.reopen()
        self.reused = self._done = sum(record["rows"] for record in self.parts.values())
        for record in read:
            file = self.inputs[record["input"]]
            has_all = all((file.number, part) in self.parts for part in range(record["parts"]))
            if has_all and file.changed and (record["bytes"], record["changed"]) == (file.size, file.changed):
                self.read[file.number] = record

    def readings(self) -> list[Reading]:
        """The inputs that must be read: those with parts to do, and those that may have changed."""
        done: dict[int, dict[int, str]] = {each.number: {} for each in self.inputs if each.number not in self.read}
        for (number, part), record in self.parts.items():
            if number in done:
                done[number][part] = record["rows_sha256"]
        return [Reading(self.inputs[number], parts) for number, parts in done.items()]

    def heard(self, rows: int) -> None:
        """Rows were just forecast."""
        self._done += rows
        self._progress(self._done)

    def take_part(self, record: dict[str, Any]) -> None:
        """A part is made."""
        self.parts[record["input"], record["part"]] = record
        self.target.keep_part(record)

    def take_input(self, record: dict[str, Any]) -> None:
        """An input was read to its end."""
        file = self.inputs[record["input"]]
        record = record | {"bytes": file.size, "changed": file.changed}
        self.read[file.number] = record
        self.target.keep_input(record)

    def tell_unscored(self) -> None:
        """Write which rows could not be scored.

        Raises:
            JudgeError: If they are not to have the prior.
        """
        rows = [
            {"input": self.inputs[number].name} | row
            for (number, _), record in sorted(self.parts.items())
            for row in record["unscored"]
        ]
        self.target.write(UNSCORED, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        if rows and self.job.prior is None:
            raise JudgeError(
                f"{len(rows):,} rows could not be scored (the first: {rows[0]['reason']}); "
                f"{self.target.place / UNSCORED} tells which, and why. With --resume they are tried again; with "
                "--resume --unscored prior they get the class prior"
            )

    def finish(self, prior: list[float]) -> dict[str, Any]:
        """Write the manifest: from now on the folder is finished."""
        parts = [record for _, record in sorted(self.parts.items())]
        missed = sum(len(record["unscored"]) for record in parts)
        cut = None
        for record in parts:
            cut = add_cuts(cut, record["cut"])
        inputs = [self._input(each) for each in self.inputs]
        manifest = {"kind": KIND, "format_version": VERSION, "votecast": __version__, "judge": self.job.judge}
        manifest |= {"settings": self.job.settings, "rows": sum(each["rows"] for each in inputs), "inputs": inputs}
        manifest |= {"cut": cut_shares(cut), "unscored": {"rows": missed, "given": prior} if missed else None}
        manifest["parts"] = [record | {"unscored": len(record["unscored"])} for record in parts]
        self.target.write(MANIFEST, json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        return manifest

    def _input(self, input: Input) -> dict[str, Any]:
        said = self.read[input.number]
        kept = {name: said[name] for name in ("input", "parts", "rows", "rows_sha256", "reading", "bytes")}
        return kept | {"path": input.name}


class _Running:
    """An engine at work."""

    def __init__(self, engine: Engine, work: _Work) -> None:
        readings = work.readings()
        self._work = work
        self._told = engine.run(work.job, readings, work.heard) if readings else iter(())

    def go(self) -> None:
        """Take what the engine tells until all is done."""
        for each in self._told:
            if isinstance(each, InputRead):
                self._work.take_input(each.record)
            else:
                self._work.take_part(each.record)

    def close(self) -> None:
        """Let the engine go."""
        close = getattr(self._told, "close", None)
        if close is not None:
            close()


def _job(
    judge: Judge,
    out: Place,
    format: str,
    part_rows: int,
    reader: dict[str, Any],
    inference: dict[str, Any],
    prior: list[float] | None,
) -> Job:
    if format not in _FORMATS:
        raise ConfigError(f"the format {format!r} is unknown; predictions are written as {', '.join(_FORMATS)}")
    if part_rows < 1 or part_rows % SHARD_ROWS:
        raise ConfigError(f"a part of {part_rows} rows cannot be made; allowed are multiples of {SHARD_ROWS}")
    if reader.get("quarantine") is not None:
        raise ConfigError(
            "rows that are set aside lie in the folder of the forecasts, a file for each input; drop --quarantine"
        )
    options = {name: value for name, value in reader.items() if name != "overwrite"} | numbers_of(judge)
    settings = {"format": format, "part_rows": part_rows, "shard_rows": SHARD_ROWS, "reader": options}
    settings |= {"inference": inference} if inference else {}
    link = getattr(judge, "notes", {}).get("link") or {}
    settings |= {"link": "not fitted"} if link.get("fitted") is False else {}
    settings = json.loads(json.dumps(settings, default=str))
    return Job(out, cite(judge), format, part_rows, options, inference, prior, settings)


def _check_apart(inputs: Sequence[Input], out: Place) -> None:
    """Refuse inputs in the folder, where files are replaced and removed.

    Raises:
        ConfigError: If there is one.
    """
    for each in inputs:
        if each.place.path is not None and out.path is not None:
            lies_in = out.path.resolve() in each.place.path.resolve().parents
        else:
            lies_in = each.place.where.startswith(f"{out.where.partition('?')[0].rstrip('/')}/")
        if lies_in:
            raise ConfigError(f"{each.name} lies in the folder that the forecasts go to, {out}; name another output")


def _identity(job: Job, inputs: Sequence[Input]) -> dict[str, Any]:
    """What the folder depends on, beside the rows."""
    sizes = {each.name: each.size for each in inputs}
    return {"votecast": __version__, "judge": job.judge, "settings": job.settings, "inputs": sizes}


def _summary(job: Job, manifest: Mapping[str, Any], reused: int, out: str) -> dict[str, Any]:
    digest = hashlib.sha256("".join(part["sha256"] for part in manifest["parts"]).encode()).hexdigest()
    return {
        "rows": manifest["rows"],
        "out": out,
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


def _unheard(done: int) -> None:
    """Progress that nobody follows."""
