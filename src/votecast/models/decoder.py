"""The decoder judge: a causal language model reads prompt and both answers, and a head on the last token decides."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from votecast.config import Settings
from votecast.models.neural.causal_model import CausalModel
from votecast.models.neural.networks import DecoderNetwork, PairNetwork
from votecast.models.neural.prepared import NeuralPrepared, PairExamples
from votecast.models.neural.settings import DecoderSettings
from votecast.text.encoder import Encoded
from votecast.text.sequences import Sequences
from votecast.training.data import Data
from votecast.types import Probabilities, swap_columns


class DecoderModel(CausalModel):
    """Any causal model of transformers with a head of three labels on the last token, over both answers at once.

    With `orders` both or either, forecasts are the mean over both orders of the answers.
    """

    settings_type: ClassVar[type[Settings]] = DecoderSettings
    order_matters = True

    def encoded(self, prepared: NeuralPrepared) -> tuple[Encoded, ...]:
        """One sequence a battle, or one for each order of the answers."""
        shown = self.text.pairs(prepared.tokens)
        one = self.settings.orders == "shown"
        return (shown,) if one else (shown, self.text.pairs(prepared.tokens, swapped=True))

    def wrap(self, backbone: Any) -> DecoderNetwork:
        """The backbone under a head of three labels."""
        return DecoderNetwork(backbone, both_orders=self.settings.orders != "shown")

    def _fresh(self, prepared: NeuralPrepared, targets: Probabilities, weights: NDArray[np.float64]) -> PairNetwork:
        network = super()._fresh(prepared, targets, weights)
        if self.settings.orders == "either":
            network.per_battle = 1
        return network

    def _keep(self, network: PairNetwork) -> DecoderModel:
        network.per_battle = 1 + (self.settings.orders != "shown")
        super()._keep(network)
        return self

    def _data(
        self,
        prepared: NeuralPrepared,
        targets: Probabilities,
        weights: NDArray[np.float64],
        offset: NDArray[np.float32] | None,
        rows: NDArray[np.int64],
    ) -> Data | None:
        if self.settings.orders != "either" or not len(rows):
            return super()._data(prepared, targets, weights, offset, rows)
        flipped = np.random.default_rng(self.seed).random(len(prepared))[rows] < 0.5
        part = prepared.take(rows)
        shown, swapped = (encoded.sequences for encoded in self.encoded(part))
        order = np.arange(len(rows)) + len(rows) * flipped
        drawn = Sequences.concat([shown, swapped]).take(order)
        targets = np.where(flipped[:, None], swap_columns(targets[rows]), targets[rows])
        start = None if offset is None else offset[rows] * np.where(flipped[:, None], [[-1, 1]], 1).astype(np.float32)
        return Data(PairExamples((drawn,), part.form, start, self.pad_id), targets, weights[rows])
