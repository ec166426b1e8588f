"""The learning rate over the epochs, as numbers and as a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from votecast.artifacts import atomic_file
from votecast.config.extras import need
from votecast.errors import ConfigError
from votecast.models.keras_siamese.settings import LearningSettings, ScheduleSettings

DECAYS: tuple[str, ...] = get_args(ScheduleSettings.model_fields["decay"].annotation)
PICTURES = (".svg", ".png", ".pdf")


def learning_rate(settings: LearningSettings, epoch: float) -> float:
    """The learning rate at a point of the training.

    Args:
        settings: Schedule, epochs and batch size.
        epoch: Epochs done so far; fractions count where the rate is set before every step.

    Example:
        >>> settings = LearningSettings()
        >>> [round(learning_rate(settings, epoch) * 1e6, 2) for epoch in (0, 1, 2, 2.5, 3)]
        [1.0, 5.3, 9.6, 5.3, 1.0]
    """
    schedule, peak = settings.schedule, settings.peak
    at = epoch if schedule.update == "step" else math.floor(epoch)
    if at < settings.rising:
        return schedule.start + (peak - schedule.start) * at / settings.rising
    past = at - settings.rising
    if schedule.decay == "step":
        return float(peak * schedule.factor ** (past // schedule.step_epochs))
    left = schedule.factor**past
    if schedule.decay == "cosine":
        left = 0.5 * (1 + math.cos(math.pi * past / (settings.epochs - settings.rising)))
    return float(schedule.floor + (peak - schedule.floor) * left)


def plot_schedule(settings: LearningSettings, path: str | Path, *, overwrite: bool = False) -> None:
    """Draw the learning rate over the epochs: the chosen decay in bold, the two others beside it.

    Args:
        settings: Schedule, epochs and batch size.
        path: Where the picture goes; its ending says what it is: .svg, .png or .pdf.
        overwrite: Whether an existing file may be replaced.

    Raises:
        ConfigError: If the ending is another.
        ArtifactError: If the file is in the way, or the disk refuses.
        MissingExtraError: If matplotlib is not installed.
    """
    if Path(path).suffix.lower() not in PICTURES:
        raise ConfigError(f"{path} does not say what picture it is to be; allowed endings are {', '.join(PICTURES)}")
    matplotlib = need("matplotlib")
    figure = need("matplotlib.figure").Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for decay in DECAYS:
        _draw(axes, settings, decay)
    schedule = settings.schedule
    axes.set_xlabel("epochs done")
    axes.set_ylabel("learning rate")
    axes.set_title(f"{schedule.decay} decay over {settings.epochs} epochs, set every {schedule.update}")
    axes.set_xlim(0, settings.epochs)
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", frameon=False)
    kind = Path(path).suffix.lower().removeprefix(".")
    fixed = matplotlib.rc_context({"svg.hashsalt": "votecast", "svg.fonttype": "none"})
    with fixed, atomic_file(path, overwrite=overwrite) as part:
        figure.savefig(part, format=kind, metadata=_undated(kind))


def _draw(axes: Any, settings: LearningSettings, decay: str) -> None:
    schedule = settings.schedule.model_copy(update={"decay": decay})
    varied = settings.model_copy(update={"schedule": schedule})
    points = _points(settings)
    last = settings.epochs - (schedule.update == "epoch")
    rates = [learning_rate(varied, min(point, last)) for point in points]
    chosen = decay == settings.schedule.decay
    style = "steps-post" if schedule.update == "epoch" else "default"
    width, opacity = (2.5, 1.0) if chosen else (1.2, 0.45)
    axes.plot(points, rates, drawstyle=style, linewidth=width, alpha=opacity, label=decay, zorder=3 if chosen else 2)


def _points(settings: LearningSettings) -> NDArray[np.float64]:
    if settings.schedule.update == "epoch":
        return np.arange(settings.epochs + 1, dtype=np.float64)
    return np.linspace(0, settings.epochs, 100 * settings.epochs + 1)


def _undated(kind: str) -> dict[str, None]:
    return {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
