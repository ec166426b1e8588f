"""The cross-encoder family: an encoder such as DeBERTa reads prompt and both answers in one sequence."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from transformers import PreTrainedModel

from votecast.config import Settings
from votecast.models.neural.backbone import Kind
from votecast.models.neural.examples import NeuralPrepared, check_ties
from votecast.models.neural.neural_model import NeuralModel
from votecast.models.neural.pair_network import PairNetwork, classifier_logits, order_views
from votecast.models.neural.settings import CrossEncoderSettings
from votecast.text.encoder import Encoded
from votecast.training.training_rows import Data
from votecast.types import CLASSES, Floats, Ints, Probabilities


class CrossNetwork(PairNetwork):
    """Classify prompt and both answers in one sequence; with both orders, each is a view.

    Args:
        model: A sequence classifier of transformers with the labels a, b and tie in this order.
        both_orders: Whether a battle is read in both orders.
    """

    def __init__(self, model: PreTrainedModel, *, both_orders: bool) -> None:
        super().__init__()
        self.backbone = model
        self.per_battle = 1 + both_orders

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """Compute logits of shape (m, 3), or (m, 2) without ties, in the order that the sequence shows."""
        return classifier_logits(self.backbone, ids, mask, types)

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Compute log-probabilities of shape (n, k, 3), each view in the battle's own order."""
        return order_views(outputs, offset)


class CrossEncoderModel(NeuralModel):
    """Any encoder of transformers with a sequence-classification head, over `[CLS] P [SEP] A [SEP] B`.

    Both orders of the answers are trained on, in the same batch, and averaged in predictions.
    """

    settings_type: ClassVar[type[Settings]] = CrossEncoderSettings
    kind: ClassVar[Kind] = "classifier"
    order_matters = True

    def encode_battles(self, prepared: NeuralPrepared) -> tuple[Encoded, ...]:
        """Return one sequence a battle, or one for each order of the answers."""
        shown = self.text.pairs(prepared.tokens)
        both = self.settings.orders == "both"
        return (shown, self.text.pairs(prepared.tokens, swapped=True)) if both else (shown,)

    def load_backbone(self) -> PreTrainedModel:
        """Load the classifier, with two outputs where there are no ties."""
        labels = CLASSES if self.settings.ties else CLASSES[:2]
        return self.source.load(self.kind, dropout=self.settings.dropout, labels=labels)

    def label_rows(self, prepared: NeuralPrepared, targets: Probabilities, weights: Floats, rows: Ints) -> Data:
        """Return some rows as examples with labels."""
        check_ties(self.settings.ties, targets[rows])
        return super().label_rows(prepared, targets, weights, rows)

    def wrap(self, backbone: PreTrainedModel) -> CrossNetwork:
        """Make the network around a classifier."""
        return CrossNetwork(backbone, both_orders=self.settings.orders == "both")
