"""The siamese encoder: one backbone reads (prompt, A) and (prompt, B); a small head compares."""

from __future__ import annotations

from typing import Any, ClassVar

from votecast.config import Settings
from votecast.models.neural.backbone import Kind
from votecast.models.neural.networks import ConcatNetwork, LinkedNetwork, PairNetwork
from votecast.models.neural.offset_model import OffsetModel
from votecast.models.neural.prepared import NeuralPrepared
from votecast.models.neural.settings import SiameseSettings
from votecast.text.encoder import Encoded
from votecast.text.truncation import Cut


class SiameseModel(OffsetModel):
    """One score an answer, linked by Davidson or Rao and Kupper; or system 5's concatenation.

    The order of the answers plays no part: by construction with a link, by averaging both orders with `concat`.
    """

    settings_type: ClassVar[type[Settings]] = SiameseSettings
    kind: ClassVar[Kind] = "encoder"

    @property
    def uses_form(self) -> bool:
        """Whether length and layout add to the score."""
        return bool(self.settings.form) and self.settings.head != "concat"

    def encoded(self, prepared: NeuralPrepared) -> tuple[Encoded, ...]:
        """(prompt, A) and (prompt, B) of each battle."""
        return self.text.answers(prepared.tokens, "a"), self.text.answers(prepared.tokens, "b")

    def truncation(self, prepared: NeuralPrepared) -> Cut:
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
