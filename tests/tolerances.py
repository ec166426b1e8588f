"""Derive tolerances from arithmetic and sizes, for x86-64 and arm64.

CPUs add the same numbers in different orders and with or without fused multiply-add; exact expectations hold on one of
them only.
"""

from __future__ import annotations

import math

import torch

PER_LAYER = 8
"""Sums that follow each other in one layer of a transformer: two norms, four projections, scores and their use."""


def rounding(*, width: int, layers: int, backward: bool = False, dtype: torch.dtype = torch.float32) -> float:
    """Return the relative error of chained sums of `width` products.

    Rounding errors of a sum are like a random walk (Higham 2002, "Accuracy and Stability", section 2.8), and those of
    layers add up in the worst case. A backward pass doubles the chain. Multiply with the largest value for `atol`.
    """
    return torch.finfo(dtype).eps * math.sqrt(width) * PER_LAYER * layers * (2 if backward else 1)


def assert_rounds_to(found: torch.Tensor, wanted: torch.Tensor, relative: float) -> None:
    """Assert that tensors differ by at most `relative` of the maximum."""
    torch.testing.assert_close(found, wanted, rtol=0, atol=relative * float(wanted.detach().abs().max()))


def after_training(*, steps: int, learning_rate: float, dtype: torch.dtype = torch.float32) -> float:
    """Return the absolute error of weights after Adam steps.

    Adam divides every gradient by its size, so that those near zero keep about half of their digits: each step adds up
    to learning_rate sqrt(eps), with a factor of 2 for both trainings that are compared.
    """
    return 2 * steps * learning_rate * math.sqrt(torch.finfo(dtype).eps)
