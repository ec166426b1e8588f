"""Networks that start from what a judge of another family forecasts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.models.base import Model
from votecast.models.neural.model import NeuralModel
from votecast.models.neural.offset import fit_offset, offset_model, offset_settings, scores_of
from votecast.models.neural.prepared import NeuralPrepared
from votecast.models.registry import family
from votecast.types import Probabilities

OFFSET = "offset"


class OffsetModel(NeuralModel):
    """A member whose settings may name an `offset`: the judge it starts from, fitted and stored with it."""

    start: Model | None = None

    def prepare(self, battles: Battles) -> NeuralPrepared:
        """Tokenise battles once, and prepare them for the judge the network starts from."""
        prepared = super().prepare(battles)
        if self.described is None:
            return prepared
        return replace(prepared, beside=offset_model(self.described, self.seed).prepare(battles))

    def learn_offset(
        self,
        prepared: NeuralPrepared,
        targets: Probabilities,
        weights: NDArray[np.float64],
        groups: NDArray[np.int64],
    ) -> NDArray[np.float32] | None:
        """Fit the judge the network starts from; its forecasts of rows whose prompts it had not seen."""
        if self.described is None:
            return None
        self.start, found = fit_offset(self.described, prepared.beside, targets, weights, groups, self.seed)
        return found

    def offset(self, prepared: NeuralPrepared) -> NDArray[np.float32] | None:
        """What the judge the network starts from forecasts."""
        return None if self.start is None else scores_of(self.start.predict(prepared.beside))

    def save(self, folder: Path) -> None:
        """Write the network, and the judge it starts from into a folder of its own."""
        super().save(folder)
        if self.start is not None:
            (folder / OFFSET).mkdir()
            self.start.save(folder / OFFSET)

    def _restore(self, folder: Path) -> None:
        super()._restore(folder)
        if (described := self.described) is not None:
            self.start = family(described.family).load(folder / OFFSET, offset_settings(described), seed=self.seed)

    @property
    def described(self) -> Any:
        """The settings of the judge the network starts from; None without one."""
        return getattr(self.settings, "offset", None)
