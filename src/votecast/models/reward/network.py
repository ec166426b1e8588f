"""The network around a classifier of one label, which holds its own head."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor

from votecast.models.neural.networks import PairNetwork, RewardNetwork, base_encoder


class ClassifierReward(PairNetwork):
    """One reward an answer from a sequence classifier of transformers, such as an encoder with a pooler.

    Args:
        model: A sequence classifier with one label.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone, self.per_battle = model, 2

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """Rewards of shape (m, 1)."""
        known = getattr(base_encoder(self.backbone).config, "type_vocab_size", 0) or 0
        more = {} if types is None or known < 2 else {"token_type_ids": types.clamp(max=known - 1)}
        return cast("Tensor", self.backbone(ids, attention_mask=mask, **more).logits).float()

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:
        """Log-probabilities of shape (n, 1, 3) by Bradley and Terry."""
        return RewardNetwork.decide(cast("RewardNetwork", self), outputs, form, offset)
