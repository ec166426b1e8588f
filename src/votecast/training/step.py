"""One optimizer step, split into passes that fit in memory; the loss of its rows, and the evaluation between steps."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from votecast.config.precision import Precision
from votecast.errors import JudgeError
from votecast.metrics import accuracy, flip_rate, log_loss
from votecast.training.mixed_precision import autocast
from votecast.training.processes import Processes
from votecast.training.settings import TrainingSettings
from votecast.training.sharding import gather_tensor, reshard
from votecast.training.training_rows import Data, deal_rows, split_passes
from votecast.types import Ints, swap_columns

logger = logging.getLogger(__name__)
OVERFLOWS = 25  # fp16 steps in a row that may overflow before training stops
_WIDER = "set model.training.precision to fp32, or to bf16 on a GPU that has it"


class Stepper:
    """Take optimizer steps over rows, which the processes share.

    Each step and process draws dropout of its own from `seed`, so that a step depends on nothing before it.
    """

    def __init__(
        self,
        network: Module,
        data: Data,
        optimizer: torch.optim.Optimizer,
        settings: TrainingSettings,
        *,
        precision: Precision,
        processes: Processes,
        seed: int,
    ) -> None:
        self._network, self._data, self._optimizer, self._settings = network, data, optimizer, settings
        self._precision, self._processes, self._seed = precision, processes, seed
        self._costs = data.examples.costs
        self._weights = data.weights / data.weights.mean()
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=precision == "fp16")
        # now, since a process may have no rows in its first step
        self.scaler.scale(torch.zeros((), device=processes.device))
        self.overflows = self.skipped = 0  # steps that overflowed fp16: in a row, and in all

    def take(self, rows: Ints, *, step: int, budget: int, factor: float) -> tuple[float, float, int]:
        """Train on rows of all processes together; `factor` is on the peak learning rates.

        Returns:
            The loss in nats, the norm of the gradient before clipping, and the tokens of a pass that fitted in memory.

        Raises:
            JudgeError: If the loss or the gradient is not a number, or one row alone does not fit in memory.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        self._network.train()
        losses, budget = self._gradient(rows, step, budget)
        wrong = ~torch.isfinite(losses)
        if wrong.any() and not self.scaler.is_enabled():
            raise JudgeError(
                f"step {step}: the loss of {self._data.name(rows[wrong.numpy()])} is not a number; "
                "lower the learning rate, train in fp32, or leave out these rows"
            )
        self._processes.sum_gradients(self._parameters)
        self.scaler.unscale_(self._optimizer)
        largest = self._settings.clip or float("inf")
        norm = float(gather_tensor(torch.nn.utils.clip_grad_norm_(self._parameters, largest)))
        self._check_norm(norm, rows, step)
        self.scaler.step(self._optimizer)  # skips a gradient that overflowed
        self.scaler.update()
        if self.overflows:
            what = "the gradient" if not wrong.any() else f"the loss of {self._data.name(rows[wrong.numpy()])}"
            logger.info("step %d: %s overflowed fp16; the step is skipped, %s", step, what, self.scaling)
        self._optimizer.zero_grad(set_to_none=True)
        return float(losses.mean()), norm, budget

    @property
    def scaling(self) -> dict[str, float]:
        """The factor on the loss and the number of skipped steps; empty but in fp16."""
        return {"loss_scale": self.scaler.get_scale(), "skipped": self.skipped} if self.scaler.is_enabled() else {}

    def check_skipped(self, steps: int) -> None:
        """Log how many of all steps overflowed fp16.

        Raises:
            JudgeError: If all did, so that nothing was learnt.
        """
        if self.skipped and self.skipped == steps:
            raise JudgeError(f"all {steps} steps overflowed fp16, and nothing was learnt; {_WIDER}")
        if self.skipped:
            logger.info("%d of %d steps were skipped because they overflowed fp16", self.skipped, steps)

    def state(self) -> dict[str, Any]:
        """Return the factor on the loss and the counts of overflows, for a checkpoint."""
        return {"scaler": self.scaler.state_dict(), "overflows": self.overflows, "skipped": self.skipped}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` gave."""
        self.scaler.load_state_dict(state["scaler"])
        self.overflows, self.skipped = state["overflows"], state["skipped"]

    def _gradient(self, rows: Ints, step: int, budget: int) -> tuple[Tensor, int]:
        """Sum the gradient over passes; out of memory, all processes begin the step again with smaller passes.

        Returns:
            The losses of `rows` from all processes, in their order, and the tokens of a pass that fitted in memory.
        """
        processes = self._processes
        mine = deal_rows(rows, self._costs, processes.index, processes.count)
        while True:
            self._optimizer.zero_grad(set_to_none=True)
            # each step draws its dropout from its number, so that a resumed training draws the same
            draw = np.random.SeedSequence([self._seed, step, processes.index]).generate_state(1, np.uint64)[0]
            torch.manual_seed(int(draw >> 1))
            passes, is_full = split_passes(mine, self._costs, budget), False
            spare = processes.spare(passes)  # asked before the first pass, in which all take part
            found: list[Tensor] = []
            try:
                found.extend(self._backward(part, 1 / len(rows)) for part in passes)
                for _ in range(spare):
                    self._backward(rows[:1], 0.0)
            except torch.OutOfMemoryError:
                if processes.sharding is not None:
                    raise JudgeError(
                        f"step {step}: out of memory with {budget} tokens in one pass, and processes that share one "
                        "network cannot divide their rows again alone; lower max_tokens, or switch "
                        "gradient_checkpointing on"
                    ) from None
                is_full = True
            if not processes.largest(is_full):
                place = {row: at for at, row in enumerate(rows.tolist())}
                losses = torch.zeros(len(rows), dtype=torch.float64)
                if found:  # all passes at once: every transfer waits for the device
                    losses[[place[row] for part in passes for row in part.tolist()]] = torch.cat(found).cpu().double()
                return processes.summed(losses), budget
            del found  # frees the memory before the next try
            budget = self._smaller_budget(rows, step, budget)

    def _backward(self, part: Ints, share: float) -> Tensor:
        device, settings = self._processes.device, self._settings
        targets = torch.from_numpy(self._data.targets[part]).float().to(device)  # (m, 3)
        weights = torch.from_numpy(self._weights[part]).float().to(device)  # (m,)
        logs = _log_probabilities(self._network, self._data, part, self._precision, device)  # (m, views, 3)
        losses = weights * row_losses(logs, targets, smoothing=settings.label_smoothing, symmetric=settings.symmetric)
        # rows of a step are summed over passes and processes; `share` makes their sum the mean
        torch.autograd.backward(self.scaler.scale(losses.sum() * share))
        return losses.detach()

    def _smaller_budget(self, rows: Ints, step: int, budget: int) -> int:
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
        message = "step %d: out of memory with %d tokens in one pass; going on with %d (max_tokens), same gradient"
        logger.warning(message, step, budget, half)
        return half

    def _check_norm(self, norm: float, rows: Ints, step: int) -> None:
        if np.isfinite(norm):
            self.overflows = 0
            return
        self.overflows += 1
        if not self.scaler.is_enabled():
            raise JudgeError(
                f"step {step}: the gradient is not finite although the losses are; its rows are "
                f"{self._data.name(rows)}; lower the learning rate, or train in fp32"
            )
        self.skipped += 1
        if self.overflows > OVERFLOWS:
            raise JudgeError(
                f"step {step}: {self.overflows} steps in a row overflowed fp16, the last with "
                f"{self._data.name(rows)}; {_WIDER}"
            )


def row_losses(log_probs: Tensor, targets: Tensor, *, smoothing: float = 0.0, symmetric: float = 0.0) -> Tensor:
    """Compute the loss of each row, in nats.

    Cross entropy with a soft label differs from the Kullback-Leibler divergence by the label's entropy, which no weight
    can change, so both train the same network.

    Args:
        log_probs: Shape (rows, views, 3), every view in the battle's own order.
        targets: Soft labels, shape (rows, 3).
        smoothing: Share of every label spread evenly over the outcomes (Szegedy et al., 2016).
        symmetric: Share of the loss taken on the mean probability of the views.

    Returns:
        Shape (rows,).

    Example:
        >>> even = torch.tensor([[[0.5, 0.25, 0.25]]]).log()
        >>> round(row_losses(even, torch.tensor([[0.0, 0.5, 0.5]])).item(), 4)
        1.3863
    """
    targets = (1 - smoothing) * targets + smoothing / 3
    apart = -(targets[:, None] * log_probs).sum(-1).mean(-1)
    if not symmetric:
        return apart
    log_mean = torch.logsumexp(log_probs, dim=1) - math.log(log_probs.shape[1])  # of the views' probabilities
    return (1 - symmetric) * apart + symmetric * -(targets * log_mean).sum(-1)


@torch.no_grad()
def evaluate(
    network: Module, data: Data, *, budget: int, precision: Precision, processes: Processes, place: str
) -> dict[str, float]:
    """Compute log loss and accuracy of the mean over views, and how often the views disagree.

    Args:
        network: Left in evaluation mode.
        data: Rows with labels.
        budget: Tokens of one pass.
        precision: Arithmetic of the forward pass.
        processes: Share the rows.
        place: When this happens, for messages.

    Raises:
        JudgeError: If a prediction is not a number; the message names the rows.
    """
    network.eval()
    passes = split_passes(np.arange(len(data)), data.examples.costs, budget)
    mine = passes[processes.index :: processes.count]
    found = [
        (rows, _log_probabilities(network, data, rows, precision, processes.device).double().cpu().numpy())
        for rows in (*mine, *passes[:1] * processes.spare(mine))
    ][: len(mine)]
    reshard(network)
    views = int(processes.largest(found[0][1].shape[1] if found else 0))
    logs = torch.zeros(len(data), views, 3, dtype=torch.float64)
    for rows, values in found:
        logs[rows] = torch.from_numpy(values)
    by_view = np.exp(processes.summed(logs).numpy())  # (n, views, 3)
    if len(wrong := np.flatnonzero(~np.isfinite(by_view).all((1, 2)))):
        raise JudgeError(
            f"{place}: the predictions of {data.name(wrong)} among the validation rows are not numbers; "
            "train in fp32, or with a lower learning rate"
        )
    # exp of rounded logarithms does not sum to 1 exactly
    by_view /= by_view.sum(-1, keepdims=True)
    mean, weights = by_view.mean(1), data.weights
    figures = {
        "log_loss": float(log_loss(data.targets, mean, weights)),
        "accuracy": float(accuracy(data.targets, mean, weights)),
    }
    if views == 2:
        seen_by_judge = swap_columns(by_view[:, 1])  # flip_rate wants the first answer shown first
        figures["flip_rate"] = flip_rate(by_view[:, 0], seen_by_judge, weights)
    return figures


def _log_probabilities(network: Module, data: Data, rows: Ints, precision: Precision, device: torch.device) -> Tensor:
    """Run the network on rows: fp32, shape (rows, views, 3)."""
    batch = {name: tensor.to(device, non_blocking=True) for name, tensor in data.examples.batch(rows).items()}
    with autocast(precision, device):
        out: Tensor = network(**batch)
    if out.ndim != 3 or out.shape[0] != len(rows) or out.shape[2] != 3:
        raise JudgeError(
            f"the network answered {len(rows)} rows in shape {tuple(out.shape)}; "
            f"needed are log-probabilities of shape ({len(rows)}, views, 3)"
        )
    return out.float()
