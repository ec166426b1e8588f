"""Run the Keras siamese encoder: python -m tests.models.keras_child VERB BACKEND [FOLDER ...].

`check` runs the conformance suite; `fit` trains into each FOLDER, and kills itself after the epoch that KILL_AFTER
names.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from votecast.data.battles import Battles
from votecast.data.simulation import simulate
from votecast.judges.trained import TrainedJudge
from votecast.models.keras_siamese import KerasSiameseModel, KerasSiameseSettings
from votecast.testing import check_judge
from votecast.training.checkpoints import Checkpoints
from votecast.types import Run

TEXT = {"template": "labels", "cut": "balanced", "max_length": 48}
TRAINING = {"epochs": 3, "schedule": {"peak_per_row": 3e-4}}


def main(verb: str, backend: str, *folders: str) -> None:
    battles, _ = next(simulate(rows=150, seed=5, batch=150))
    if verb == "check":
        check(backend, battles)
    for folder in folders:
        fit(backend, battles[:60], Path(folder))


def check(backend: str, battles: Battles) -> None:
    settings = {"model.backend": backend, "model.name": "tiny:bert", "model.widths": 1, "model.text": TEXT}
    overrides = settings | {"model.training": TRAINING | {"epochs": 1}, "folds.n": 2, "folds.only": 0}
    check_judge(lambda: TrainedJudge("keras_siamese", overrides), battles)


def fit(backend: str, battles: Battles, folder: Path) -> None:
    settings = KerasSiameseSettings(backend=backend, name="tiny:bert", widths=1, text=TEXT, training=TRAINING)
    if "KILL_AFTER" in os.environ:
        Checkpoints.save = killing(Checkpoints.save, int(os.environ["KILL_AFTER"]))  # type: ignore[method-assign]
    model = KerasSiameseModel(settings, seed=1)
    (folder / "work").mkdir(parents=True, exist_ok=True)
    run = Run(folder / "work")
    model.fit(model.prepare(battles), battles.targets(), battles.weights(), run=run)
    (folder / "judge").mkdir()
    model.save(folder / "judge")


def killing(save, last):
    def saved(self: Checkpoints, epoch: int, *args: object) -> None:
        save(self, epoch, *args)
        if epoch == last:
            os.kill(os.getpid(), signal.SIGKILL)

    return saved


if __name__ == "__main__":
    main(*sys.argv[1:])
