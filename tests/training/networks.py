"""A small network and learnable rows for training tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from votecast.training.network import TrainableNetwork
from votecast.training.training_rows import Batch, Data


@dataclass(frozen=True)
class Numbers:
    """Token rows of unequal length; labels follow their mean id."""

    ids: list[NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def costs(self) -> NDArray[np.int64]:
        return np.array([len(row) for row in self.ids])

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        longest = max(len(self.ids[row]) for row in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), longest)
        for at, row in enumerate(rows):
            ids[at, : len(self.ids[row])] = torch.from_numpy(self.ids[row])
            mask[at, : len(self.ids[row])] = 1
        return {"ids": ids, "mask": mask}


class Small(TrainableNetwork):
    """Two views of the mean embedding; the second has responses swapped back."""

    def __init__(self, *, dropout: float = 0.0, seed: int = 0, views: int = 2, width: int = 8) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(50, width)
            self.body = nn.Linear(width, width)
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, 3)
        self.dropout = nn.Dropout(dropout)
        self.views = views

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [list(part.parameters()) for part in (self.embedding, self.body, self.norm, self.head)]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        mean = (self.embedding(ids) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        views = [mean, mean.flip(-1)][: self.views]
        logits = [self.head(self.norm(torch.tanh(self.body(self.dropout(view))))) for view in views]
        return torch.stack(logits, 1).log_softmax(-1)


def numbers(n: int = 60, *, seed: int = 0) -> Data:
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, n)
    ids = [rng.integers(1 + 15 * kind, 16 + 15 * kind, rng.integers(3, 20)) for kind in kinds]
    return Data(Numbers(ids), np.eye(3)[kinds], np.ones(n))
