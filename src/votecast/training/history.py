"""What a training has seen: one record per line of metrics.jsonl."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from votecast.artifacts import atomic_file
from votecast.errors import ArtifactError

METRICS_NAME = "metrics.jsonl"
Record = dict[str, Any]


@dataclass(frozen=True)
class History:
    """How a training went.

    Args:
        records: The lines of metrics.jsonl: "step", "epoch", and either "loss" (mean since the last line, in nats),
            "learning_rate", "grad_norm" (before clipping) and "tokens" (trained on so far), or "log_loss", "accuracy"
            and, where a network has two views, "flip_rate".
        best_step: Step of the kept weights, if they were chosen by validation rows.
        best_log_loss: Their log loss, in nats.
    """

    records: list[Record] = field(default_factory=list)
    best_step: int | None = None
    best_log_loss: float | None = None

    @property
    def evaluations(self) -> list[Record]:
        """The records of evaluations."""
        return [record for record in self.records if "log_loss" in record]


class Journal:
    """metrics.jsonl as it grows; no clock is in it, so that the same training writes the same bytes.

    Args:
        folder: Where it is written; None keeps it in memory.
        records: What was written before the checkpoint this training goes on from; anything later is dropped.
    """

    def __init__(self, folder: Path | None, records: list[Record]) -> None:
        self._path = folder / METRICS_NAME if folder else None
        self.records = list(records)
        if self._path is not None:
            with atomic_file(self._path, overwrite=True) as part:
                part.write_text("".join(map(_line, self.records)), "utf-8")

    def add(self, record: Record) -> None:
        """Write one more line.

        Raises:
            ArtifactError: If the disk refuses.
        """
        self.records.append(record)
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(record))
        except OSError as error:
            raise ArtifactError(f"{self._path} could not be written: {error}; earlier checkpoints are kept") from error


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"
