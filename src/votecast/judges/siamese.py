"""The siamese encoder: one backbone reads (prompt, A) and (prompt, B); a small head compares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.judges.model import Model
from votecast.judges.neural.backbone import Kind
from votecast.judges.neural.model import NeuralModel
from votecast.judges.neural.networks import ConcatNetwork, LinkedNetwork, PairNetwork
from votecast.judges.neural.offset import fit_offset, offset_model, offset_settings, scores_of
from votecast.judges.neural.prepared import NeuralPrepared
from votecast.judges.neural.settings import SiameseSettings
from votecast.judges.table import family
from votecast.text.encoder import Encoded
from votecast.text.report import Cut
from votecast.types import Probabilities

OFFSET = "offset"


class SiameseModel(NeuralModel):
    """One score an answer, linked by Davidson or Rao and Kupper; or system 5's concatenation.

    The order of the answers plays no part: by construction with a link, by averaging both orders with `concat`.
    """

    settings_type: ClassVar[type[Settings]] = SiameseSettings
    kind: ClassVar[Kind] = "encoder"
    order_matters: ClassVar[bool] = False
    start: Model | None = None

    @property
    def uses_form(self) -> bool:
        """Whether length and layout add to the score."""
        return bool(self.settings.form) and self.settings.head != "concat"

    def encoded(self, prepared: NeuralPrepared) -> tuple[Encoded, ...]:
        """(prompt, A) and (prompt, B) of each battle."""
        return self.text.answers(prepared.tokens, "a"), self.text.answers(prepared.tokens, "b")

    def prepare(self, battles: Battles) -> NeuralPrepared:
        """Tokenise battles once, and prepare them for the judge the network starts from."""
        prepared = super().prepare(battles)
        if self.settings.offset is None:
            return prepared
        return replace(prepared, beside=offset_model(self.settings.offset, self.seed).prepare(battles))

    def learn_offset(
        self,
        prepared: NeuralPrepared,
        targets: Probabilities,
        weights: NDArray[np.float64],
        groups: NDArray[np.int64],
    ) -> NDArray[np.float32] | None:
        """Fit the judge the network starts from; its forecasts of rows whose prompts it had not seen."""
        if self.settings.offset is None:
            return None
        self.start, found = fit_offset(self.settings.offset, prepared.beside, targets, weights, groups, self.seed)
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

    @classmethod
    def load(cls, folder: Path, settings: Any = None, *, seed: int = 0) -> Self:
        """Read back what `save` wrote; predictions are bit-equal."""
        model = super().load(folder, settings, seed=seed)
        if (described := model.settings.offset) is not None:
            model.start = family(described.family).load(folder / OFFSET, offset_settings(described), seed=seed)
        return model

    def cuts(self, prepared: NeuralPrepared) -> Cut:
        """What the cuts leave of the prompt beside A, of A and of B."""
        one, two = (part.cut for part in self.encoded(prepared))
        return Cut.of_answers(one, two)

    def wrap(self, backbone: Any) -> PairNetwork:
        """The backbone under the head that the settings name."""
        if self.settings.head == "concat":
            return ConcatNetwork(backbone, pooling=self.settings.pooling)
        return LinkedNetwork(
            backbone,
            pooling=self.settings.pooling,
            link=self.settings.head,
            form=self.uses_form,
            form_bound=self.settings.form_bound,
            from_nothing=self.settings.offset is None,
        )
