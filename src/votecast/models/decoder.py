"""The decoder family: a causal language model reads prompt and both answers, and a head reads its last token."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel

from votecast.config import Settings
from votecast.models.neural.causal_model import CausalModel
from votecast.models.neural.examples import NeuralPrepared, PairExamples, check_ties
from votecast.models.neural.last_states import last_states
from votecast.models.neural.pair_network import PairNetwork, head_in_fp32, last_token_head, order_views
from votecast.models.neural.settings import DecoderSettings, OffsetSettings
from votecast.text.encoder import Encoded
from votecast.text.sequences import Sequences
from votecast.training.training_rows import Data
from votecast.types import Floats, Ints, Probabilities, Run, swap_columns


class DecoderNetwork(PairNetwork):
    """Classify prompt and both answers in one sequence by the state of its last token.

    Args:
        backbone: A bare causal model.
        both_orders: Whether a battle is read in both orders.
        outputs: 3, or 2 for a and b without ties.
    """

    def __init__(self, backbone: PreTrainedModel, *, both_orders: bool, outputs: int = 3) -> None:
        super().__init__()
        self.backbone, self.per_battle = backbone, 1 + both_orders
        self.score = last_token_head(backbone, outputs)

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:  # noqa: ARG002
        """Compute logits of shape (m, outputs), in the order in which the sequence shows the answers."""
        return head_in_fp32(self.score, last_states(self.backbone, ids, mask))

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Compute log-probabilities of shape (n, k, 3), each view in the battle's own order."""
        return order_views(outputs, offset)


class DecoderModel(CausalModel):
    """Any causal model of transformers with a head of three labels on the last token, over both answers at once.

    With `orders` both or either, predictions are the mean over both orders of the answers.
    """

    settings_type: ClassVar[type[Settings]] = DecoderSettings
    settings: DecoderSettings
    order_matters = True

    @property
    def offset_settings(self) -> OffsetSettings | None:
        """Settings of the judge whose predictions the network starts from."""
        return self.settings.offset

    def encode_battles(self, prepared: NeuralPrepared) -> tuple[Encoded, ...]:
        """Return one sequence a battle, or one for each order of the answers."""
        shown = self.text.pairs(prepared.tokens)
        one = self.settings.orders == "shown"
        return (shown,) if one else (shown, self.text.pairs(prepared.tokens, swapped=True))

    def wrap(self, backbone: PreTrainedModel) -> DecoderNetwork:
        """Make the network around a causal model."""
        both, outputs = self.settings.orders != "shown", 3 if self.settings.ties else 2
        return DecoderNetwork(backbone, both_orders=both, outputs=outputs)

    def new_network(self, prepared: NeuralPrepared, targets: Probabilities, weights: Floats) -> PairNetwork:
        """Make the network as it is before the first step."""
        network = super().new_network(prepared, targets, weights)
        if self.settings.orders == "either":
            network.per_battle = 1  # in training alone; predictions read both orders
        return network

    def fit(
        self,
        prepared: NeuralPrepared,
        targets: Probabilities,
        weights: Floats,
        groups: Ints | None = None,
        run: Run = Run(),
    ) -> Self:
        """Train a new network; see `NeuralModel.fit`."""
        super().fit(prepared, targets, weights, groups, run)
        self.fitted.per_battle = 1 + (self.settings.orders != "shown")
        return self

    def label_rows(self, prepared: NeuralPrepared, targets: Probabilities, weights: Floats, rows: Ints) -> Data:
        """Return some rows as examples with labels; with `orders` either, in one order drawn for each."""
        check_ties(self.settings.ties, targets[rows])
        if self.settings.orders != "either":
            return super().label_rows(prepared, targets, weights, rows)
        flipped = np.random.default_rng(self.seed).random(len(prepared))[rows] < 0.5
        part = prepared.take(rows)
        shown, swapped = (encoded.sequences for encoded in self.encode_battles(part))
        order = np.arange(len(rows)) + len(rows) * flipped  # rows of `swapped` follow those of `shown`
        drawn = Sequences.concat([shown, swapped]).take(order)
        targets = np.where(flipped[:, None], swap_columns(targets[rows]), targets[rows])
        # swapping the answers changes the sign of the strength and leaves the closeness
        signs = np.where(flipped[:, None], [[-1, 1]], 1).astype(np.float32)  # (n, 2)
        start = None if part.offset is None else part.offset * signs
        return Data(PairExamples((drawn,), part.form, start, self.pad_id), targets, weights[rows])
