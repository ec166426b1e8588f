"""What a judge has learnt, and the rows on which that was measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from votecast.calibration import Calibrator
from votecast.errors import JudgeError
from votecast.models.base import Model
from votecast.splits import PromptHashes
from votecast.types import Probabilities


@dataclass(frozen=True)
class OutOfFold:
    """Forecasts of rows by members that had not seen them.

    Args:
        rows: Positions among the battles the judge was fitted on, shape (n,).
        ids: Names of the rows.
        content: Hash of each row's texts.
        fold: Fold of each row, shape (n,).
        raw: Uncalibrated probabilities, shape (n, 3).
        targets: Soft labels, shape (n, 3).
        weights: Shape (n,).
        clusters: Cluster of near-duplicate prompts of each row, shape (n,).
        swapped: Uncalibrated probabilities of the same battles with their answers exchanged, shape (n, 3); None where
            exchanging the answers does nothing but exchange columns a and b.
        turned: Hash of each row's texts with the answers exchanged; None where it was not kept.
    """

    rows: NDArray[np.int64]
    ids: list[str]
    content: list[str]
    fold: NDArray[np.int64]
    raw: Probabilities
    targets: Probabilities
    weights: NDArray[np.float64]
    clusters: NDArray[np.int64]
    swapped: Probabilities | None = None
    turned: list[str] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def none(cls) -> OutOfFold:
        """No rows: of a judge that keeps none."""
        nothing, three = np.empty(0, dtype=np.int64), np.empty((0, 3))
        return cls(nothing, [], [], nothing, three, three, np.empty(0), nothing)


@dataclass(frozen=True)
class Fitted:
    """What a judge has learnt.

    Args:
        members: One model, or one per fold; their forecasts are averaged.
        calibrator: Fitted on the out-of-fold rows.
        out_of_fold: The rows no member that forecast them had seen; none for a judge that was trained elsewhere.
        prompt_hashes: Salted hashes of the training prompts; None where it is not known what they were.
        facts: Rows, shares of labels, sources and folds, for the model card.
        stored: Folders in which the members lie already, one each, as their `save` wrote them; empty where none do.
    """

    members: list[Model]
    calibrator: Calibrator
    out_of_fold: OutOfFold
    prompt_hashes: PromptHashes | None
    facts: dict[str, Any] = field(default_factory=dict)
    stored: tuple[Path, ...] = ()


def checked_probabilities(p: Probabilities, name: str) -> Probabilities:
    """The same array, if every row is a distribution.

    Raises:
        JudgeError: If a value is not finite, is negative, or a row does not sum to 1.
    """
    wrong = ~np.isfinite(p).all(axis=1) | (p < 0).any(axis=1) | (np.abs(p.sum(axis=1) - 1) > 1e-9)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise JudgeError(
            f"judge {name!r} forecast {p[row].tolist()} for row {row + 1} of a batch ({int(wrong.sum())} rows in all); "
            "probabilities must be finite, at least 0 and sum to 1"
        )
    return p
