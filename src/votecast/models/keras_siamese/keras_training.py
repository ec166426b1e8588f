"""The training of the siamese encoder in Keras: Adam over a schedule, the best weights by log loss, resume by epoch."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from votecast.errors import JudgeError
from votecast.metrics import accuracy, log_loss
from votecast.models.keras_siamese.keras_backbone import seeded
from votecast.models.keras_siamese.keras_network import Arrays, KerasNetwork, KerasPadding, KerasPrepared
from votecast.models.keras_siamese.learning_rate import learning_rate
from votecast.models.keras_siamese.settings import LearningSettings
from votecast.text.batching import bucketed_batches
from votecast.training.checkpoints import Checkpoints
from votecast.training.tracking import Journal, Record
from votecast.training.training_rows import name_rows
from votecast.types import Floats, Ints, Probabilities, Run

logger = logging.getLogger(__name__)

LOG_EVERY = 10  # steps between two lines of metrics.jsonl

Predict = Callable[[Arrays, KerasPrepared], Probabilities]


class Labelled(NamedTuple):
    """Battles with soft labels (n, 3), weights (n,), and their positions among the rows given, for messages (n,)."""

    battles: KerasPrepared
    targets: Probabilities
    weights: Floats
    rows: Ints

    def digest(self) -> str:
        """Compute the SHA-256 of everything the training depends on."""
        found = hashlib.sha256()
        for part in (self.battles.a, self.battles.b):
            found.update(part.ids.tobytes() + part.offsets.tobytes())
        found.update(np.ascontiguousarray(self.targets).tobytes() + np.ascontiguousarray(self.weights).tobytes())
        return found.hexdigest()


class KerasTraining:
    """One training of a network.

    Args:
        network: Compiled for training, with its initial weights.
        padding: How sequences are padded.
        settings: How it learns.
        seed: Seed of the order of the rows and of dropout.
        predict: Probabilities of battles under weights.
    """

    def __init__(
        self, network: KerasNetwork, padding: KerasPadding, settings: LearningSettings, seed: int, predict: Predict
    ) -> None:
        self.network, self.padding, self.settings, self.seed = network, padding, settings, seed
        self.predict, self.best = predict, Arrays()  # the weights that are kept
        self._best_loss: float | None = None

    def run(self, train: Labelled, valid: Labelled | None, made_from: Mapping[str, object], run: Run) -> list[Record]:
        """Train to the end, resuming from the last epoch of a killed run, and return the lines of metrics.jsonl.

        The weights to keep are then in `best`.

        Args:
            train: Rows to learn from.
            valid: Rows to choose the weights by; None keeps the last ones.
            made_from: Settings and seed, which must be those of the resumed run.
            run: Folder of the states after each epoch, and the progress callback.

        Raises:
            JudgeError: If a loss or a prediction is not finite; the message names the step and the rows.
            ConfigError: If the folder holds a training with other settings or rows.
            ArtifactError: If the disk refuses.
        """
        recipe = {**made_from, "train": train.digest(), "valid": valid.digest() if valid else None}
        states = Checkpoints[NDArray[Any]](run.folder, keep=1, recipe=recipe, framework="numpy") if run.folder else None
        done, records = 0, list[Record]()
        if states is not None and (state := states.latest()) is not None:
            self.network.restore(state.tensors("state"))
            self.best, self._best_loss = state.tensors("best"), state.state["best_loss"]
            done, records = state.state["epochs"], state.state["records"]
            logger.info("resuming after epoch %d", done)
        if done < self.settings.epochs:
            logger.info("%s: %s", run.label, self.network.summarize())
            for line in self.network.list_layers():
                logger.debug("%s: %s", run.label, line)
        with Journal(run, records, self.settings.report_to, self.settings.dump()) as journal:
            for epoch in range(done, self.settings.epochs):
                draw = int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0])
                with seeded(self.network.keras, draw):  # on torch, dropout has no seed of its own
                    self._epoch(epoch, train, journal, run)
                self._evaluate(epoch, valid, journal)
                if states is not None:
                    facts = {"epochs": epoch + 1, "records": journal.records, "best_loss": self._best_loss}
                    states.save(epoch + 1, {"state": self.network.state(), "best": self.best}, facts)
        return journal.records

    def _epoch(self, epoch: int, train: Labelled, journal: Journal, run: Run) -> None:
        size = self.settings.batch_size
        costs = np.maximum(train.battles.a.lengths, train.battles.b.lengths)  # (n,)
        steps = bucketed_batches(costs, rows=size, seed=self.seed, epoch=epoch)
        label, mean = f"epoch {epoch + 1} of {self.settings.epochs}", train.weights.mean()
        losses: list[float] = []
        for number, rows in enumerate(steps):
            run.progress(label, number, len(steps))
            rate, step = learning_rate(self.settings, epoch + number / len(steps)), epoch * len(steps) + number + 1
            # every step has the same number of rows, since JAX compiles the network for each shape
            inputs = self.padding.fill(train.battles.take(rows).interleaved, 2 * size)
            targets, weights = np.full((size, 3), 1 / 3), np.zeros(size)  # rows beyond the last one count nothing
            targets[: len(rows)] = train.targets[rows]
            weights[: len(rows)] = train.weights[rows] / mean * size / len(rows)  # Keras divides by all `size` rows
            loss = self.network.step(inputs, targets, weights, rate)
            if not math.isfinite(loss):
                raise JudgeError(
                    f"the loss of step {step} is {loss} ({name_rows(train.rows[rows])} of those to learn from, counted "
                    "from 0); look at their weights and labels, set a lower schedule.peak_per_row, or precision float32"
                )
            losses.append(loss)
            if number + 1 == len(steps) or (number + 1) % LOG_EVERY == 0:
                record: Record = {"step": step, "epoch": epoch + (number + 1) / len(steps)}
                journal.add(record | {"loss": float(np.mean(losses)), "learning_rate": rate})
                losses.clear()
        run.progress(label, len(steps), len(steps))

    def _evaluate(self, epoch: int, valid: Labelled | None, journal: Journal) -> None:
        """Measure the weights on the rows held back, and keep them if they are the best so far."""
        weights, step = self.network.weights(), int(journal.records[-1]["step"])
        if valid is None:
            self.best = weights
            return
        p = self.predict(weights, valid.battles)
        if not np.isfinite(p).all():
            raise JudgeError(
                f"after step {step} predictions are not finite; set a lower schedule.peak_per_row, or precision float32"
            )
        found = log_loss(valid.targets, p, valid.weights)
        right = accuracy(valid.targets, p, valid.weights)
        journal.add({"step": step, "epoch": epoch + 1, "log_loss": found, "accuracy": right})
        if self._best_loss is None or found < self._best_loss:
            self.best, self._best_loss = weights, found
