"""The cross-encoder: prompt and both answers in one sequence, read by an encoder with three labels."""

from __future__ import annotations

from typing import Any, ClassVar

from votecast.config import Settings
from votecast.models.neural.backbone import Kind
from votecast.models.neural.model import NeuralModel
from votecast.models.neural.networks import CrossNetwork
from votecast.models.neural.prepared import NeuralPrepared
from votecast.models.neural.settings import CrossEncoderSettings
from votecast.text.encoder import Encoded


class CrossEncoderModel(NeuralModel):
    """Any encoder of transformers with a sequence-classification head, over `[CLS] P [SEP] A [SEP] B`.

    Both orders of the answers are trained on, in the same batch, and averaged in forecasts.
    """

    settings_type: ClassVar[type[Settings]] = CrossEncoderSettings
    kind: ClassVar[Kind] = "classifier"
    order_matters = True

    def encoded(self, prepared: NeuralPrepared) -> tuple[Encoded, ...]:
        """One sequence a battle, or one for each order of the answers."""
        shown = self.text.pairs(prepared.tokens)
        both = self.settings.orders == "both"
        return (shown, self.text.pairs(prepared.tokens, swapped=True)) if both else (shown,)

    def wrap(self, backbone: Any) -> CrossNetwork:
        """The classifier, seen as a pair network."""
        return CrossNetwork(backbone, both_orders=self.settings.orders == "both")
