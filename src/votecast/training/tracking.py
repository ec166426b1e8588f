"""Records of a training: metrics.jsonl as it grows, and the trackers of accelerate that show it."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from votecast.artifacts import atomic_file
from votecast.errors import ArtifactError, ConfigError, MissingExtraError
from votecast.types import Run

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

logger = logging.getLogger(__name__)

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
    """metrics.jsonl as it grows, and the trackers that show it, which close at the end of its `with` block.

    The file holds no clock, so that the same training writes the same bytes. Lines of a run with a name are logged:
    evaluations at the level INFO, others at DEBUG. A resumed training is logged anew as a
    whole, and a tracker that fails is left out with a warning: metrics.jsonl has every line.

    Args:
        run: Where the file is written, and what trackers name the run; without a folder, lines stay in memory.
        records: Lines before the checkpoint that is resumed from; anything later in the file is dropped.
        report_to: Names of trackers of accelerate, which get every line.
        settings: What trackers show as the settings of the run.

    Raises:
        ConfigError: If there is no such tracker, it needs a folder and there is none, or it cannot start.
        MissingExtraError: If its package is not installed.

    Example:
        >>> with Journal(Run(), []) as journal:
        ...     journal.add({"step": 1, "epoch": 0.5, "loss": 1.1})
        >>> journal.records
        [{'step': 1, 'epoch': 0.5, 'loss': 1.1}]
    """

    def __init__(
        self,
        run: Run,
        records: Sequence[Record],
        report_to: Sequence[str] = (),
        settings: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self._path = run.folder / METRICS_NAME if run.folder else None
        self._label = run.label if run.name else None
        self.records = list(records)
        if self._path is not None:
            with atomic_file(self._path, overwrite=True) as part:
                part.write_text("".join(json.dumps(record) + "\n" for record in self.records), "utf-8")
        self._trackers = {name: _start_tracker(name, run, settings) for name in report_to}
        for record in self.records:
            self._show(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._trackers):
            with self._leaving_out(name):
                self._trackers[name].finish()

    def add(self, record: Record) -> None:
        """Write one more line; if the disk refuses, raise an ArtifactError."""
        self.records.append(record)
        if self._path is not None:
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
            except OSError as error:
                raise ArtifactError(
                    f"{self._path} could not be written: {error}; earlier checkpoints are kept"
                ) from error
        if self._label is not None:
            level = logging.INFO if "log_loss" in record else logging.DEBUG
            logger.log(level, "%s: %s", self._label, _describe(record))
        self._show(record)

    def _show(self, record: Record) -> None:
        values = {key: value for key, value in record.items() if key != "step"}
        for name in list(self._trackers):
            with self._leaving_out(name):
                self._trackers[name].log(values, step=int(record["step"]))

    @contextmanager
    def _leaving_out(self, name: str) -> Iterator[None]:
        """Go on without a tracker that fails, such as one whose server is gone: the training is worth more."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - each tracker has errors of its own
            del self._trackers[name]
            logger.warning("the tracker %s is left out from now on: %s: %s", name, type(error).__name__, error)


def _describe(record: Record) -> str:
    """Write a record as one line of the log.

    Example:
        >>> _describe({"step": 200, "epoch": 0.5, "log_loss": 0.98765, "accuracy": 0.5})
        'step 200, epoch 0.5, log_loss 0.98765, accuracy 0.5'
    """
    return ", ".join(f"{key} {int(value)}" if key in _COUNTS else f"{key} {value:.5g}" for key, value in record.items())


_COUNTS = {"step", "tokens", "overflows"}

PROJECT = "votecast"
"""The project of every run, in trackers that have projects."""

_NAMED_BY = {
    "clearml": ("task_name", None),
    "comet_ml": (None, None),
    "mlflow": ("run_name", None),
    "swanlab": ("experiment_name", "group"),
    "trackio": ("name", "group"),
    "wandb": ("name", "group"),
}
"""Trackers with projects: the options that take the name of a run and that of its judge."""


def log_folder(out: str | Path) -> Path:
    """Return the folder of trackers that write files: `deberta.logs` beside the judge folder `deberta`.

    Example:
        >>> log_folder("judges/deberta").name
        'deberta.logs'
    """
    out = Path(out)
    return out.parent / f"{out.name}.logs"


def check_trackers(names: Iterable[str], *, has_folder: bool) -> None:
    """Check that trackers are known and installed, and that there is a folder for those that write files.

    Raises:
        ConfigError: If there is no such tracker, or it needs a folder.
        MissingExtraError: If its package is not installed.
    """
    for name in names:
        if importlib.util.find_spec("accelerate") is None:
            raise MissingExtraError(f"report_to names {name!r}, which runs on accelerate: pip install accelerate")
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
        from accelerate.utils import LoggerType

        kind, installed = LOGGER_TYPE_TO_CLASS.get(name), set(map(str, get_available_trackers()))
        if kind is None:
            known = ", ".join(sorted(LOGGER_TYPE_TO_CLASS))
            raise ConfigError(f"report_to names {name!r}; allowed are {known}")
        if name in set(map(str, LoggerType)) - installed:  # others are of the user, who has registered them
            package = name.replace("_", "-")
            raise MissingExtraError(f"report_to names {name!r}, whose package is not installed: pip install {package}")
        if kind.requires_logging_directory and not has_folder:
            raise ConfigError(
                f"report_to names {name!r}, which writes files beside the judge folder, and this training has none; "
                "name an output folder (out), or another tracker"
            )


def _start_tracker(name: str, run: Run, settings: Mapping[str, object]) -> GeneralTracker:
    """Start a tracker for one run, which it shows as `fold_0` of its judge."""
    check_trackers([name], has_folder=run.logs is not None)
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState()  # the trackers of accelerate ask it which process they are in
    kind, title, part = LOGGER_TYPE_TO_CLASS[name], "/".join(run.name), "/".join(run.name[1:]) or "run"
    options: dict[str, object] = {}
    if name in _NAMED_BY:
        given = zip(_NAMED_BY[name], (title, run.name[0] if run.name else None), strict=True)
        options = {option: value for option, value in given if option and value}
    elif name == "tensorboard":
        options = {"purge_step": 0}  # hides the curve of a killed run in the same folder
    elif name == "dvclive":
        options = {"dir": str((run.logs or Path("dvclive")) / part)}
    elif name == "aim":
        options = {"experiment": PROJECT}
    place = {"logging_dir": str(run.logs)} if kind.requires_logging_directory else {}
    label = PROJECT if name in _NAMED_BY else part if name == "tensorboard" else title
    try:
        tracker = kind(label, **place, **options)
        tracker.start()
        if name == "comet_ml":
            tracker.tracker.set_name(title)
        shown = {key: value if isinstance(value, int | float | str) else str(value) for key, value in settings.items()}
        if name == "tensorboard":  # accelerate would make a second run beside each, named by the time
            tracker.log({"settings": "\n".join(f"    {key}: {value}" for key, value in shown.items())}, step=0)
        else:
            tracker.store_init_configuration(shown)
    except Exception as error:  # each tracker has errors of its own
        raise ConfigError(
            f"report_to names {name!r}, which could not start: {type(error).__name__}: {error}; set it up as its own "
            "documentation says, or leave it out"
        ) from error
    return tracker
