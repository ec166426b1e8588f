"""The state of the last token of each sequence, which is all that a judge reads of a causal model."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from votecast.inference.attention import Packed
from votecast.inference.decoder_pass import CausalLayer, knows, rotations
from votecast.inference.layers import is_spread


def last_states(backbone: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """What a causal backbone makes of sequences, at their last real tokens.

    The tokens of all sequences go through the layers end to end in one row, without padding; positions start anew with
    each sequence, and no token sees another sequence's. Layers below the first that learns keep nothing for a
    backward pass, and the last layer computes what is read of it alone.

    Args:
        backbone: A bare model of transformers, perhaps inside adapters of peft; no language-model head is computed. Or
            a stack that only forecasts.
        ids: Token ids, filled up on the right, shape (m, L).
        mask: 1 for a token and 0 for padding, shape (m, L).

    Returns:
        States after the final norm, shape (m, h).
    """
    if hasattr(backbone, "last_states"):
        return cast("Tensor", backbone.last_states(ids, mask))
    base = backbone.get_base_model() if hasattr(backbone, "get_base_model") else backbone
    if not takes_packed(base):
        return padded_last_states(backbone, ids, mask)
    packed = Packed.of(mask.sum(1).tolist(), ids.device)
    return cast("Tensor", base.norm(_through_layers(base, ids[mask.bool()], packed)))


def padded_last_states(backbone: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """The same, as transformers computes it: padding goes through every layer."""
    states = backbone(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    last = mask.sum(1) - 1
    return cast("Tensor", states[torch.arange(len(ids), device=states.device), last.to(states.device)])


def takes_packed(base: Any) -> bool:
    """Whether sequences can go through a bare model end to end: its layers are known, and all in this memory."""
    if is_spread(base) or any(p.is_meta or hasattr(p, "full_tensor") for p in base.parameters()):
        return False
    return knows(base.config) and hasattr(base, "layers")


def first_learning(base: Any) -> int:
    """The lowest layer that has something to learn; -1 where the embeddings learn, the number of layers if none does.

    Args:
        base: A bare causal model.
    """
    if any(p.requires_grad for p in base.embed_tokens.parameters()):
        return -1
    learns = (any(p.requires_grad for p in layer.parameters()) for layer in base.layers)
    return next((i for i, yes in enumerate(learns) if yes), len(base.layers))


def _through_layers(base: Any, tokens: Tensor, packed: Packed) -> Tensor:
    """States before the final norm, shape (m, h), of tokens of shape (T,)."""
    lowest = first_learning(base) if torch.is_grad_enabled() else 0
    with nullcontext() if lowest < 0 else torch.no_grad():
        x: Tensor = base.embed_tokens(tokens)
    turns, top = rotations(base, x, packed.positions), len(base.layers) - 1
    for i, module in enumerate(base.layers):
        layer, read = CausalLayer(module, base.config, i), packed.last.to(_device(module)) if i == top else None
        x, cos, sin = (part.to(_device(module)) for part in (x, *turns[i]))
        arguments = (x, (cos, sin), packed if read is None else packed.of_last(), read)
        with torch.no_grad() if i < lowest else nullcontext():
            if torch.is_grad_enabled() and module.training and getattr(module, "gradient_checkpointing", False):
                x = cast("Tensor", checkpoint(layer, *arguments, use_reentrant=False))
            else:
                x = layer(*arguments)
    return x.to(_device(base.norm))


def _device(module: Any) -> torch.device:
    return cast("torch.device", next(module.parameters()).device)
