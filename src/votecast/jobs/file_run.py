"""One resumable run over one file: results are kept in shards, then written as one output.

`predict_file`, `score_file` and `rerank_file` each subclass `FileRun`.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from votecast.artifacts import check_free
from votecast.data.outputs import side_path
from votecast.data.shards import SHARD_ROWS, Shard, Shards
from votecast.data.work_folder import RUN, begin_work, hold_work_folder
from votecast.errors import ArtifactError
from votecast.judges.predict_batch import Truncations, add_truncations, write_unscored
from votecast.types import no_progress

ROWS_DIGEST = "rows_sha256"
"""Under this name an output records the hash of the rows it was made of."""

_FINAL = "final"

Batch = TypeVar("Batch", bound=Sized)


class CountedRows(Protocol):
    """What a run reads: rows, with an estimate of how many there are."""

    def __iter__(self) -> Iterator[object]: ...

    @property
    def expected_rows(self) -> int | None:
        """About how many rows there are; None if unknown."""


Rows = TypeVar("Rows", bound=CountedRows)


class FileRun(ABC, Generic[Rows, Batch]):
    """A run over one file that gives the same bytes after any number of kills.

    Results are computed one batch of rows at a time. Each batch is kept as a shard in the work folder beside the output
    until all are done. `run` tells the story; subclasses say how rows are read, computed and written.

    Args:
        source: The input file.
        out: The output file.
        reader: Options of the reader.
        progress: Called with the rows done, and about how many there are (None if unknown).
    """

    shard_rows: ClassVar[int | None] = SHARD_ROWS
    """Rows of every batch but the last; None where batches hold different numbers."""

    def __init__(
        self,
        source: str | Path,
        out: str | Path,
        reader: Mapping[str, Any] | None,
        progress: Callable[[int, int | None], None] | None,
    ) -> None:
        self.source, self.out = source, Path(out)
        self.reader_options: dict[str, Any] = dict(reader or {})
        self.progress = progress or no_progress
        self.rows = 0
        self.reused = 0
        self.shards = 0
        self.truncations: Truncations = None
        self.unscored: list[dict[str, object]] = []
        self._digest = hashlib.sha256()

    @property
    @abstractmethod
    def key(self) -> str:
        """Hash of what the results depend on beside the rows."""

    @abstractmethod
    def identity(self) -> dict[str, object]:
        """What shards depend on beside the rows, as JSON-able values."""

    @abstractmethod
    def recorded(self) -> Mapping[str, Any] | None:
        """What the output records of its run, if it is whole and of the same call; else None."""

    @abstractmethod
    def read(self, options: Mapping[str, Any]) -> Rows:
        """Open the input."""

    @abstractmethod
    def batches(self, rows: Rows) -> Iterable[Batch]:
        """Divide the rows into batches."""

    @abstractmethod
    def fingerprint(self, batch: Batch) -> str:
        """Hash everything in a batch; called once for every batch."""

    @abstractmethod
    def compute(self, batch: Batch, before: int) -> Shard:
        """Compute the results of a batch, `before` rows into the file."""

    @abstractmethod
    def write(self, shards: Shards, path: Path) -> None:
        """Write the output, and its settings file if it has one, from all shards."""

    @abstractmethod
    def restore(self, recorded: Mapping[str, Any]) -> None:
        """Take over what a finished output records."""

    def is_settled(self, shard: Shard) -> bool:  # noqa: ARG002 - subclasses look at it
        """Return whether a shard found on disk needs no second attempt."""
        return True

    def keep(self, batch: Batch, shard: Shard, before: int) -> None:  # noqa: ARG002 - subclasses look at them
        """Account for the results of a batch."""
        self.truncations = add_truncations(self.truncations, shard.cut)

    def check_unscored(self) -> None:
        """Refuse to write an output, where too many rows have no result."""

    def run(self, *, resume: bool, overwrite: bool) -> Rows:
        """Make the output, or check that a finished one is of the same rows.

        Args:
            resume: Continue from the partial output of an earlier run of the same call.
            overwrite: Whether an existing output may be replaced and partial output discarded.

        Returns:
            The reader, whose report is complete.

        Raises:
            ArtifactError: If an output or partial output is in the way, or is of other rows.
            ConfigError: If the partial output is of another call.
        """
        recorded = self.recorded() if resume and not overwrite else None
        check_free(self.out, overwrite=overwrite or recorded is not None)
        with hold_work_folder(self.out, resume=resume, overwrite=overwrite) as folder:
            again = recorded is not None or (folder / RUN).exists()
            begin_work(folder, self.identity())
            # a quarantine file of the earlier run of this call may be replaced
            rows = self.read(self.reader_options | ({"overwrite": True} if again else {}))
            if recorded is not None:
                self._check_recorded(rows, recorded)
            else:
                shards = Shards(folder, self.key, rows=self.shard_rows)
                self._compute_all(rows, shards)
                self.check_unscored()
                self._write_all(shards, folder / _FINAL, overwrite=overwrite)
        return rows

    def _compute_all(self, rows: Rows, shards: Shards) -> None:
        """Compute every batch whose shard is not on disk yet."""
        for batch in self.batches(rows):
            number, before = self.shards, self.rows
            fingerprint = self._count(batch)
            shard = shards.find(number, fingerprint)
            if shard is None or not self.is_settled(shard):
                self.progress(before, rows.expected_rows)
                shard = self.compute(batch, before)
                shards.write(number, fingerprint, shard)
                self.progress(self.rows, rows.expected_rows)
            else:
                self.reused += len(batch)
            self.keep(batch, shard, before)
            del batch, shard  # free the memory before the next rows are read
        shards.end(self.shards)

    def _write_all(self, shards: Shards, folder: Path, *, overwrite: bool) -> None:
        """Write the output in the work folder, then rename it into place."""
        try:
            folder.mkdir(exist_ok=True)
            part = folder / self.out.name
            self.write(shards, part)
            check_free(self.out, overwrite=overwrite)
            write_unscored(self.out, self.unscored)
            if side_path(part).exists():
                side_path(part).replace(side_path(self.out))
            part.replace(self.out)
        except OSError as error:
            raise ArtifactError(f"{self.out} could not be written: {error}; partial output is kept") from error

    def _check_recorded(self, rows: Rows, recorded: Mapping[str, Any]) -> None:
        for batch in self.batches(rows):
            self._count(batch)
        self.reused = self.rows
        self.restore(recorded)
        if recorded.get(ROWS_DIGEST) != self.rows_digest:
            raise ArtifactError(
                f"{self.out} is complete but was made from other rows than {self.source} has now; pass --overwrite to "
                "replace it, or name another output"
            )

    def _count(self, batch: Batch) -> str:
        fingerprint = self.fingerprint(batch)
        self.update_digest(fingerprint)
        self.shards += 1
        self.rows += len(batch)
        return fingerprint

    def update_digest(self, fingerprint: str) -> None:
        """Add the fingerprint of a batch to the digest of all rows."""
        self._digest.update(fingerprint.encode())

    @property
    def rows_digest(self) -> str:
        """Hash of all rows so far, as hexadecimal digits."""
        return self._digest.hexdigest()


def read_side_file(out: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the settings file beside an output.

    Returns:
        All of it, and its settings; both empty where there is no valid one.
    """
    try:
        side = json.loads(side_path(out).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}, {}
    settings = side.get("settings") if isinstance(side, dict) else None
    return (side, settings) if isinstance(settings, dict) else ({}, {})


def json_values(values: Mapping[str, object]) -> dict[str, object]:
    """Return settings as they read back from JSON; what JSON cannot hold becomes text."""
    return dict(json.loads(json.dumps(values, default=str)))
