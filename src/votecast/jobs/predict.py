"""Predict a whole file: read in parts, kept in shards, written whole or not at all.

`votecast predict` and `votecast decide` call it for one input file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from votecast import __version__
from votecast.artifacts import digest_of
from votecast.data.battles import Battles
from votecast.data.outputs import PredictionWriter
from votecast.data.reader import VoteReader
from votecast.data.shards import SHARD_ROWS, Shard, Shards, fingerprint, in_shards
from votecast.errors import JudgeError
from votecast.jobs.file_run import ROWS_DIGEST, FileRun, json_values, read_side_file
from votecast.judges.predict_batch import (
    cite,
    class_prior,
    is_link_unfitted,
    predict_scorable,
    reader_numbers,
    set_inference,
    truncation_shares,
    write_unscored,
)
from votecast.types import Judge

_CUT, _UNSCORED = "cut", "unscored"
_RESULTS = {ROWS_DIGEST, _CUT, _UNSCORED}
"""What the settings file records beside the settings of the call."""


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
    about: Mapping[str, object] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    watch: Callable[[Battles], None] | None = None,
) -> dict[str, Any]:
    """Predict every row of a file, in its order, in flat memory.

    The judge predicts exactly `SHARD_ROWS` rows at a time, whatever the reader's parts, and its predictions are kept in
    the folder `.NAME.work` beside the output until all are done. After a kill the same call with `resume` gives the
    same bytes as an undisturbed one, on standard input too, as long as the same rows are piped in again.

    Args:
        judge: Any judge.
        source: File of battles; votes in it are ignored.
        out: File of predictions; its suffix chooses the container.
        format: votecast (`id, p_a, p_b, p_tie`), lmsys or wsdm (a submission).
        overwrite: Whether an existing file may be replaced and partial output discarded.
        resume: Continue from the partial output of a killed run of the same call.
        reader: Options of `VoteReader`.
        inference: Settings of inference for the judge, such as `{"precision": "bf16"}`; see `TrainedJudge.run_with`.
        unscored: What rows get that the judge cannot score: an error at the end, once all others are done (None), or
            the class prior of the judge's training votes ("prior"). Either way `<out>.unscored.jsonl` lists these rows
            with reasons.
        writer: What writes the file, called as `PredictionWriter` is.
        about: JSON-able: what the file depends on beside the predictions, kept with its settings.
        progress: Called with the rows done, from the first row on that must be predicted, and about how many there
            are (None if unknown).
        watch: Called with the rows, a part at a time and every row once, before the file is written.

    Returns:
        Rows, judge, hash, the reader's report, what the judge truncated, how many rows it could not score, and how
        many rows an earlier run had done.

    Raises:
        DataError: If a row cannot be read; nothing is written.
        ArtifactError: If `out` or partial output is in the way, or the partial output is of other rows; it is kept.
        ConfigError: If the partial output is of another judge or was read in another way, or this judge has no
            settings of inference.
        JudgeError: If rows cannot be scored and are not to get the prior; the predictions of the others are kept.
    """
    writer(out, format=format)  # an unknown suffix or format is an error before any work
    set_inference(judge, inference or {})
    run = _PredictRun(source, out, reader, progress)
    run.judge, run.format, run.inference, run.about = judge, format, dict(inference or {}), dict(about or {})
    run.fills, run.writer, run.watch = unscored is not None, writer, watch
    report = run.run(resume=resume, overwrite=overwrite).report
    return {
        "rows": report.rows,
        "out": str(run.out),
        "format": format,
        "judge": cite(judge),
        "reading": report.to_dict(),
        "cut": run.cut,
        "unscored": len(run.unscored),
        "reused": run.reused,
    }


class _PredictRun(FileRun[VoteReader, Battles]):
    judge: Judge
    format: str
    inference: dict[str, object]
    about: dict[str, object]
    fills: bool
    writer: Callable[..., PredictionWriter]
    watch: Callable[[Battles], None] | None
    cut: object = None

    @property
    def key(self) -> str:
        """Return the hash of the judge."""
        return self.judge.hash

    def settings(self) -> dict[str, object]:
        """What the predictions were made with."""
        reader = {name: value for name, value in self.reader_options.items() if name != "overwrite"}
        settings: dict[str, object] = {"input": str(self.source), "format": self.format, "reader": reader}
        settings |= {"inference": self.inference} if self.inference else {}
        settings |= {"link": "not fitted"} if is_link_unfitted(self.judge) else {}
        settings |= {"about": self.about} if self.about else {}
        return json_values(settings)

    def identity(self) -> dict[str, object]:
        """Return judge, reader options and inference settings."""
        settings = {name: value for name, value in self.settings().items() if name in ("reader", "inference")}
        return {"votecast": __version__, "judge": cite(self.judge), "shard_rows": SHARD_ROWS} | settings

    def recorded(self) -> Mapping[str, Any] | None:
        """Return the settings of a finished output of the same call."""
        side, settings = read_side_file(self.out)
        made_with = {name: value for name, value in settings.items() if name not in _RESULTS}
        try:
            is_ours = (side.get("judge"), made_with) == (cite(self.judge), self.settings())
            return settings if is_ours and side.get("sha256") == digest_of(self.out) else None
        except OSError:
            return None

    def restore(self, recorded: Mapping[str, Any]) -> None:
        """Take over the truncations."""
        self.cut = recorded.get(_CUT)

    def read(self, options: Mapping[str, Any]) -> VoteReader:
        """Open the battles; votes are ignored."""
        return VoteReader(self.source, **{"labels": "ignored", "lean": True, **reader_numbers(self.judge), **options})

    def batches(self, rows: VoteReader) -> Iterator[Battles]:
        """Divide the rows into shards."""
        return in_shards(rows, SHARD_ROWS)

    def fingerprint(self, batch: Battles) -> str:
        """Hash a shard and pass it to `watch`."""
        if self.watch is not None:
            self.watch(batch)
        return fingerprint(batch)

    def is_settled(self, shard: Shard) -> bool:
        """Return whether every row was scored."""
        return bool(np.isfinite(shard.probabilities).all())

    def compute(self, batch: Battles, before: int) -> Shard:
        """Predict a shard and list its unscored rows."""
        shard, reasons = predict_scorable(self.judge, batch, after=before)
        ids = batch.ids if reasons else []
        self.unscored += [{"id": ids[row], "row": before + row + 1, "reason": why} for row, why in reasons.items()]
        return shard

    def check_unscored(self) -> None:
        """Write the list of unscored rows; an error unless they get the prior."""
        path = write_unscored(self.out, self.unscored)
        if path is not None and not self.fills:
            raise JudgeError(
                f"{len(self.unscored):,} rows could not be scored (the first: {self.unscored[0]['reason']}); {path} "
                "lists them. Pass --resume to try them again, or --resume --unscored prior to give them the class prior"
            )

    def write(self, shards: Shards, path: Path) -> None:
        """Write the predictions, unscored rows with the prior."""
        self.cut = truncation_shares(self.truncations)
        settings = self.settings() | {ROWS_DIGEST: self.rows_digest, _CUT: self.cut}
        prior = class_prior(self.judge) if self.unscored else None  # (3,)
        if prior is not None:
            settings[_UNSCORED] = {"rows": len(self.unscored), "given": prior.tolist()}
        with self.writer(path, format=self.format, judge=cite(self.judge), metadata=settings, overwrite=True) as writer:
            for number in range(self.shards):
                shard = shards.read(number)
                p = shard.probabilities
                writer.write(shard.ids, p if prior is None else np.where(np.isfinite(p), p, prior))
