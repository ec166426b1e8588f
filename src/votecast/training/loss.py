"""The loss: cross entropy with soft labels over one or both orders of the answers."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def row_losses(log_probs: Tensor, targets: Tensor, *, smoothing: float = 0.0, symmetric: float = 0.0) -> Tensor:
    """Loss of each row, in nats.

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
    together = -(targets * mean_views(log_probs)).sum(-1)
    return (1 - symmetric) * apart + symmetric * together


def mean_views(log_probs: Tensor) -> Tensor:
    """Logarithm of the mean probability over the views, shape (rows, 3)."""
    return torch.logsumexp(log_probs, dim=1) - math.log(log_probs.shape[1])
