"""The base of the families' networks: token ids in, log-probabilities of A, B and tie out, one view for each order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn.functional import log_softmax
from transformers import PreTrainedModel

from votecast.errors import ArtifactError
from votecast.inference.backbones import is_spread
from votecast.training.network import TrainableNetwork
from votecast.types import Floats, Probabilities

# exp(-30) is below fp32's eps: no probability, and no infinite loss where smoothing asks for a little
NO_TIE: Final = -30.0

SWAPPED = [1, 0, 2]
"""Columns of A, B and tie once the answers are swapped; `swap_columns` for tensors."""

Pooling = Literal["mean", "cls"]


class PairNetwork(TrainableNetwork):
    """A network over the k sequences of each battle.

    Attributes:
        per_battle: Sequences of one battle, k.
        backbone: The model of transformers.
    """

    per_battle: int
    backbone: PreTrainedModel

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """Compute vectors of shape (m, d) of m sequences of L tokens: ids, mask and types have shape (m, L)."""
        raise NotImplementedError

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:
        """Compute log-probabilities of shape (n, views, 3).

        Args:
            outputs: What `encode` gave, shape (n, k, d).
            form: Length and layout of both answers, shape (n, 2, 6).
            offset: Strength and closeness to start from, shape (n, 2).
        """
        raise NotImplementedError

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        types: Tensor | None = None,
        form: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> Tensor:
        """Compute log-probabilities of shape (n, views, 3); the k sequences of battle i are rows i, n + i, ..."""
        outputs = self.encode(ids, mask, types)  # (k * n, d)
        return self.decide(outputs.view(self.per_battle, -1, outputs.shape[-1]).transpose(0, 1), form, offset)

    def start(self, targets: Probabilities, weights: Floats, form: NDArray[np.float32] | None) -> None:
        """Initialize from the training rows what can be computed before the first step."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or cast everything but a backbone that is spread over several devices."""
        # accelerate has placed the layers of a spread backbone; moving them would undo it
        move: Callable[..., Self] = super()._apply
        backbone = self._modules.get("backbone")
        if not is_spread(backbone):
            return move(fn, recurse)
        self._modules["backbone"] = None
        try:
            return move(fn, recurse)
        finally:
            self._modules["backbone"] = backbone

    def gradient_checkpointing_enable(self) -> None:
        """Recompute activations in the backward pass instead of keeping them."""
        model = self.backbone.get_base_model() if hasattr(self.backbone, "get_base_model") else self.backbone
        old_name = model.gradient_checkpointing_enable  # of older releases of transformers
        getattr(model, "activation_checkpointing_enable", old_name)({"use_reentrant": False})
        if hasattr(model, "_require_grads_hook"):
            model.disable_input_require_grads()  # frozen embeddings need no gradient for this kind of checkpointing

    def blocks(self) -> list[nn.Module]:
        """Return the layers, which are gathered one at a time where no process holds the whole network."""
        return list(layers_of(base_encoder(self.backbone)))

    def layer_groups(self) -> list[list[Parameter]]:
        """Return the parameters from the embeddings over each layer to the head."""
        base = base_encoder(self.backbone)
        groups = [list(embeddings_of(base).parameters()), *(list(layer.parameters()) for layer in layers_of(base))]
        seen = {id(parameter) for group in groups for parameter in group}
        return [*groups, [parameter for parameter in self.parameters() if id(parameter) not in seen]]

    def head_tensors(self) -> dict[str, Tensor]:
        """Return parameters and buffers outside the backbone, by name."""
        # by identity, since adapters of peft rename what is inside the backbone
        inside = {id(tensor) for tensor in [*self.backbone.parameters(), *self.backbone.buffers()]}
        named = [*self.named_parameters(), *self.named_buffers()]
        return {name: tensor for name, tensor in named if id(tensor) not in inside}

    def fill_head(self, tensors: Mapping[str, Tensor]) -> None:
        """Write what `head_tensors` gave into the network; other names or shapes are an ArtifactError."""
        needed = {name: tuple(value.shape) for name, value in self.head_tensors().items()}
        found = {name: tuple(value.shape) for name, value in tensors.items()}
        if needed != found:
            raise ArtifactError(f"the head is {found}, and this network takes {needed}; copy or train the judge again")
        self.load_state_dict(dict(tensors), strict=False)

    def without_backbone(self) -> Self:
        """Copy the network without its backbone to the CPU; the copy can `decide` and not `encode`."""
        return copy.deepcopy(self, {id(self.backbone): None}).to("cpu")


