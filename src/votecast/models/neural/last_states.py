"""The state of the last token of each sequence, which is all that a judge reads of a causal model."""

from __future__ import annotations

from contextlib import nullcontext
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from votecast.inference.attention import Packed
from votecast.inference.backbones import is_spread
from votecast.inference.causal_layer import CausalLayer, has_known_layers, rotations, widen_states


def last_states(backbone: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
    """Compute the states of a causal backbone at the last token of each sequence.

    The tokens of all sequences go through the layers end to end in one row, without padding; positions begin again with
    each sequence, and no token attends to another sequence's. Layers below the first that learns keep nothing for a
    backward pass, and the last layer computes only the states that are read.

    Args:
        backbone: A bare model of transformers, perhaps with adapters of peft; no language-model head is computed. Or a
            model for inference that has this method itself.
        ids: Token ids, padded on the right, shape (m, L).
        mask: 1 for a token and 0 for padding, shape (m, L).

    Returns:
        States after the final norm, shape (m, h).
    """
    if hasattr(backbone, "last_states"):
        return cast("Tensor", backbone.last_states(ids, mask))
    base = backbone.get_base_model() if hasattr(backbone, "get_base_model") else backbone
    if not can_pack(base):
        return padded_last_states(backbone, ids, mask)
    packed = Packed.of(mask.sum(1).tolist(), ids.device)
    # batches of battles have lengths from 50 to 1 000 tokens: padding would be most of the work
    tokens = ids[mask.bool()]  # (T,), all sequences end to end
    lowest = first_trained_layer(base) if torch.is_grad_enabled() else 0
    with nullcontext() if lowest < 0 else torch.no_grad():
        x: Tensor = widen_states(base.embed_tokens(tokens))  # (T, h)
    # with device_map, layers live on several devices, and the states follow them
    turns, top = rotations(base, x, packed.positions), len(base.layers) - 1
    for i, module in enumerate(base.layers):
        layer, read = CausalLayer(module, base.config, i), packed.last.to(_device(module)) if i == top else None
        x, cos, sin = (part.to(_device(module)) for part in (x, *turns[i]))
        arguments = (x, (cos, sin), packed if read is None else packed.of_last(), read)
        with torch.no_grad() if i < lowest else nullcontext():
            recompute = isinstance(module, GradientCheckpointingLayer) and module.gradient_checkpointing
            if torch.is_grad_enabled() and module.training and recompute:
                x = cast("Tensor", checkpoint(layer, *arguments, use_reentrant=False))
            else:
                x = layer(*arguments)
    return cast("Tensor", base.norm(x.to(_device(base.norm))))  # (m, h)


def padded_last_states(backbone: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
    """Compute the same as transformers does: padding goes through every layer."""
    given: dict[str, Tensor] = {"input_ids": ids}
    if hasattr(backbone, "quantization_method"):  # layers of few bits take fp32 and compute in their own precision
        given = {"inputs_embeds": widen_states(backbone.get_input_embeddings()(ids))}
    states = backbone(**given, attention_mask=mask, use_cache=False).last_hidden_state  # (m, L, h)
    last = mask.sum(1) - 1
    return cast("Tensor", states[torch.arange(len(ids), device=states.device), last.to(states.device)])


def can_pack(base: PreTrainedModel) -> bool:
    """Return whether sequences can go through a bare model end to end: its layers are known, and all in this memory."""
    if is_spread(base) or any(p.is_meta or hasattr(p, "full_tensor") for p in base.parameters()):
        return False
    return has_known_layers(base.config) and hasattr(base, "layers")


def first_trained_layer(base: PreTrainedModel) -> int:
    """Return the lowest layer that learns; -1 where the embeddings learn, the number of layers if none does."""
    if any(p.requires_grad for p in base.embed_tokens.parameters()):
        return -1
    learns = (any(p.requires_grad for p in layer.parameters()) for layer in base.layers)
    return next((i for i, yes in enumerate(learns) if yes), len(base.layers))


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
