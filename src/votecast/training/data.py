"""What a network is trained on: examples that become tensors, soft labels, weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from votecast.errors import JudgeError
from votecast.types import Probabilities

Batch = dict[str, torch.Tensor]


class Examples(Protocol):
    """Rows in the form a network reads."""

    def __len__(self) -> int:
        """Number of rows."""

    @property
    def costs(self) -> NDArray[np.int64]:
        """Tokens of each row, all its sequences together, shape (n,)."""

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """CPU tensors: the keyword arguments of the network's forward for these rows."""


@dataclass(frozen=True)
class Data:
    """Rows with labels.

    Args:
        examples: What the network reads.
        targets: Soft labels, shape (n, 3); rows sum to 1.
        weights: How much each row counts, shape (n,).
        ids: Names of the rows for messages; without them a row is named by its position.

    Raises:
        JudgeError: If a label or weight cannot be used; the message names the rows.
    """

    examples: Examples
    targets: Probabilities
    weights: NDArray[np.float64]
    ids: tuple[str, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        n = len(self.examples)
        if self.targets.shape != (n, 3) or self.weights.shape != (n,) or n == 0:
            raise JudgeError(
                f"{n} examples came with targets of shape {self.targets.shape} and weights of shape "
                f"{self.weights.shape}; needed are at least one row, ({n}, 3) and ({n},)"
            )
        labels = np.isfinite(self.targets).all(1) & (self.targets >= 0).all(1)
        labels &= np.abs(self.targets.sum(1) - 1) < 1e-6
        self._refuse(~labels, "label", "a soft label has three numbers of at least 0 that sum to 1")
        self._refuse(~(np.isfinite(self.weights) & (self.weights >= 0)), "weight", "a weight is a number of at least 0")
        if not self.weights.sum() > 0:
            raise JudgeError("the weights of all rows are 0; at least one row must count")

    def __len__(self) -> int:
        return len(self.examples)

    def name(self, rows: NDArray[np.int64]) -> str:
        """These rows in words, the first ten by id or position."""
        shown = [repr(self.ids[row]) if self.ids else str(row) for row in rows[:10].tolist()]
        more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
        return f"row{'s' if len(rows) != 1 else ''} {', '.join(shown)}{more}"

    def _refuse(self, wrong: NDArray[np.bool_], what: str, allowed: str) -> None:
        if wrong.any():
            rows = np.flatnonzero(wrong)
            values = self.targets if what == "label" else self.weights
            raise JudgeError(
                f"{self.name(rows)} cannot be trained on: the first {what} is {values[rows[0]].tolist()}; "
                f"{allowed}; correct or leave out these rows"
            )
