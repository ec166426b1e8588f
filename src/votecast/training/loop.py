"""The training loop of all neural judges in torch: steps, evaluations, weight averages, checkpoints, resume.

`models.neural` calls `train_network` once per member; a killed training resumes to the same bytes.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from votecast.config import machine
from votecast.training.checkpoints import Checkpoints
from votecast.training.mixed_precision import training_precision
from votecast.training.network import TrainableNetwork
from votecast.training.optimizer import make_optimizer, make_schedule, moments_of, restore_moments
from votecast.training.processes import Processes
from votecast.training.settings import Interval, TrainingSettings
from votecast.training.sharding import gather_tensors, match_placement, trained_state, write_tensors
from votecast.training.step import Stepper, evaluate
from votecast.training.step_log import StepLog
from votecast.training.summary import summarize_layers, summarize_network
from votecast.training.tracking import History, Journal, Record
from votecast.training.training_rows import Data, StepPlan
from votecast.types import Ints, Run

logger = logging.getLogger(__name__)
_FREE = {"eval_rows", "keep", "max_tokens", "report_to", "valid_share"}  # may change when a training is resumed

Tensors = dict[str, Tensor]


def train_network(
    network: TrainableNetwork,
    train: Data,
    valid: Data | None,
    settings: TrainingSettings,
    *,
    seed: int,
    run: Run,
    watched: Data | None = None,
) -> History:
    """Train a network, or resume a training that was killed.

    The same arguments give the same weights and the same records, bit for bit on the CPU, however often the process was
    killed on the way, as long as `run.folder` stays.

    Args:
        network: Its forward takes what `train.examples.batch` gives and returns log-probabilities of shape
            (rows, views, 3), every view in the battle's own order.
        train: Rows to learn from.
        valid: Rows that choose the weights; None keeps the last (or averaged) ones.
        settings: How to train.
        seed: Of the order of rows and of dropout.
        run: Folder of checkpoints and metrics.jsonl, and the progress callback.
        watched: Rows that are evaluated where `valid` is None, and that change nothing.

    Returns:
        The records of metrics.jsonl and the step of the kept weights, which the network has now, in evaluation mode.

    Raises:
        JudgeError: If a loss, gradient, label or prediction is not a number, or a single row does not fit in memory.
        ConfigError: If a setting does not suit the network or machine, or the folder holds another training.
        ArtifactError: If the disk refuses.
    """
    processes = Processes()
    # glibc would return the memory of every pass and ask for it again
    machine.keep_memory()
    machine.set_threads(processes.count)
    devices = [processes.device] if processes.device.type == "cuda" else []
    with torch.random.fork_rng(devices), processes.hold(network, settings) as held:
        training = _Training(held, train, valid, watched, settings, seed, run, processes)
        with training.journal:
            return training.finish()


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
        network: TrainableNetwork,
        train: Data,
        valid: Data | None,
        watched: Data | None,
        settings: TrainingSettings,
        seed: int,
        run: Run,
        processes: Processes,
    ) -> None:
        self.network, self.train, self.valid, self.settings = network, train, valid, settings
        self.watched = watched
        self.run, self.processes = run, processes
        if settings.gradient_checkpointing:
            network.gradient_checkpointing_enable()
        self.plan = StepPlan(
            costs=train.examples.costs,
            rows=settings.batch_size * processes.count,
            epochs=settings.epochs,
            most=settings.max_steps,
            bucketing=settings.bucketing,
            seed=seed,
            group=settings.group if settings.order == "length" else None,
        )
        is_sharded = processes.sharding is not None
        self.precision = training_precision(settings.precision, processes.device, is_sharded=is_sharded)
        self.optimizer = make_optimizer(network, settings)
        self.rate_factor = make_schedule(settings, self.plan.steps)
        self.stepper = Stepper(
            network, train, self.optimizer, settings, precision=self.precision, processes=processes, seed=seed
        )
        self.weights = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.average = WeightAverage(self.weights, settings)
        self.best: Tensors = {}
        self.state = _State(max_tokens=settings.max_tokens)
        recipe = self._recipe(seed)
        self.checkpoints = Checkpoints[Tensor](run.folder, keep=settings.keep, recipe=recipe) if run.folder else None
        records, is_first = self._restore(), processes.is_first
        report_to = settings.report_to if is_first else ()
        self.journal = Journal(run if is_first else Run(), records, report_to, settings.dump())
        self.log = StepLog(run, self.plan.steps, self.state.step)
        if not self.state.finished:
            logger.info("%s: %s", run.label, summarize_network(network, settings))
            for line in summarize_layers(network):
                logger.debug("%s: %s", run.label, line)
            logger.info("%s: %s", run.label, self._describe_work())

    def finish(self) -> History:
        """Train the steps that are left, and write the chosen weights into the network."""
        state = self.state
        while not self._is_over():
            steps = self.plan.epoch(state.step // self.plan.epoch_steps)
            for rows in steps[state.step % self.plan.epoch_steps :]:
                self._step(rows)
                self.run.progress("training steps", state.step, self.plan.steps)
                if self._is_over():
                    break
        if not state.finished:
            self.log.finish()
            self.stepper.check_skipped(state.step)
            state.finished = True
            if not self.best:
                with self.average.applied():
                    self.best = gather_tensors(trained_state(self.network), copy=True)
            write_tensors(trained_state(self.network), self.best)
            self._save({"weights": self.best})
        return History(self.journal.records, state.best_step, state.best)

    def _describe_work(self) -> str:
        """Describe rows, steps and evaluations in one line."""
        rows, every = f"{len(self.train):,} rows in {self.plan.steps:,} steps", self.settings.eval_every
        measured = self.valid or self.watched
        if measured is None:
            return f"{rows}, without evaluations (valid_share and eval_rows are 0)"
        for_what = "to choose the weights" if self.valid is not None else "of the held-out fold"
        when = f"every {every} steps" if isinstance(every, int) else f"after every {every}"
        return f"{rows}, evaluated {when} on {len(measured):,} rows {for_what}"

    def _is_over(self) -> bool:
        return self.state.finished or self.state.stopped or self.state.step >= self.plan.steps

    def _step(self, rows: Ints) -> None:
        state, settings = self.state, self.settings
        # as in transformers, a step that overflowed fp16 is none of the schedule
        factor = self.rate_factor(state.step - self.stepper.skipped)
        loss, norm, budget = self.stepper.take(rows, step=state.step + 1, budget=state.max_tokens, factor=factor)
        self.average.after_step()
        state.step += 1
        state.max_tokens = budget
        tokens = int(self.plan.costs[rows].sum())
        state.tokens += tokens
        if math.isfinite(loss):
            state.loss, state.losses = state.loss + loss, state.losses + 1
        if self._is_due(settings.log_every) and state.losses:
            figures = {"loss": state.loss / state.losses, "learning_rate": settings.learning_rate * factor}
            figures |= {"grad_norm": norm} if math.isfinite(norm) else {}  # JSON has no infinity
            self._record({**figures, "tokens": state.tokens, **self.stepper.scaling})
            state.loss, state.losses = 0.0, 0
        if self._is_due(settings.eval_every):
            self._evaluate()
        self.log.step(state.step, loss=loss, tokens=tokens)
        save_every = settings.save_every or ("group" if settings.order == "length" else settings.eval_every)
        if self._is_due(save_every) and state.step < self.plan.steps:
            moments = moments_of(self.optimizer, self.weights)
            weights = trained_state(self.network)
            self._save({"weights": weights, "optimizer": moments, "average": self.average.tensors(), "best": self.best})

    def _is_due(self, every: Interval) -> bool:
        if every == "group":
            return self.plan.ends_group(self.state.step)
        steps = self.plan.epoch_steps if every == "epoch" else every
        return self.state.step % steps == 0 or self.state.step == self.plan.steps

    def _record(self, figures: Record) -> None:
        epoch = round(self.state.step / self.plan.epoch_steps, 6)
        self.journal.add({"step": self.state.step, "epoch": epoch, **figures})

    def _evaluate(self) -> None:
        """Measure the weights; where validation rows choose them, keep the best, and stop without a better for long."""
        self.average.before_evaluation()
        measured = self.valid or self.watched
        if measured is None:
            return
        with self.average.applied():
            figures = evaluate(
                self.network,
                measured,
                budget=self.state.max_tokens,
                precision=self.precision,
                processes=self.processes,
                place=f"step {self.state.step}",
            )
            if self.valid is not None:
                self._choose(figures["log_loss"])
        self._record(figures)

    def _choose(self, found: float) -> None:
        """Keep the present weights if their log loss is the best so far."""
        state, patience = self.state, self.settings.patience
        # `threshold` decides on patience alone; the best weights are kept however small the gain
        is_better = state.best is None or found < state.best - self.settings.threshold
        state.stale = 0 if is_better else state.stale + 1
        if state.best is None or found < state.best:
            state.best, state.best_step = found, state.step
            self.best = gather_tensors(trained_state(self.network), copy=True)
        state.stopped = patience is not None and state.stale >= patience

    def _save(self, groups: Mapping[str, Tensors]) -> None:
        if self.checkpoints is None:
            return
        # every process sends its parts, and the first one writes
        gathered = {name: gather_tensors(tensors, keep=self.processes.is_first) for name, tensors in groups.items()}
        if self.processes.is_first:
            state = asdict(self.state) | {"records": self.journal.records, "scaling": self.stepper.state()}
            self.checkpoints.save(self.state.step, gathered, state)
        self.processes.wait()

    def _restore(self) -> list[Record]:
        """Resume from the newest checkpoint and return its records; without one, none."""
        if self.checkpoints is None:
            return []
        checkpoint = self.checkpoints.latest()
        self.processes.wait()
        if self.processes.is_first:
            self.checkpoints.clean(checkpoint)
        if checkpoint is None:
            return []
        state, asked = checkpoint.state, self.state.max_tokens
        self.state = _State(**{key: state[key] for key in asdict(self.state)})
        self.state.max_tokens = min(asked, self.state.max_tokens)
        write_tensors(trained_state(self.network), checkpoint.tensors("weights"))
        restore_moments(self.optimizer, self.weights, checkpoint.tensors("optimizer"))
        self.average.restore(checkpoint.tensors("average"), self.state.step)
        self.best = checkpoint.tensors("best")
        self.stepper.restore(state["scaling"])
        logger.info("%s: resuming after step %d", self.run.label, self.state.step)
        records: list[Record] = state["records"]
        return records

    def _recipe(self, seed: int) -> dict[str, object]:
        """What a checkpoint must have been written with: settings, seed, processes, network and rows."""
        shapes = {name: [*p.shape, p.requires_grad] for name, p in self.network.named_parameters()}
        rows = hashlib.sha256()
        for data in (self.train, self.valid):
            for values in (data.examples.costs, data.targets, data.weights) if data else ():
                rows.update(values.tobytes())
        asked = self.settings.model_dump(mode="json", exclude=_FREE)
        facts = {"seed": seed, "processes": self.processes.count, "network": shapes, "rows": rows.hexdigest()}
        return asked | facts


class WeightAverage:
    """The weights that are evaluated and kept: current, moving average, or mean over the last evaluations."""

    def __init__(self, weights: Mapping[str, Tensor], settings: TrainingSettings) -> None:
        self._weights, self._settings = weights, settings
        self._updates = 0
        self._snapshots: list[Tensors] = [_copy(weights)] if settings.average == "ema" else []

    @torch.no_grad()
    def after_step(self) -> None:
        """Update the moving average (Polyak and Juditsky, 1992), at first faster so that the start is forgotten."""
        if self._settings.average != "ema":
            return
        self._updates += 1
        # the warm-up of the decay is that of TensorFlow's ExponentialMovingAverage
        decay = min(self._settings.average_decay, (1 + self._updates) / (10 + self._updates))
        for name, mean in self._snapshots[0].items():
            mean.lerp_(self._weights[name].detach(), 1 - decay)

    def before_evaluation(self) -> None:
        """Add the weights to the mean over the last evaluations (Izmailov et al., 2018)."""
        if self._settings.average == "last":
            self._snapshots = [*self._snapshots, _copy(self._weights)][-self._settings.average_last :]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the network the averaged weights within this context."""
        if not self._snapshots:
            yield
            return
        current, parts = _copy(self._weights), self._snapshots
        # one snapshot is its own mean, bit by bit
        self._write({name: torch.stack([part[name] for part in parts]).mean(0) for name in parts[0]})
        try:
            yield
        finally:
            self._write(current)

    def tensors(self) -> Tensors:
        """Return the state of the average, for a checkpoint."""
        return {f"{at}.{name}": value for at, part in enumerate(self._snapshots) for name, value in part.items()}

    def restore(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Continue from what `tensors` gave after this many steps."""
        self._updates = updates
        parts: dict[int, Tensors] = {}
        for key, value in tensors.items():
            at, _, name = key.partition(".")
            parts.setdefault(int(at), {})[name] = match_placement(value, self._weights[name]).clone()
        self._snapshots = [parts[at] for at in sorted(parts)]

    @torch.no_grad()
    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self._weights[name].copy_(value)


def _copy(tensors: Mapping[str, Tensor]) -> Tensors:
    return {name: value.detach().clone() for name, value in tensors.items()}
