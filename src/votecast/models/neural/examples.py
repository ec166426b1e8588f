"""Battles as the networks read them: tokens of every turn and the form of both answers; and samples of their rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from votecast.errors import DataError
from votecast.models.base import Prepared
from votecast.text.encoder import TokenizedBattles
from votecast.text.sequences import Sequences
from votecast.types import Floats, Ints, Probabilities


@dataclass(frozen=True)
class NeuralPrepared:
    """Tokenized battles.

    Args:
        tokens: Token ids of every turn.
        form: Length and layout of both answers, shape (n, 2, 6); None where the judge does not read them.
        for_offset: The battles prepared for the judge whose predictions the network starts from; None without one.
        offset: Strength and closeness that the network starts from, shape (n, 2); None without such a judge.
    """

    tokens: TokenizedBattles
    form: NDArray[np.float32] | None = None
    for_offset: Prepared | None = None
    offset: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, indices: ArrayLike) -> NeuralPrepared:
        """Return the battles at these positions, in this order."""
        rows = np.asarray(indices, dtype=np.int64)
        return NeuralPrepared(
            self.tokens.take(rows),
            None if self.form is None else self.form[rows],
            None if self.for_offset is None else self.for_offset.take(rows),
            None if self.offset is None else self.offset[rows],
        )


@dataclass(frozen=True)
class PairExamples:
    """Inputs of a pair network in training: k sequences a battle, and its form.

    Args:
        views: The k sequences of each battle: k tables of n rows.
        form: Shape (n, 2, 6), or None.
        offset: Strength and closeness to start from, shape (n, 2), or None.
        pad_id: Token id that pads shorter sequences.
    """

    views: tuple[Sequences, ...]
    form: NDArray[np.float32] | None
    offset: NDArray[np.float32] | None
    pad_id: int

    def __len__(self) -> int:
        return len(self.views[0])

    @property
    def costs(self) -> Ints:
        """Tokens of each battle once its sequences are padded to the longest of them, shape (n,)."""
        lengths = np.stack([view.lengths for view in self.views])  # (k, n)
        return np.asarray(lengths.max(axis=0) * len(self.views), dtype=np.int64)

    def batch(self, rows: Ints) -> dict[str, torch.Tensor]:
        """Return tensors for these battles: their first sequences, then their second ones."""
        together = Sequences.concat([view.take(rows) for view in self.views])  # k * m sequences
        padded = together.padded(np.arange(len(together)), pad_id=self.pad_id)
        tensors = {"ids": torch.from_numpy(padded.ids), "mask": torch.from_numpy(padded.mask)}
        if padded.types is not None:
            tensors["types"] = torch.from_numpy(padded.types)
        for name, values in (("form", self.form), ("offset", self.offset)):
            if values is not None:
                tensors[name] = torch.from_numpy(np.ascontiguousarray(values[rows]))
        return tensors


def sample_by_weight(rows: Ints, weights: Floats, seed: int) -> tuple[Ints, Floats]:
    """Sample rows that weigh less than the mean, and give those that are drawn the mean weight.

    Args:
        rows: Positions of the rows to draw from.
        weights: Weights of all rows, shape (n,).
        seed: Seed of the draw.

    Returns:
        The rows drawn, and weights of shape (n,) under which each of `rows` counts as before on average.

    Example:
        >>> rows, weights = sample_by_weight(np.arange(4), np.array([3.0, 1.0, 0.0, 0.0]), seed=0)
        >>> rows.tolist(), weights.tolist()
        ([0, 1], [3.0, 1.0, 1.0, 1.0])
    """
    mean = weights[rows].mean()
    drawn = np.random.default_rng(seed).random(len(rows)) < weights[rows] / mean
    return rows[drawn], np.maximum(weights, mean)


def sample_per_group(rows: Ints, groups: Ints, most: int, seed: int) -> Ints:
    """Sample at most so many rows of each group.

    Args:
        rows: Positions of the rows to draw from.
        groups: Group of every row, shape (n,).
        most: Rows of one group that are kept.
        seed: Seed of the draw.

    Example:
        >>> sample_per_group(np.arange(5), np.array([0, 0, 0, 1, 2]), 2, seed=0).tolist()[-2:]
        [3, 4]
    """
    shuffled = np.random.default_rng(seed).permutation(rows)
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    # the place of each row within its group: its position less that of the first row of the group
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order[:1]] - 1))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return np.sort(order[place < most])


def check_ties(ties: bool, targets: Probabilities) -> None:
    """Raise a DataError if votes of shape (n, 3) hold ties that a network of two outputs cannot learn."""
    if not ties and (held := int(np.count_nonzero(targets[:, 2]))):
        raise DataError(f"model.ties is false, and {held:,} votes are ties, in whole or part; set it to true")
