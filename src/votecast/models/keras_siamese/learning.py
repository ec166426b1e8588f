"""The training of system 5: Adam over a schedule, label smoothing, the best weights by validation log loss."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from votecast.errors import JudgeError
from votecast.metrics import accuracy, log_loss
from votecast.models.keras_siamese.backend import seeded
from votecast.models.keras_siamese.network import Network
from votecast.models.keras_siamese.pairs import Frame, ReadBattles
from votecast.models.keras_siamese.schedule import learning_rate
from votecast.models.keras_siamese.settings import LearningSettings
from votecast.models.keras_siamese.states import Arrays, State, States
from votecast.text.batching import bucketed_batches
from votecast.training.history import History, Journal, Record
from votecast.types import Probabilities, Run

logger = logging.getLogger(__name__)

LOG_EVERY = 10
"""Steps between two lines of metrics.jsonl."""

Forecast = Callable[[Arrays, ReadBattles], Probabilities]


@dataclass(frozen=True)
class Labelled:
    """Battles with their votes.

    Args:
        battles: What the network reads.
        targets: Soft labels, shape (n, 3).
        weights: How much each row counts, shape (n,).
        rows: Positions among the rows that the model was given, for messages, shape (n,).
    """

    battles: ReadBattles
    targets: Probabilities
    weights: NDArray[np.float64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.battles)

    def digest(self) -> str:
        """SHA-256 of everything that is learnt from."""
        found = hashlib.sha256()
        for part in (self.battles.a, self.battles.b):
            found.update(part.ids.tobytes() + part.offsets.tobytes())
        found.update(np.ascontiguousarray(self.targets).tobytes() + np.ascontiguousarray(self.weights).tobytes())
        return found.hexdigest()


@dataclass
class Training:
    """One training of a network.

    Args:
        network: Where the weights are; it has been prepared, and stands at its start.
        frame: How sequences become rectangles.
        settings: How it learns.
        seed: Seed of the order of the rows.
        forecast: Probabilities of battles under weights.
    """

    network: Network
    frame: Frame
    settings: LearningSettings
    seed: int
    forecast: Forecast
    best: Arrays = field(default_factory=dict, init=False)
    _best_step: int | None = field(default=None, init=False)
    _best_loss: float | None = field(default=None, init=False)

    def run(self, train: Labelled, valid: Labelled | None, made_from: Mapping[str, Any], run: Run) -> History:
        """Train to the end, from wherever a killed run left it; the weights to keep are then in `best`.

        Args:
            train: Rows to learn from.
            valid: Rows to choose the weights by; None keeps the last ones.
            made_from: Settings and seed, which a state to be continued must have been made with.
            run: Where the states lie.

        Raises:
            JudgeError: If a loss or a forecast is not finite; the message names the step and the rows.
            ConfigError: If what lies in the folder was made with other settings or rows.
            ArtifactError: If the disk refuses.
        """
        rows = {"train": train.digest(), "valid": valid.digest() if valid else None}
        states = States(run.folder, {**made_from, "rows": rows})
        begun = self._take_up(states.latest())
        journal = Journal(run.folder, begun["records"])
        for epoch in range(begun["epochs"], self.settings.epochs):
            with seeded(self.network.keras, _drawn(self.seed, epoch)):  # on torch, dropout has no seed of its own
                self._epoch(epoch, train, journal, run)
            self._judge(epoch, valid, journal)
            facts = {"epochs": epoch + 1, "records": journal.records, "best": [self._best_step, self._best_loss]}
            states.save(epoch + 1, State(self._arrays(), facts))
        return History(journal.records, self._best_step, self._best_loss)

    def _epoch(self, epoch: int, train: Labelled, journal: Journal, run: Run) -> None:
        steps = bucketed_batches(train.battles.costs, rows=self.settings.batch_size, seed=self.seed, epoch=epoch)
        mean = train.weights.mean()
        losses: list[float] = []
        for number, rows in enumerate(steps):
            run.progress(f"epoch {epoch + 1} of {self.settings.epochs}", number, len(steps))
            rate = learning_rate(self.settings, epoch + number / len(steps))
            losses.append(self._step(train, rows, rate, mean, epoch * len(steps) + number + 1))
            last = number + 1 == len(steps)
            if last or (number + 1) % LOG_EVERY == 0:
                record: Record = {"step": epoch * len(steps) + number + 1, "epoch": epoch + (number + 1) / len(steps)}
                journal.add(record | {"loss": float(np.mean(losses)), "learning_rate": rate})
                losses.clear()
        run.progress(f"epoch {epoch + 1} of {self.settings.epochs}", len(steps), len(steps))

    def _step(self, train: Labelled, rows: NDArray[np.int64], rate: float, mean: float, step: int) -> float:
        size = self.settings.batch_size
        inputs = self.frame.fill(train.battles.take(rows).interleaved, 2 * size)
        targets, weights = np.full((size, 3), 1 / 3), np.zeros(size)
        targets[: len(rows)] = train.targets[rows]
        weights[: len(rows)] = train.weights[rows] / mean * size / len(rows)  # the loss is divided by all `size` rows
        loss = self.network.step(inputs, targets, weights, rate)["loss"]
        if not math.isfinite(loss):
            names = ", ".join(str(row) for row in train.rows[rows].tolist())
            raise JudgeError(
                f"the loss of step {step} is {loss} (rows {names} of those to learn from, counted from 0); look at "
                "their weights and labels, set a lower schedule.peak_per_row, or precision float32"
            )
        return loss

    def _judge(self, epoch: int, valid: Labelled | None, journal: Journal) -> None:
        """Measure the weights of this moment on the rows set aside, and keep them if they are the best so far."""
        weights = self.network.weights()
        step = int(journal.records[-1]["step"])
        if valid is None:
            self.best = weights
            return
        p = self.forecast(weights, valid.battles)
        if not np.isfinite(p).all():
            raise JudgeError(
                f"after step {step} forecasts are not finite; set a lower schedule.peak_per_row, or precision float32"
            )
        found = log_loss(valid.targets, p, valid.weights)
        right = accuracy(valid.targets, p, valid.weights)
        journal.add({"step": step, "epoch": epoch + 1, "log_loss": found, "accuracy": right})
        logger.info("epoch %d of %d: log loss %.4f", epoch + 1, self.settings.epochs, found)
        if self._best_loss is None or found < self._best_loss:
            self.best, self._best_step, self._best_loss = weights, step, found

    def _arrays(self) -> Arrays:
        arrays = {f"state/{number:05d}": array for number, array in enumerate(self.network.state())}
        return arrays | {f"best/{name}": array for name, array in self.best.items()}

    def _take_up(self, state: State | None) -> dict[str, Any]:
        if state is None:
            return {"epochs": 0, "records": []}
        names = sorted(name for name in state.arrays if name.startswith("state/"))
        self.network.restore([state.arrays[name] for name in names])
        self.best = {
            name.removeprefix("best/"): array for name, array in state.arrays.items() if name.startswith("best/")
        }
        self._best_step, self._best_loss = state.facts["best"]
        logger.info("going on after epoch %d", state.facts["epochs"])
        return state.facts


def _drawn(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
