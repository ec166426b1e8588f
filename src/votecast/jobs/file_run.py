"""One resumable run over one file: computed batch by batch, written whole or not at all.

`predict_file`, `score_file`, `rerank_file` and `decide_file` run a subclass of `FileRun`.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from votecast import __version__
from votecast.artifacts import check_free, digest_of, settings_path
from votecast.data.battles import Battles
from votecast.data.reader import VoteReader
from votecast.data.row_checks import ReadReport
from votecast.data.work_folder import hold_work_folder
from votecast.errors import ArtifactError, DataError
from votecast.jobs.shards import SHARD_ROWS, Shards, fingerprint, in_shards
from votecast.judges.predict_batch import Shard, Truncations, add_truncations
from votecast.types import no_progress

ROWS_DIGEST = "rows_sha256"
"""Under this name an output records the hash of the rows it was made from."""

RowProgress = Callable[[int, int | None], None]
"""A progress callback: takes the number of rows done, and about how many there are (None if unknown)."""

Batch = TypeVar("Batch", bound=Sized)


class CountedReader(Protocol):
    """A reader of rows, with its report and an estimate of how many rows there are."""

    report: ReadReport

    @property
    def expected_rows(self) -> int | None:
        """About how many rows there are; None if unknown."""


@dataclass(kw_only=True)
class FileRun(ABC, Generic[Batch]):
    """A run over one file that gives the same bytes after any number of kills.

    Results are computed one batch of rows at a time. Each batch is kept as a shard in the work folder beside the output
    until all are done. Subclasses define how rows are read, computed and written, and set `key` and `identity`.

    Args:
        source: The input file.
        out: The output file.
        reader: Options of the reader.
        progress: Called with the rows done, and about how many there are; not for rows of an earlier run.

    Attributes:
        key: Hash of everything the results depend on except the rows, such as that of the judge.
        identity: JSON-able description of the same, without the options of the reader.
    """

    shard_rows: ClassVar[int | None] = SHARD_ROWS
    """Rows of every batch but the last; None where batches hold different numbers."""
    retries_unscored: ClassVar[bool] = False
    """Whether a shard of an earlier run with rows that could not be scored is computed again."""

    source: str | Path
    out: Path
    reader: Mapping[str, object] | None
    progress: RowProgress | None

    def __post_init__(self) -> None:
        self.key, self.identity = "", dict[str, object]()
        self.reader_options: dict[str, Any] = {k: v for k, v in (self.reader or {}).items() if k != "overwrite"}
        self.rows = self.reused = 0
        self.truncations: Truncations = None
        self.unscored: list[dict[str, object]] = []
        self.rows_digest = hashlib.sha256()

    @abstractmethod
    def restore(self) -> str | None:
        """Restore the results from a finished output of the same call; return the hash of its rows, else None."""

    @abstractmethod
    def read(self, *, overwrite: bool) -> tuple[CountedReader, Iterable[Batch]]:
        """Open the input; return the reader, and its rows divided into batches."""

    @abstractmethod
    def fingerprint(self, batch: Batch) -> str:
        """Hash everything in a batch and add it to `rows_digest`; called once for every batch."""

    @abstractmethod
    def compute(self, batch: Batch, before: int) -> Shard:
        """Compute the results of a batch, `before` rows into the file."""

    @abstractmethod
    def write(self, shards: Iterator[Shard], *, overwrite: bool) -> None:
        """Write the output, its settings and the list of unscored rows; raise if those make the run an error."""

    def keep(self, batch: Batch, shard: Shard, before: int) -> None:  # noqa: ARG002 - subclasses look at them
        """Account for the results of a batch."""
        self.truncations = add_truncations(self.truncations, shard.cut)

    def run(self, *, resume: bool, overwrite: bool) -> ReadReport:
        """Make the output, or check that a finished one is of the same rows; return the reader's report.

        Raises:
            ArtifactError: If an output or partial output is in the way, or is of other rows.
            ConfigError: If the partial output is of another call.
        """
        finished = self.restore() if resume and not overwrite else None
        # a finished output of this call is checked against the rows; any other is in the way
        check_free(self.out, overwrite=overwrite or finished is not None)
        with hold_work_folder(self.out, resume=resume, overwrite=overwrite) as folder:
            identity = {"votecast": __version__, **self.identity, "reader": self.reader_options}
            shards = Shards(folder, self.key, json_values(identity), rows=self.shard_rows)
            # an earlier run of this call may have written the quarantine file already
            again = bool((self.reader or {}).get("overwrite")) or finished is not None or shards.is_resumed
            reader, batches = self.read(overwrite=again)
            if finished is not None:
                self._check_rows(batches, finished)
                return reader.report
            try:
                fingerprints = self._compute_batches(reader, batches, shards)
                if self.rows != reader.report.rows:
                    raise DataError(
                        f"{self.source} has {reader.report.rows} rows that were read, of which {self.rows} have "
                        "results; this is a fault of votecast: report it with the file"
                    )
                shards.check_end(len(fingerprints))
                self.write(shards.all(fingerprints), overwrite=overwrite)
            except BaseException:
                # the newest shard is still in memory: an interrupt must not lose it
                shards.write_held()
                raise
        return reader.report

    def _compute_batches(self, reader: CountedReader, batches: Iterable[Batch], shards: Shards) -> list[str]:
        """Compute every batch whose shard is not on disk yet; return the fingerprints of all."""
        fingerprints, progress = list[str](), self.progress or no_progress
        for number, batch in enumerate(batches):
            shards.write_held()  # a second batch follows, so the run is long enough to be worth resuming
            before = self.rows
            self.rows += len(batch)
            fingerprints.append(self.fingerprint(batch))
            shard = shards.find(number, fingerprints[number])
            # a reward model that was out of reach may answer now
            if shard is None or (self.retries_unscored and not np.isfinite(shard.probabilities).all()):
                progress(before, reader.expected_rows)
                shard = self.compute(batch, before)
                shards.add(number, fingerprints[number], shard)
                progress(self.rows, reader.expected_rows)
            else:
                self.reused += len(batch)
            self.keep(batch, shard, before)
            del batch, shard  # free the memory before the next rows are read
        if len(fingerprints) > 1:
            shards.write_held()
        return fingerprints

    def _check_rows(self, batches: Iterable[Batch], finished: str) -> None:
        for batch in batches:
            self.fingerprint(batch)
            self.rows += len(batch)
        self.reused = self.rows
        if finished != self.rows_digest.hexdigest():
            raise ArtifactError(
                f"{self.out} is complete but was made from other rows than {self.source} has now; pass --overwrite to "
                "replace it, or name another output"
            )


class BattlesRun(FileRun[Battles]):
    """A run over a file of battles, whose votes are ignored, in shards of `SHARD_ROWS` rows."""

    numbers: Mapping[str, object] = {}
    """The reader option for number columns, where a judge needs some."""

    def read(self, *, overwrite: bool) -> tuple[VoteReader, Iterable[Battles]]:
        """Open the battles."""
        options = {"labels": "ignored", "lean": True, **self.numbers, **self.reader_options}
        votes = VoteReader(self.source, **options, overwrite=overwrite)
        return votes, in_shards(votes, SHARD_ROWS)

    def fingerprint(self, batch: Battles) -> str:
        """Hash a shard."""
        found = fingerprint(batch)
        self.rows_digest.update(found.encode())
        return found


def read_side_file(out: Path, judge: Mapping[str, str]) -> dict[str, Any]:
    """Read the settings beside a finished output; {} unless it is whole and of this judge."""
    try:
        side = json.loads(settings_path(out).read_text("utf-8"))
        is_whole = (side["judge"], side["sha256"]) == (judge, digest_of(out))
        return dict(side["settings"]) if is_whole else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def json_values(values: Mapping[str, object]) -> dict[str, object]:
    """Return settings as they read back from JSON; what JSON cannot hold becomes text."""
    return dict(json.loads(json.dumps(values, default=str)))
