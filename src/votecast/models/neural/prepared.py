"""Battles as a neural judge holds them: tokens of every turn, and the form of both answers; made once, used often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from votecast.text.encoder import TokenizedBattles
from votecast.text.sequences import Sequences


@dataclass(frozen=True)
class NeuralPrepared:
    """Tokenised battles.

    Args:
        tokens: Token ids of every turn.
        form: Length and layout of both answers, shape (n, 2, 6); None where the judge does not look at them.
        beside: The battles as the judge wants them whose forecasts the network starts from; None without one.
    """

    tokens: TokenizedBattles
    form: NDArray[np.float32] | None = None
    beside: Any = None

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, indices: ArrayLike) -> NeuralPrepared:
        """The battles at these positions, in this order."""
        rows = np.asarray(indices, dtype=np.int64)
        return NeuralPrepared(
            self.tokens.take(rows),
            None if self.form is None else self.form[rows],
            None if self.beside is None else self.beside.take(rows),
        )


@dataclass(frozen=True)
class PairExamples:
    """What a pair network is trained on: k sequences a battle, and its form.

    Args:
        views: The k sequences of each battle: k tables of n rows.
        form: Shape (n, 2, 6), or None.
        offset: Shape (n, 2), or None.
        pad_id: Token id that fills shorter sequences up.
    """

    views: tuple[Sequences, ...]
    form: NDArray[np.float32] | None
    offset: NDArray[np.float32] | None
    pad_id: int

    def __len__(self) -> int:
        return len(self.views[0])

    @property
    def costs(self) -> NDArray[np.int64]:
        """Tokens of each battle once its sequences are padded to the longest of them, shape (n,)."""
        lengths = np.stack([view.lengths for view in self.views])
        return np.asarray(lengths.max(axis=0) * len(self.views), dtype=np.int64)

    def batch(self, rows: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Tensors for these battles: their first sequences, then their second ones."""
        together = Sequences.concat([view.take(rows) for view in self.views])
        padded = together.padded(np.arange(len(together)), pad_id=self.pad_id)
        tensors = {"ids": torch.from_numpy(padded.ids), "mask": torch.from_numpy(padded.mask)}
        if padded.types is not None:
            tensors["types"] = torch.from_numpy(padded.types)
        for name, values in (("form", self.form), ("offset", self.offset)):
            if values is not None:
                tensors[name] = torch.from_numpy(np.ascontiguousarray(values[rows]))
        return tensors
