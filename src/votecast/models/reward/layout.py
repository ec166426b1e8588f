"""Battles as the two sequences of each, and those that a template refuses set apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import JudgeError
from votecast.models.neural.prepared import NeuralPrepared
from votecast.models.reward.scorer import Memo
from votecast.text.encoder import Encoded
from votecast.text.sequences import Sequences
from votecast.text.truncation import Cut

Rows = NDArray[np.int64]
Encode = Callable[[NeuralPrepared], tuple[Encoded, ...]]


@dataclass(frozen=True)
class RewardPrepared(NeuralPrepared):
    """Tokenised battles, with what is known of their rewards.

    Args:
        length: How much longer answer a is than b, shape (n,); None where the link does not look at it.
        memo: Rewards found so far; all parts of the same battles share them.
        maker: The member that prepared them, where its network is not trained: all members score with that one.
    """

    length: NDArray[np.float64] | None = None
    memo: Memo = field(default_factory=Memo)
    maker: Any = None

    def take(self, indices: ArrayLike) -> RewardPrepared:
        """The battles at these positions, in this order."""
        rows = np.asarray(indices, dtype=np.int64)
        length = None if self.length is None else self.length[rows]
        return type(self)(self.tokens.take(rows), length=length, memo=self.memo, maker=self.maker)


@dataclass(frozen=True)
class Layout:
    """The sequences of n battles.

    Args:
        rows: Battles that could be laid out, m of them.
        sequences: Their m sequences with answer a, then their m sequences with answer b.
        cut: What the cuts left of these m.
        reasons: Why the others could not.
    """

    rows: Rows
    sequences: Sequences
    cut: Cut
    reasons: dict[int, str]


def lay_out(prepared: NeuralPrepared, encode: Encode) -> Layout:
    """Lay battles out; what the template refuses is halved until it is known which rows these are.

    Args:
        prepared: n battles.
        encode: From battles to their sequences with a and with b.
    """
    parts, reasons = _parts(prepared, np.arange(len(prepared)), encode)
    rows = np.concatenate([np.arange(0), *(rows for rows, _ in parts)])
    sides = [Sequences.concat([pair[side].sequences for _, pair in parts]) for side in (0, 1)]
    cuts = [Cut.of_answers(pair[0].cut, pair[1].cut) for _, pair in parts]
    return Layout(rows, Sequences.concat(sides if parts else []), Cut.concat(cuts), reasons)


def _parts(
    prepared: NeuralPrepared, rows: Rows, encode: Encode
) -> tuple[list[tuple[Rows, tuple[Encoded, ...]]], dict[int, str]]:
    part = prepared if len(rows) == len(prepared) else prepared.take(rows)
    try:
        return [(rows, encode(part))] if len(rows) else [], {}
    except JudgeError as error:
        if len(rows) == 1:
            return [], {int(rows[0]): str(error)}
    one, two = (_parts(prepared, half, encode) for half in np.array_split(rows, 2))
    return one[0] + two[0], one[1] | two[1]
