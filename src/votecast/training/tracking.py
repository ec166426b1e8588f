"""Trackers of accelerate, which show a training while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, get_available_trackers

from votecast.errors import ConfigError, MissingExtraError


class Trackers:
    """Hands records to trackers by name.

    Args:
        names: As accelerate knows them, such as "tensorboard".
        folder: For those that write files.
        settings: Stored with the training.

    Raises:
        ConfigError: If there is no such tracker, or it needs a folder and there is none.
        MissingExtraError: If its package is not installed.
    """

    def __init__(self, names: Sequence[str], folder: Path | None, settings: Mapping[str, Any]) -> None:
        self._trackers = [_start(name, folder) for name in names]
        for tracker in self._trackers:
            tracker.store_init_configuration({key: str(value) for key, value in settings.items()})

    def add(self, record: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl."""
        values = {key: value for key, value in record.items() if key != "step"}
        for tracker in self._trackers:
            tracker.log(values, step=record["step"])

    def finish(self) -> None:
        """No more lines follow."""
        for tracker in self._trackers:
            tracker.finish()


def _start(name: str, folder: Path | None) -> GeneralTracker:
    kind = LOGGER_TYPE_TO_CLASS.get(name)
    if kind is None:
        known = ", ".join(sorted(LOGGER_TYPE_TO_CLASS))
        raise ConfigError(f"report_to names {name!r}; allowed are {known}")
    if name not in {str(getattr(tracker, "value", tracker)) for tracker in get_available_trackers()}:
        raise MissingExtraError(f"report_to names {name!r}, whose package is not installed: pip install {name}")
    if not kind.requires_logging_directory:
        return kind("votecast")
    if folder is None:
        raise ConfigError(f"report_to names {name!r}, which writes files, but this training has no folder")
    return kind("votecast", logging_dir=str(folder))
