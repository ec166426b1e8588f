"""Records of a training: metrics.jsonl as it grows, and the trackers of accelerate that show it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from votecast.artifacts import atomic_file
from votecast.errors import ArtifactError, ConfigError, MissingExtraError

METRICS_NAME = "metrics.jsonl"
Record = dict[str, float]


@dataclass(frozen=True)
class History:
    """Records of a whole training.

    Args:
        records: The lines of metrics.jsonl: "step", "epoch", and either "loss" (mean since the last line, in nats),
            "learning_rate", "grad_norm" (before clipping; none where it overflowed fp16), "tokens" (trained on so far)
            and in fp16 "loss_scale" and "skipped" (steps so far that overflowed), or "log_loss", "accuracy" and,
            where a network has two views, "flip_rate".
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
    """metrics.jsonl as it grows; it holds no clock, so that the same training writes the same bytes.

    Args:
        folder: Where it is written; None keeps it in memory.
        records: Lines before the checkpoint that is resumed from; anything later in the file is dropped.
    """

    def __init__(self, folder: Path | None, records: list[Record]) -> None:
        self._path = folder / METRICS_NAME if folder else None
        self.records = list(records)
        if self._path is not None:
            with atomic_file(self._path, overwrite=True) as part:
                part.write_text("".join(json.dumps(record) + "\n" for record in self.records), "utf-8")

    def add(self, record: Record) -> None:
        """Write one more line; if the disk refuses, raise an ArtifactError."""
        self.records.append(record)
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise ArtifactError(f"{self._path} could not be written: {error}; earlier checkpoints are kept") from error


class Trackers:
    """Trackers of accelerate by name, such as "tensorboard", which get every record.

    Raises:
        ConfigError: If there is no such tracker, or it needs a folder and there is none.
        MissingExtraError: If its package is not installed.
    """

    def __init__(self, names: Sequence[str], folder: Path | None, settings: Mapping[str, object]) -> None:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

        self._trackers = []
        available = {getattr(tracker, "value", tracker) for tracker in get_available_trackers()}
        for name in names:
            kind = LOGGER_TYPE_TO_CLASS.get(name)
            if kind is None:
                known = ", ".join(sorted(LOGGER_TYPE_TO_CLASS))
                raise ConfigError(f"report_to names {name!r}; allowed are {known}")
            if name not in available:
                raise MissingExtraError(f"report_to names {name!r}, whose package is not installed: pip install {name}")
            if kind.requires_logging_directory and folder is None:
                raise ConfigError(f"report_to names {name!r}, which writes files, but this training has no folder")
            options = {"logging_dir": str(folder)} if kind.requires_logging_directory else {}
            tracker = kind("votecast", **options)
            tracker.store_init_configuration({key: str(value) for key, value in settings.items()})
            self._trackers.append(tracker)

    def add(self, record: Record) -> None:
        """Log one line of metrics.jsonl."""
        values = {key: value for key, value in record.items() if key != "step"}
        for tracker in self._trackers:
            tracker.log(values, step=record["step"])

    def finish(self) -> None:
        """Close all trackers."""
        for tracker in self._trackers:
            tracker.finish()
