"""The disk that a training takes, and a check that there is as much, before anything is loaded or written.

`judges.train` and `judges.estimate` call it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from votecast.data.work_folder import work_folder
from votecast.errors import ArtifactError
from votecast.judges.recipe import Recipe

if TYPE_CHECKING:
    from votecast.models.sizing.training_plan import TrainingPlan


def count_trainings(settings: Recipe) -> int:
    """Count the networks that are trained."""
    if settings.folds.only is not None:
        return 1
    return {"single": 1}.get(settings.folds.method, settings.folds.n) + (settings.final == "refit")


def training_disk(settings: Recipe, plan: TrainingPlan, trainings: int) -> dict[str, int]:
    """Return the bytes of checkpoints and of members, of networks that are trained this many times."""
    from votecast.models.sizing.training_memory import moment_bytes

    size, training = plan.size, plan.training
    if not plan.is_trained:
        return {"checkpoints": 0, "members": 0}
    # weights, moments, and the best weights so far; a new one is written before an old one is removed
    best = 4 * size.trained if training.valid_share else 0
    each = 4 * size.trained + moment_bytes(size, training) + best
    member = 2 * size.trained if size.adapted else 4 * size.total
    kept = 1 if settings.final == "refit" else trainings
    copies = 2 if settings.final == "average_weights" else 1  # the folds' members, and their mean of as many ranks
    return {"checkpoints": (training.keep + 1) * each, "members": kept * copies * member}


def check_disk(settings: Recipe, plan: TrainingPlan, out: str | Path) -> None:
    """Check that the disk of an output holds the checkpoints and members of a training.

    Raises:
        ArtifactError: Stating what is needed and what is free.
    """
    from votecast.config.machine import size_text

    work = work_folder(out)
    place = next(parent for parent in work.absolute().parents if parent.is_dir())
    # what a killed run has left is replaced or taken over
    held = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
    free = shutil.disk_usage(place).free + held
    disk = training_disk(settings, plan, count_trainings(settings))
    if sum(disk.values()) > free:
        raise ArtifactError(
            f"checkpoints take {size_text(disk['checkpoints'])} and members {size_text(disk['members'])} beside {out}, "
            f"and its disk has {size_text(free)} free; free some space, name an --out on another disk, or set "
            "--model.training.keep 1 or --folds.only 0"
        )