def pool(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Pool states of shape (m, L, h) under a mask of shape (m, L) into shape (m, h), in fp32."""
    if pooling == "cls":
        return states[:, 0].float()
    weights = mask.unsqueeze(-1).float()  # (m, L, 1)
    return (states.float() * weights).sum(1) / weights.sum(1).clamp(min=1)


def last_token_head(backbone: PreTrainedModel, outputs: int) -> nn.Linear:
    """Make a head over one state; it is 0 at first, so that training begins at even odds, or at the offset."""
    head = nn.Linear(backbone.config.get_text_config().hidden_size, outputs, bias=False)
    nn.init.zeros_(head.weight)
    return head


def head_in_fp32(head: nn.Module, states: Tensor) -> Tensor:
    """Apply a head to states in fp32, whatever precision the layers below have."""
    # bf16 keeps 8 bits: log odds of a head in it would come in steps of about 0.01
    with torch.autocast(states.device.type, enabled=False):
        return cast("Tensor", head(states.float()))


def classifier_logits(model: PreTrainedModel, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
    """Compute the logits of a sequence classifier in fp32, shape (m, labels)."""
    logits: Tensor = model(ids, attention_mask=mask, **type_inputs(model, types)).logits
    return logits.float()


def order_views(logits: Tensor, offset: Tensor | None) -> Tensor:
    """Turn logits of k orders of the answers into log-probabilities in each battle's own order, shape (n, k, 3).

    Args:
        logits: Shape (n, k, 3), or (n, k, 2) for a and b without ties; of each battle, first the shown order, then the
            swapped one.
        offset: Strength and closeness to start from, shape (n, 2), or None.
    """
    if logits.shape[-1] == 2:  # (n, k, 2)
        half_gap = (logits[..., 0] - logits[..., 1]) / 2
        logits = torch.stack([half_gap, -half_gap, torch.full_like(half_gap, NO_TIE)], dim=-1)
    if offset is not None:
        half, t = offset[:, 0].to(logits.dtype) / 2, offset[:, 1].to(logits.dtype)
        shown = torch.stack([half, -half, t], dim=1)  # (n, 3)
        logits = logits + torch.stack([shown, shown[:, SWAPPED]], dim=1)[:, : logits.shape[1]]
    views = log_softmax(logits, dim=-1)
    # the second view is of the swapped battle: its column a is this battle's b
    return views if views.shape[1] == 1 else torch.stack([views[:, 0], views[:, 1, SWAPPED]], dim=1)


def base_encoder(model: PreTrainedModel) -> PreTrainedModel:
    """Return the encoder inside a classifier or an adapter, or the model itself."""
    if hasattr(model, "get_base_model"):
        model = model.get_base_model()
    return model.base_model


def embeddings_of(base: PreTrainedModel) -> nn.Module:
    """Return the embeddings of an encoder or decoder."""
    return cast("nn.Module", base.embeddings if hasattr(base, "embeddings") else base.embed_tokens)


def layers_of(base: PreTrainedModel) -> Iterable[nn.Module]:
    """Return the layers of an encoder or decoder, the lowest first."""
    return cast("Iterable[nn.Module]", base.encoder.layer if hasattr(base, "encoder") else base.layers)


def freeze(model: PreTrainedModel, *, embeddings: bool, layers: int) -> None:
    """Freeze the embeddings, or the lowest layers, or both."""
    base = base_encoder(model)
    frozen = [embeddings_of(base)] if embeddings else []
    frozen += list(layers_of(base))[:layers]
    for module in frozen:
        module.requires_grad_(False)


def type_inputs(model: PreTrainedModel, types: Tensor | None) -> dict[str, Tensor]:
    """Return the keyword for token types; empty for a model that has fewer than two."""
    config = base_encoder(model).config
    known = config.type_vocab_size or 0 if hasattr(config, "type_vocab_size") else 0
    return {} if types is None or known < 2 else {"token_type_ids": types.clamp(max=known - 1)}
