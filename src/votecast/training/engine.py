"""The training loop that all neural judges share."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from votecast.config import machine
from votecast.errors import ConfigError
from votecast.training.average import Average
from votecast.training.checkpoints import Checkpoint, Checkpoints
from votecast.training.data import Data
from votecast.training.forward import evaluate
from votecast.training.history import History, Journal, Record
from votecast.training.optimizer import make_optimizer, make_schedule, moments_of, restore_moments
from votecast.training.plan import Plan, Rows
from votecast.training.precision import choose_precision
from votecast.training.processes import Processes
from votecast.training.settings import Interval, TrainingSettings
from votecast.training.sharding import gathered, learnt, put
from votecast.training.step import Done, Stepper
from votecast.training.tracking import Trackers
from votecast.types import Run

logger = logging.getLogger(__name__)
_FREE = {"keep", "max_tokens", "report_to", "valid_share"}
"""Settings that may change when a training is continued."""


def train_network(
    network: Module, train: Data, valid: Data | None, settings: TrainingSettings, *, seed: int, run: Run
) -> History:
    """Train a network, or go on with a training that was killed.

    The same arguments give the same weights and the same records, bit for bit on the CPU, however often the process was
    killed on the way, as long as `run.folder` stays.

    Args:
        network: Its forward takes what `train.examples.batch` gives and returns log-probabilities of shape
            (rows, views, 3), every view in the battle's own order.
        train: Rows to learn from.
        valid: Rows that choose the weights; None keeps the last (or averaged) ones.
        settings: How to train.
        seed: Of the order of rows and of dropout.
        run: Where checkpoints and metrics.jsonl go, and who is told of the steps.

    Returns:
        The records of metrics.jsonl and the step of the kept weights, which the network has now, in evaluation mode.

    Raises:
        JudgeError: If a loss, gradient, label or forecast is not a number, or a single row does not fit in memory.
        ConfigError: If a setting does not suit the network or machine, or the folder holds another training.
        ArtifactError: If the disk refuses.
    """
    processes = Processes()
    machine.keep_memory()
    machine.set_threads(processes.count)
    devices = [processes.device] if processes.device.type == "cuda" else []
    with torch.random.fork_rng(devices), processes.hold(network, settings) as held:
        return _Training(held, train, valid, settings, seed, run, processes).finished()


@dataclass
class _State:
    """Everything that a checkpoint holds and that is not a tensor."""

    max_tokens: int
    step: int = 0
    tokens: int = 0
    loss: float = 0.0
    losses: int = 0
    best: float | None = None
    best_step: int | None = None
    stale: int = 0
    stopped: bool = False
    finished: bool = False


class _Training:
    def __init__(
        self,
        network: Module,
        train: Data,
        valid: Data | None,
        settings: TrainingSettings,
        seed: int,
        run: Run,
        processes: Processes,
    ) -> None:
        self.network, self.train, self.valid, self.settings = network, train, valid, settings
        self.run, self.processes = run, processes
        _set_checkpointing(network, settings.gradient_checkpointing)
        self.plan = Plan(
            costs=train.examples.costs,
            rows=settings.batch_size * processes.count,
            epochs=settings.epochs,
            most=settings.max_steps,
            bucketing=settings.bucketing,
            seed=seed,
            group=settings.group if settings.order == "length" else None,
        )
        self.precision = choose_precision(settings.precision, processes.device)
        self.optimizer = make_optimizer(network, settings)
        self.factor = make_schedule(settings, self.plan.steps)
        self.stepper = Stepper(
            network, train, self.optimizer, settings, precision=self.precision, processes=processes, seed=seed
        )
        self.weights = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.average = Average(self.weights, settings)
        self.best: dict[str, Tensor] = {}
        self.state = _State(max_tokens=settings.max_tokens)
        recipe = self._recipe(seed)
        self.checkpoints = Checkpoints(run.folder, keep=settings.keep, recipe=recipe) if run.folder else None
        first = processes.is_first
        self.journal = Journal(run.folder if first else None, self._restore())
        self.trackers = Trackers(settings.report_to if first else (), run.folder, settings.dump())

    def finished(self) -> History:
        """Train what is left, and leave the chosen weights in the network."""
        state, began, before = self.state, time.monotonic(), self.state.tokens
        while not self._is_over():
            steps = self.plan.epoch(state.step // self.plan.epoch_steps)
            for rows in steps[state.step % self.plan.epoch_steps :]:
                self._step(rows)
                self.run.progress("training steps", state.step, self.plan.steps)
                if self._is_over():
                    break
        if not state.finished:
            speed = (state.tokens - before) / max(time.monotonic() - began, 1e-9)
            logger.info("trained %d steps at %.0f tokens a second", state.step, speed)
            self._finish()
        self.trackers.finish()
        return History(self.journal.records, state.best_step, state.best)

    def _is_over(self) -> bool:
        return self.state.finished or self.state.stopped or self.state.step >= self.plan.steps

    def _step(self, rows: Rows) -> None:
        state = self.state
        done = self.stepper.take(rows, step=state.step + 1, budget=state.max_tokens, factor=self.factor(state.step))
        self.average.after_step()
        state.step += 1
        state.max_tokens = done.budget
        state.tokens += int(self.plan.costs[rows].sum())
        state.loss, state.losses = state.loss + done.loss, state.losses + 1
        if self._due(self.settings.log_every):
            self._log(done)
        if self._due(self.settings.eval_every):
            self._evaluate()
        if self._due(self._save_every()) and state.step < self.plan.steps:
            self._save()

    def _save_every(self) -> Interval:
        after = "group" if self.settings.order == "length" else self.settings.eval_every
        return self.settings.save_every or after

    def _due(self, every: Interval) -> bool:
        if every == "group":
            return self.plan.ends_group(self.state.step)
        steps = self.plan.epoch_steps if every == "epoch" else every
        return self.state.step % steps == 0 or self.state.step == self.plan.steps

    def _log(self, done: Done) -> None:
        state = self.state
        rate = self.settings.learning_rate * self.factor(state.step - 1)
        figures = {"loss": state.loss / state.losses, "learning_rate": rate, "grad_norm": done.norm}
        self._record({**figures, "tokens": state.tokens})
        state.loss, state.losses = 0.0, 0

    def _record(self, figures: Record) -> None:
        record = {"step": self.state.step, "epoch": round(self.state.step / self.plan.epoch_steps, 6), **figures}
        self.journal.add(record)
        self.trackers.add(record)

    def _evaluate(self) -> None:
        self.average.before_evaluation()
        if self.valid is None:
            return
        with self.average.applied():
            figures = evaluate(
                self.network,
                self.valid,
                budget=self.state.max_tokens,
                precision=self.precision,
                processes=self.processes,
                place=f"step {self.state.step}",
            )
            self._judge(figures["log_loss"])
        self._record(dict(figures))

    def _judge(self, found: float) -> None:
        """Keep the weights if they are the best so far; stop if there were none better for long."""
        state = self.state
        is_better = state.best is None or found < state.best - self.settings.threshold
        state.stale = 0 if is_better else state.stale + 1
        if state.best is None or found < state.best:
            state.best, state.best_step = found, state.step
            self.best = gathered(learnt(self.network), copy=True)
        patience = self.settings.patience
        state.stopped = patience is not None and state.stale >= patience

    def _finish(self) -> None:
        self.state.finished = True
        if not self.best:
            with self.average.applied():
                self.best = gathered(learnt(self.network), copy=True)
        put(learnt(self.network), self.best)
        self._write({"weights": self.best})

    def _save(self) -> None:
        weights = learnt(self.network)
        moments = moments_of(self.optimizer, self.weights)
        self._write({"weights": weights, "optimizer": moments, "average": self.average.tensors(), "best": self.best})

    def _write(self, groups: dict[str, dict[str, Tensor]]) -> None:
        if self.checkpoints is None:
            return
        groups = {name: gathered(tensors, keep=self.processes.is_first) for name, tensors in groups.items()}
        if self.processes.is_first:
            state = asdict(self.state) | {
                "records": self.journal.records,
                "scaler": self.stepper.scaler.state_dict(),
                "overflows": self.stepper.overflows,
            }
            self.checkpoints.save(self.state.step, groups, state)
        self.processes.wait()

    def _restore(self) -> list[Record]:
        """Take up the newest whole checkpoint; its records, or none."""
        if self.checkpoints is None:
            return []
        checkpoint = self.checkpoints.latest()
        self.processes.wait()
        if self.processes.is_first:
            self.checkpoints.clean(checkpoint)
        if checkpoint is None:
            return []
        state = checkpoint.state
        asked = self.state.max_tokens
        self.state = _State(**{key: state[key] for key in asdict(self.state)})
        self.state.max_tokens = min(asked, self.state.max_tokens)
        put(learnt(self.network), checkpoint.tensors("weights"))
        self._restore_training(checkpoint)
        logger.info("going on after step %d of %s", self.state.step, checkpoint.path)
        records: list[Record] = state["records"]
        return records

    def _restore_training(self, checkpoint: Checkpoint) -> None:
        restore_moments(self.optimizer, self.weights, checkpoint.tensors("optimizer"))
        self.average.restore(checkpoint.tensors("average"), self.state.step)
        self.best = checkpoint.tensors("best")
        self.stepper.scaler.load_state_dict(checkpoint.state["scaler"])
        self.stepper.overflows = checkpoint.state["overflows"]

    def _recipe(self, seed: int) -> dict[str, Any]:
        shapes = {name: [*p.shape, p.requires_grad] for name, p in self.network.named_parameters()}
        rows = hashlib.sha256()
        for data in (self.train, self.valid):
            for values in (data.examples.costs, data.targets, data.weights) if data else ():
                rows.update(values.tobytes())
        asked = self.settings.model_dump(mode="json", exclude=_FREE)
        facts = {"seed": seed, "processes": self.processes.count, "network": shapes, "rows": rows.hexdigest()}
        return asked | facts


def _set_checkpointing(network: Module, is_on: bool) -> None:
    if not is_on:
        return
    switch = getattr(network, "gradient_checkpointing_enable", None)
    if switch is None:
        raise ConfigError("gradient_checkpointing is on, but this network cannot do it; switch it off")
    switch()
