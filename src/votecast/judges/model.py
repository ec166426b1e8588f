"""What a family has to bring: a model that learns from prepared battles and forecasts them uncalibrated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.runs import Run
from votecast.types import Probabilities


class Prepared(Protocol):
    """Battles in the form a model works on; made once, cut into folds many times."""

    def __len__(self) -> int:
        """Number of battles."""

    def take(self, indices: ArrayLike) -> Self:
        """The battles at these positions, in this order."""


class Model(Protocol):
    """One fitted member of a judge: no folds, no calibration, no folder of its own."""

    settings_type: ClassVar[type[Settings]]

    def __init__(self, settings: Any, *, seed: int) -> None: ...

    def prepare(self, battles: Battles) -> Any:
        """Turn battles into what `fit` and `predict` take, row by row."""

    def fit(
        self,
        prepared: Any,
        targets: Probabilities,
        weights: NDArray[np.float64],
        groups: NDArray[np.int64],
        run: Run = ...,
    ) -> Self:
        """Learn from soft labels of shape (n, 3) and weights of shape (n,); rows of one group share a prompt.

        Whatever lies in `run.folder` was left by the same fit, killed; a family that can continues from it.
        """

    def predict(self, prepared: Any) -> Probabilities:
        """Uncalibrated probabilities of shape (n, 3)."""

    def save(self, folder: Path) -> None:
        """Write files of safe formats into an existing, empty folder."""

    @classmethod
    def load(cls, folder: Path, settings: Any, *, seed: int) -> Self:
        """Read back what `save` wrote; predictions are bit-equal."""
