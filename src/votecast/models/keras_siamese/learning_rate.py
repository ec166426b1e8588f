"""The learning rate over the epochs, as numbers and as a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import numpy as np

from votecast.artifacts import atomic_file
from votecast.config.extras import need
from votecast.errors import ConfigError
from votecast.models.keras_siamese.settings import LearningSettings, ScheduleSettings

DECAYS: tuple[str, ...] = get_args(ScheduleSettings.model_fields["decay"].annotation)
PICTURES = (".svg", ".png", ".pdf")


def learning_rate(settings: LearningSettings, epoch: float) -> float:
    """Return the learning rate after some epochs; fractions count where the rate is set before every step.

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
    """Draw the learning rate over the epochs into .svg, .png or .pdf: the chosen decay in bold, the others lighter.

    Raises:
        ConfigError: If the suffix is another.
        ArtifactError: If the file exists, or the disk refuses.
        MissingExtraError: If matplotlib is not installed.
    """
    if Path(path).suffix.lower() not in PICTURES:
        raise ConfigError(f"{path} has no suffix of a picture; allowed endings are {', '.join(PICTURES)}")
    matplotlib = need("matplotlib")
    figure = need("matplotlib.figure").Figure(figsize=(7, 4), layout="constrained")
    axes, schedule = figure.add_subplot(), settings.schedule
    by_epoch = schedule.update == "epoch"
    points = np.linspace(0, settings.epochs, settings.epochs * (1 if by_epoch else 100) + 1)
    for decay in DECAYS:
        varied = settings.model_copy(update={"schedule": schedule.model_copy(update={"decay": decay})})
        rates = [learning_rate(varied, min(point, settings.epochs - by_epoch)) for point in points]
        width, opacity, order = (2.5, 1.0, 3) if decay == schedule.decay else (1.2, 0.45, 2)
        style = "steps-post" if by_epoch else "default"
        axes.plot(points, rates, drawstyle=style, linewidth=width, alpha=opacity, label=decay, zorder=order)
    title = f"{schedule.decay} decay over {settings.epochs} epochs, set every {schedule.update}"
    axes.set(xlabel="epochs done", ylabel="learning rate", title=title, xlim=(0, settings.epochs))
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", frameon=False)
    kind = Path(path).suffix.lower().removeprefix(".")
    undated: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    fixed = matplotlib.rc_context({"svg.hashsalt": "votecast", "svg.fonttype": "none"})
    with fixed, atomic_file(path, overwrite=overwrite) as part:  # the same settings give the same bytes
        figure.savefig(part, format=kind, metadata=undated.get(kind, {}))
