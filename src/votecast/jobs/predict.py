"""Forecasts for a whole file: read in parts, kept in shards, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from votecast import __version__
from votecast.artifacts import check_free, digest_of
from votecast.data.battles import Battles
from votecast.data.outputs import PredictionWriter, side_path
from votecast.data.reader import VoteReader
from votecast.data.shards import SHARD_ROWS, Shards, fingerprint, in_shards
from votecast.errors import ArtifactError, JudgeError
from votecast.judges.asking import add_cuts, ask_or_tell, cite, class_prior, cut_shares, numbers_of, set_inference
from votecast.judges.unfinished import RUN, at_work, take_up
from votecast.judges.unscored import write_unscored
from votecast.types import Judge, Probabilities

_FINAL, _DIGEST, _CUT, _UNSCORED = "final", "rows_sha256", "cut", "unscored"
_FOUND = {_DIGEST, _CUT, _UNSCORED}


def predict_file(
    judge: Judge,
    source: str | Path,
    out: str | Path,
    *,
    format: str = "votecast",
    overwrite: bool = False,
    resume: bool = False,
    reader: Mapping[str, Any] | None = None,
    inference: Mapping[str, Any] | None = None,
    unscored: Literal["prior"] | None = None,
    writer: Callable[..., PredictionWriter] = PredictionWriter,
    about: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
    watch: Callable[[Battles], None] | None = None,
) -> dict[str, Any]:
    """Forecast every row of a file, in its order; memory stays flat whatever its length.

    The judge is asked for exactly `SHARD_ROWS` rows at a time, whatever the reader's parts, and what it says is kept in
    the folder `.NAME.work` beside the output until all is done. After a kill the same call with `resume` gives the same
    bytes as an undisturbed one. Standard input is no exception, as long as the same rows are piped in again.

    Args:
        judge: Any judge.
        source: File of battles; votes in it are not looked at.
        out: File of predictions; its ending chooses the container.
        format: votecast (`id, p_a, p_b, p_tie`), lmsys or wsdm (a submission).
        overwrite: Whether an existing file may be replaced, and unfinished work on it discarded.
        resume: Go on with what a killed run of the same call has left.
        reader: Options of `VoteReader`.
        inference: Settings of inference the judge is to run with, such as `{"precision": "bf16"}`; see
            `TrainedJudge.run_with`.
        unscored: What becomes of rows that the judge cannot score: an error at the end, once all others are done, or
            the shares of the votes it learnt from (prior). Either way `<out>.unscored.jsonl` tells which, and why.
        writer: What writes the file, called as `PredictionWriter` is.
        about: JSON-able: what the file depends on beside the forecasts, kept with its settings.
        progress: Called with the number of rows done, if given, from the first row on that must be forecast.
        watch: Called with the rows, a part at a time and every row once, if given; before the file is written.

    Returns:
        Rows, judge, hash, what the reader found, what the judge cut from the texts, how many rows it could not score,
        and how many rows an earlier run had done.

    Raises:
        DataError: If a row cannot be read; nothing is written.
        ArtifactError: If `out` or unfinished work on it is in the way, or that work is of other rows; it is kept.
        ConfigError: If the unfinished work is of another judge or was read in another way, or this judge has no
            settings of inference.
        JudgeError: If rows cannot be scored and are not to have the prior; the others are kept.
    """
    job = _Job(judge, source, Path(out), format, dict(reader or {}), dict(inference or {}), progress or _unheard)
    job.fills, job.writer, job.about, job.watch = unscored is not None, writer, dict(about or {}), watch
    writer(out, format=format)  # an unknown ending or format is an error before any work
    set_inference(judge, job.inference)
    made_before = resume and not overwrite and job.may_be_made()
    check_free(out, overwrite=overwrite or made_before)
    with at_work(out, resume=resume, overwrite=overwrite) as folder:
        again = made_before or (folder / RUN).exists()
        take_up(folder, job.identity())
        votes = job.votes(again=again)
        if made_before:
            job.check_made(votes)
        else:
            shards = Shards(folder, judge.hash)
            job.forecast(votes, shards)
            job.tell_unscored()
            job.write(shards, folder / _FINAL, overwrite=overwrite)
    return job.summary(votes)


@dataclass
class _Job:
    """One call of `predict_file`."""

    judge: Judge
    source: str | Path
    out: Path
    format: str
    reader: dict[str, Any]
    inference: dict[str, Any]
    progress: Callable[[int], None]
    shards: int = 0
    reused: int = 0
    cut: dict[str, Any] | None = None
    fills: bool = False
    writer: Callable[..., PredictionWriter] = PredictionWriter
    about: dict[str, Any] = field(default_factory=dict)
    watch: Callable[[Battles], None] | None = None
    reasons: list[dict[str, Any]] = field(default_factory=list)
    _cut: dict[str, Any] | None = None
    _rows: Any = field(default_factory=hashlib.sha256)

    def votes(self, *, again: bool) -> VoteReader:
        """The battles; what an earlier run of this call has set aside may be set aside again."""
        options: dict[str, Any] = {"labels": "ignored", "lean": True} | numbers_of(self.judge) | self.reader
        return VoteReader(self.source, **(options | {"overwrite": True} if again else options))

    def settings(self) -> dict[str, Any]:
        """What the forecasts were asked with."""
        reader = {name: value for name, value in self.reader.items() if name != "overwrite"}
        asked = {"input": str(self.source), "format": self.format, "reader": reader}
        asked |= {"inference": self.inference} if self.inference else {}
        link = getattr(self.judge, "notes", {}).get("link") or {}
        asked |= {"link": "not fitted"} if link.get("fitted") is False else {}
        asked |= {"about": self.about} if self.about else {}
        return dict(json.loads(json.dumps(asked, default=str)))

    def identity(self) -> dict[str, Any]:
        """What the shards depend on, beside the rows."""
        settings = {name: value for name, value in self.settings().items() if name in ("reader", "inference")}
        return {"votecast": __version__, "judge": cite(self.judge), "shard_rows": SHARD_ROWS} | settings

    def forecast(self, votes: VoteReader, shards: Shards) -> None:
        """Ask the judge for every shard that is not on disk yet."""
        for battles in in_shards(votes, SHARD_ROWS):
            number, done = self.shards, self.shards * SHARD_ROWS
            rows = self._take_in(battles)
            shard = shards.find(number, rows)
            if shard is None or not np.isfinite(shard.probabilities).all():  # what could not be scored is tried again
                self.progress(done)
                shard, reasons = ask_or_tell(self.judge, battles, after=done)
                shards.write(number, rows, shard)
                self._note(battles, reasons, done)
                self.progress(done + len(battles))
            else:
                self.reused += len(battles)
            self._cut = add_cuts(self._cut, shard.cut)
            del battles, shard  # before the next rows are read
        shards.end(self.shards)
        self.cut = cut_shares(self._cut)

    def tell_unscored(self) -> None:
        """Write beside the output which rows could not be scored.

        Raises:
            JudgeError: If they are not to have the prior.
        """
        path = write_unscored(self.out, self.reasons)
        if path is not None and not self.fills:
            raise JudgeError(
                f"{len(self.reasons):,} rows could not be scored (the first: {self.reasons[0]['reason']}); {path} "
                "tells which, and why. With --resume they are tried again; with --resume --unscored prior they get the "
                "class prior"
            )

    def write(self, shards: Shards, folder: Path, *, overwrite: bool) -> None:
        """Put the shards together, and the file in its place."""
        try:
            folder.mkdir(exist_ok=True)
            whole = folder / self.out.name
            settings = self.settings() | {_DIGEST: self._rows.hexdigest(), _CUT: self.cut}
            prior = class_prior(self.judge) if self.reasons else None
            settings |= {} if prior is None else {_UNSCORED: {"rows": len(self.reasons), "given": prior.tolist()}}
            with self.writer(
                whole, format=self.format, judge=cite(self.judge), metadata=settings, overwrite=True
            ) as writer:
                for number in range(self.shards):
                    shard = shards.read(number)
                    writer.write(shard.ids, _filled(shard.probabilities, prior))
            check_free(self.out, overwrite=overwrite)
            side_path(whole).replace(side_path(self.out))
            whole.replace(self.out)
        except OSError as error:
            raise ArtifactError(f"{self.out} could not be written: {error}; nothing was left behind") from error

    def may_be_made(self) -> bool:
        """Whether the output is whole and was made by this call, so that only its rows need to be compared."""
        side = self._side()
        settings = {name: value for name, value in side.get("settings", {}).items() if name not in _FOUND}
        asked = cite(self.judge), self.settings()
        try:
            return (side.get("judge"), settings) == asked and side.get("sha256") == digest_of(self.out)
        except OSError:
            return False

    def check_made(self, votes: VoteReader) -> None:
        """Refuse an output that was made of other rows than the input has now.

        Raises:
            ArtifactError: If it was.
        """
        for battles in in_shards(votes, SHARD_ROWS):
            self._take_in(battles)
            self.reused += len(battles)
        said = self._side()["settings"]
        self.cut = said.get(_CUT)
        if said.get(_DIGEST) != self._rows.hexdigest():
            raise ArtifactError(
                f"{self.out} is whole but was made of other rows than {self.source} has now; pass --overwrite to "
                "replace it, or name another output"
            )

    def summary(self, votes: VoteReader) -> dict[str, Any]:
        """What `predict_file` returns."""
        report = votes.report
        return {
            "rows": report.rows,
            "out": str(self.out),
            "format": self.format,
            "judge": cite(self.judge),
            "reading": report.to_dict(),
            "cut": self.cut,
            "unscored": len(self.reasons),
            "reused": self.reused,
        }

    def _take_in(self, battles: Battles) -> str:
        rows = fingerprint(battles)
        self._rows.update(rows.encode())
        self.shards += 1
        if self.watch is not None:
            self.watch(battles)
        return rows

    def _note(self, battles: Battles, reasons: Mapping[int, str], done: int) -> None:
        ids = battles.ids if reasons else []
        self.reasons += [{"id": ids[row], "row": done + row + 1, "reason": why} for row, why in reasons.items()]

    def _side(self) -> dict[str, Any]:
        try:
            side = json.loads(side_path(self.out).read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return side if isinstance(side, dict) and isinstance(side.get("settings"), dict) else {}


def _filled(p: Probabilities, prior: NDArray[np.float64] | None) -> Probabilities:
    return p if prior is None else np.where(np.isfinite(p), p, prior)


def _unheard(done: int) -> None:
    """Progress that nobody follows."""
