"""Predict a whole file: read in parts, kept in shards, written whole or not at all.

`votecast predict` calls it for one input file; `votecast decide` extends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from votecast.data.battles import Battles
from votecast.data.outputs import PredictionWriter
from votecast.errors import ConfigError, JudgeError
from votecast.jobs.file_run import ROWS_DIGEST, BattlesRun, RowProgress, json_values, read_side_file
from votecast.jobs.shards import SHARD_ROWS
from votecast.judges.predict_batch import (
    Shard,
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

_RESULTS = {ROWS_DIGEST, "cut", "unscored"}
"""What the settings file records beside the settings of the call."""

Unscored = Literal["error", "prior"]
"""What happens to rows that cannot be scored."""


def gives_prior(unscored: Unscored) -> bool:
    """Return whether rows that cannot be scored get the class prior.

    Raises:
        ConfigError: If the value is neither "error" nor "prior".
    """
    if unscored not in ("error", "prior"):
        raise ConfigError(f"unscored is {unscored!r}; allowed are error and prior")
    return unscored == "prior"


def predict_file(
    judge: Judge,
    source: str | Path,
    out: str | Path,
    *,
    format: str = "votecast",
    overwrite: bool = False,
    resume: bool = False,
    reader: Mapping[str, object] | None = None,
    inference: Mapping[str, object] | None = None,
    unscored: Unscored = "error",
    progress: RowProgress | None = None,
) -> dict[str, Any]:
    """Predict every row of a file, in its order, in flat memory.

    The judge predicts `SHARD_ROWS` rows at a time. Predictions are kept in the folder `.NAME.work` beside the output
    until all are done: after a kill the same call with `resume` gives the same bytes as an undisturbed one.

    Args:
        judge: The judge.
        source: File of battles; votes in it are ignored.
        out: File of predictions; its suffix chooses the container.
        format: votecast (`id, p_a, p_b, p_tie`), lmsys or wsdm (a submission).
        overwrite: Whether an existing file may be replaced and partial output discarded.
        resume: Continue from the partial output of a killed run of the same call.
        reader: Options of `VoteReader`.
        inference: Settings of inference for the judge, such as `{"precision": "bf16"}`; see `TrainedJudge.run_with`.
        unscored: "error" raises for rows that cannot be scored, once all others are done; "prior" gives them the class
            prior of the training votes. Either way `<out>.unscored.jsonl` lists them with reasons.
        progress: Called with the rows done, and about how many there are (None if unknown).

    Returns:
        rows, out, format, judge, reading, cut, and the numbers of rows that are unscored, and reused from an
        earlier run.

    Raises:
        DataError: If a row cannot be read; nothing is written.
        ArtifactError: If `out` or partial output is in the way, or the partial output is of other rows.
        ConfigError: If the partial output is of another call, or this judge has no settings of inference.
        JudgeError: If rows cannot be scored and `unscored` is "error"; the predictions of the others are kept.
    """
    run = PredictRun(
        judge=judge,
        source=source,
        out=Path(out),
        format=format,
        reader=reader,
        inference=inference,
        gives_prior=gives_prior(unscored),
        progress=progress,
    )
    return run.predict(resume=resume, overwrite=overwrite)


@dataclass(kw_only=True)
class PredictRun(BattlesRun):
    """The run behind `predict_file`: shards of predictions, then one file of them.

    Args:
        judge: The judge.
        format: Format of the output.
        inference: Settings of inference for the judge.
        gives_prior: Whether rows that cannot be scored get the class prior; if not they are an error.
    """

    retries_unscored = True

    judge: Judge
    format: str = "votecast"
    inference: Mapping[str, object] | None
    gives_prior: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        self.writer(overwrite=True, settings={})  # an unknown suffix or format is an error before any work
        set_inference(self.judge, self.inference or {})
        with_inference = {"inference": dict(self.inference)} if self.inference else {}
        self.key = self.judge.hash
        self.identity = {"judge": cite(self.judge), "shard_rows": SHARD_ROWS, **with_inference}
        self.numbers = reader_numbers(self.judge)
        settings = {"input": str(self.source), "format": self.format, "reader": self.reader_options, **with_inference}
        self.settings = json_values(settings | ({"link": "not fitted"} if is_link_unfitted(self.judge) else {}))
        self.cut: dict[str, object] | None = None

    def predict(self, *, resume: bool, overwrite: bool) -> dict[str, Any]:
        """Run it, and return what `predict_file` does."""
        report = self.run(resume=resume, overwrite=overwrite)
        return {
            "rows": report.rows,
            "out": str(self.out),
            "format": self.format,
            "judge": cite(self.judge),
            "reading": report.to_dict(),
            "cut": self.cut,
            "unscored": len(self.unscored),
            "reused": self.reused,
        }

    def restore(self) -> str | None:
        """Restore the truncations from a finished output of the same call."""
        found = read_side_file(self.out, cite(self.judge))
        if {name: value for name, value in found.items() if name not in _RESULTS} != self.settings:
            return None
        self.cut = found.get("cut")
        return str(found.get(ROWS_DIGEST))

    def compute(self, batch: Battles, before: int) -> Shard:
        """Predict a shard and list its unscored rows."""
        shard, reasons = predict_scorable(self.judge, batch, after=before)
        ids = batch.ids if reasons else []
        self.unscored += [{"id": ids[row], "row": before + row + 1, "reason": why} for row, why in reasons.items()]
        return shard

    def write(self, shards: Iterator[Shard], *, overwrite: bool) -> None:
        """Write the predictions; unscored rows get the class prior or raise."""
        listed = write_unscored(self.out, self.unscored)
        if listed is not None and not self.gives_prior:
            raise JudgeError(
                f"{len(self.unscored):,} rows could not be scored (the first: {self.unscored[0]['reason']}); {listed} "
                "lists them. Pass --resume to try them again, or --resume --unscored prior to give them the class prior"
            )
        self.cut = truncation_shares(self.truncations)
        settings = self.settings | {ROWS_DIGEST: self.rows_digest.hexdigest(), "cut": self.cut}
        prior = class_prior(self.judge) if self.unscored else None  # (3,)
        if prior is not None:
            settings["unscored"] = {"rows": len(self.unscored), "given": prior.tolist()}
        with self.writer(overwrite=overwrite, settings=settings) as writer:
            # (n, 3), NaN where a row could not be scored
            for shard in shards:
                p = shard.probabilities
                writer.write(shard.ids, p if prior is None else np.where(np.isfinite(p), p, prior))

    def writer(self, *, overwrite: bool, settings: Mapping[str, object]) -> PredictionWriter:
        """Return the writer of the output."""
        judge = cite(self.judge)
        return PredictionWriter(self.out, format=self.format, judge=judge, metadata=settings, overwrite=overwrite)
