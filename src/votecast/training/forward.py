"""One pass of rows through a network, checked."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from votecast.errors import JudgeError
from votecast.metrics import accuracy, flip_rate, log_loss
from votecast.training.data import Data, Examples
from votecast.training.plan import Rows, passes
from votecast.training.precision import Name, autocast
from votecast.training.processes import Processes
from votecast.training.sharding import settle
from votecast.types import Probabilities, swap_columns


def log_probabilities(network: Module, examples: Examples, rows: Rows, precision: Name, device: torch.device) -> Tensor:
    """What a network says about rows: fp32, shape (rows, views, 3).

    Raises:
        JudgeError: If the network answers in another shape.
    """
    batch = {name: tensor.to(device, non_blocking=True) for name, tensor in examples.batch(rows).items()}
    with autocast(precision, device):
        out: Tensor = network(**batch)
    if out.ndim != 3 or out.shape[0] != len(rows) or out.shape[2] != 3:
        raise JudgeError(
            f"the network answered {len(rows)} rows in shape {tuple(out.shape)}; "
            f"needed are log-probabilities of shape ({len(rows)}, views, 3)"
        )
    return out.float()


@torch.no_grad()
def evaluate(
    network: Module, data: Data, *, budget: int, precision: Name, processes: Processes, place: str
) -> dict[str, float]:
    """Log loss and accuracy of the mean over views, and how often the views disagree.

    Args:
        network: Left in evaluation mode.
        data: Rows with labels.
        budget: Tokens of one pass.
        precision: Arithmetic of the forward pass.
        processes: Share the rows.
        place: When this happens, for messages.

    Raises:
        JudgeError: If a forecast is not a number; the message names the rows.
    """
    network.eval()
    costs = data.examples.costs
    parts = passes(np.arange(len(data)), costs, budget)
    mine = parts[processes.index :: processes.count]
    found = [
        (rows, log_probabilities(network, data.examples, rows, precision, processes.device).double().cpu().numpy())
        for rows in (*mine, *parts[:1] * processes.spare(mine))
    ][: len(mine)]
    settle(network)
    views = processes.largest(max((out.shape[1] for _, out in found), default=0))
    logs = np.zeros((len(data), views, 3))
    for rows, out in found:
        logs[rows] = out
    logs = processes.summed(torch.from_numpy(logs)).numpy()
    wrong = np.flatnonzero(~np.isfinite(np.exp(logs)).all((1, 2)))
    if len(wrong):
        raise JudgeError(
            f"{place}: the forecasts of {data.name(wrong)} among the validation rows are not numbers; "
            "train in fp32, or with a lower learning rate"
        )
    by_view = np.exp(logs)
    by_view /= by_view.sum(-1, keepdims=True)
    return _figures(data, by_view)


def _figures(data: Data, by_view: Probabilities) -> dict[str, float]:
    mean, weights = by_view.mean(1), data.weights
    figures = {
        "log_loss": float(log_loss(data.targets, mean, weights)),
        "accuracy": float(accuracy(data.targets, mean, weights)),
    }
    if by_view.shape[1] == 2:
        seen_by_judge = swap_columns(by_view[:, 1])  # flip_rate wants the first answer shown first
        figures["flip_rate"] = flip_rate(by_view[:, 0], seen_by_judge, weights)
    return figures
