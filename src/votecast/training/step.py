"""One optimizer step: passes within the memory there is, the sum of their gradients, an update that is checked."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from votecast.errors import JudgeError
from votecast.training.data import Data
from votecast.training.forward import log_probabilities
from votecast.training.loss import row_losses
from votecast.training.plan import Rows, deal, passes
from votecast.training.precision import Name
from votecast.training.processes import Processes
from votecast.training.settings import TrainingSettings
from votecast.training.sharding import whole

logger = logging.getLogger(__name__)
OVERFLOWS = 25
"""fp16 steps in a row that may overflow before training stops."""


@dataclass(frozen=True)
class Done:
    """What a step did: its loss in nats, the norm of its gradient, and the largest pass that fitted in memory."""

    loss: float
    norm: float
    budget: int


class Stepper:
    """Takes optimizer steps over rows.

    Args:
        network: On the device of `processes`.
        data: Rows and labels.
        optimizer: Over the parameters of the network.
        settings: Loss and clipping.
        precision: Arithmetic of the forward pass.
        processes: Share the rows of a step.
        seed: Of dropout; each step and process draws its own, so that a step depends on nothing before it.
    """

    def __init__(
        self,
        network: Module,
        data: Data,
        optimizer: torch.optim.Optimizer,
        settings: TrainingSettings,
        *,
        precision: Name,
        processes: Processes,
        seed: int,
    ) -> None:
        self._network, self._data, self._optimizer, self._settings = network, data, optimizer, settings
        self._precision, self._processes, self._seed = precision, processes, seed
        self._costs = data.examples.costs
        self._weights = data.weights / data.weights.mean()
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=precision == "fp16")
        self.overflows = 0

    def take(self, rows: Rows, *, step: int, budget: int, factor: float) -> Done:
        """Train on rows.

        Args:
            rows: Of all processes together.
            step: Number of the step, from 1.
            budget: Tokens of one pass.
            factor: On the peak learning rates.

        Raises:
            JudgeError: If the loss or the gradient is not a number, or one row alone does not fit in memory.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        self._network.train()
        losses, budget = self._gradient(rows, step, budget)
        self._check_losses(losses, rows, step)
        self._processes.sum_gradients(self._parameters)
        self.scaler.unscale_(self._optimizer)
        most = self._settings.clip
        norm = float(whole(torch.nn.utils.clip_grad_norm_(self._parameters, most or float("inf"))))
        self._check_norm(norm, rows, step)
        self.scaler.step(self._optimizer)
        self.scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        return Done(float(losses.mean()), norm, budget)

    def _gradient(self, rows: Rows, step: int, budget: int) -> tuple[Tensor, int]:
        mine = deal(rows, self._costs, self._processes.index, self._processes.count)
        while True:
            self._optimizer.zero_grad(set_to_none=True)
            torch.manual_seed(_draw(self._seed, step, self._processes.index))
            parts, full = passes(mine, self._costs, budget), False
            spare = self._processes.spare(parts)  # asked before the first pass, in which all take part
            found: list[Tensor] = []
            try:
                found.extend(self._backward(part, 1 / len(rows)) for part in parts)
                for _ in range(spare):
                    self._backward(rows[:1], 0.0)
            except torch.OutOfMemoryError:
                if self._processes.division is not None:
                    raise self._no_room(step, budget) from None
                full = True
            if not self._processes.largest(full):
                return self._gather(rows, parts, found), budget
            del found
            budget = self._smaller(rows, step, budget)

    def _gather(self, rows: Rows, parts: list[Rows], found: list[Tensor]) -> Tensor:
        """Losses in the order of `rows`, from all processes; one transfer from the device."""
        place = {row: at for at, row in enumerate(rows.tolist())}
        losses = torch.zeros(len(rows), dtype=torch.float64)
        if found:
            losses[[place[row] for part in parts for row in part.tolist()]] = torch.cat(found).cpu().double()
        return self._processes.summed(losses)

    def _backward(self, part: Rows, share: float) -> Tensor:
        device = self._processes.device
        targets = torch.from_numpy(self._data.targets[part]).float().to(device)
        weights = torch.from_numpy(self._weights[part]).float().to(device)
        logs = log_probabilities(self._network, self._data.examples, part, self._precision, device)
        settings = self._settings
        losses = weights * row_losses(logs, targets, smoothing=settings.label_smoothing, symmetric=settings.symmetric)
        torch.autograd.backward(self.scaler.scale(losses.sum() * share))
        return losses.detach()

    def _smaller(self, rows: Rows, step: int, budget: int) -> int:
        longest = int(self._costs[rows].max())
        if budget <= longest:
            raise JudgeError(
                f"step {step}: one row of {longest} tokens does not fit in the memory of {self._processes.device}; "
                "lower max_length, or switch gradient_checkpointing on"
            )
        self._optimizer.zero_grad(set_to_none=True)
        if self._processes.device.type == "cuda":
            torch.cuda.empty_cache()
        half = max(budget // 2, longest)
        logger.warning(
            "step %d: out of memory with %d tokens in one pass; going on with %d (max_tokens), same gradient",
            step,
            budget,
            half,
        )
        return half

    def _no_room(self, step: int, budget: int) -> JudgeError:
        return JudgeError(
            f"step {step}: out of memory with {budget} tokens in one pass, and processes that share one network cannot "
            "cut their rows anew alone; lower max_tokens, or switch gradient_checkpointing on"
        )

    def _check_losses(self, losses: Tensor, rows: Rows, step: int) -> None:
        wrong = ~torch.isfinite(losses)
        if wrong.any() and not self.scaler.is_enabled():
            raise JudgeError(
                f"step {step}: the loss of {self._data.name(rows[wrong.numpy()])} is not a number; "
                "lower the learning rate, train in fp32, or leave out these rows"
            )

    def _check_norm(self, norm: float, rows: Rows, step: int) -> None:
        if np.isfinite(norm):
            self.overflows = 0
            return
        self.overflows += 1
        if not self.scaler.is_enabled():
            raise JudgeError(
                f"step {step}: the gradient is not finite although the losses are; its rows are "
                f"{self._data.name(rows)}; lower the learning rate, or train in fp32"
            )
        if self.overflows > OVERFLOWS:
            raise JudgeError(
                f"step {step}: {self.overflows} steps in a row overflowed fp16, the last with "
                f"{self._data.name(rows)}; train this network in bf16 or fp32"
            )


def _draw(seed: int, step: int, process: int) -> int:
    return int(np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)[0] >> 1)
