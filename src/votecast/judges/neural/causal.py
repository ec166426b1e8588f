"""The state of the last token of each sequence, which is all that a judge reads of a causal model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface

from votecast.inference.blocks import Shape
from votecast.inference.packed import Packed, attend_packed

TYPES = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text")
"""Architectures whose layers take sequences end to end; all others get them padded."""

_NAME = "votecast_packed"


def last_states(backbone: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """What a causal backbone makes of sequences, at their last real tokens.

    The tokens of all sequences go through the layers end to end in one row, without padding; positions start anew with
    each sequence, and no token sees another sequence's. Layers below the first that learns keep nothing for a
    backward pass.

    Args:
        backbone: A bare model of transformers, perhaps inside adapters of peft; no language-model head is computed.
        ids: Token ids, filled up on the right, shape (m, L).
        mask: 1 for a token and 0 for padding, shape (m, L).

    Returns:
        States after the final norm, shape (m, h).
    """
    base = backbone.get_base_model() if hasattr(backbone, "get_base_model") else backbone
    if not takes_packed(base.config):
        return padded_last_states(backbone, ids, mask)
    packed = Packed.of(mask)
    x = _through_layers(base, ids[mask.bool()][None], packed)
    return cast("Tensor", base.norm(x[:, packed.last.to(x.device)])[0])


def padded_last_states(backbone: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """The same, as transformers computes it: padding goes through every layer."""
    states = backbone(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    last = mask.sum(1) - 1
    return cast("Tensor", states[torch.arange(len(ids), device=states.device), last.to(states.device)])


def takes_packed(config: Any) -> bool:
    """Whether sequences can go through models of this configuration end to end."""
    return config.model_type in TYPES and not getattr(config, "use_bidirectional_attention", False)


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
    """States before the final norm, shape (1, T, h), of tokens of shape (1, T)."""
    lowest = first_learning(base) if torch.is_grad_enabled() else 0
    with nullcontext() if lowest < 0 else torch.no_grad():
        x = base.embed_tokens(tokens)
    positions = packed.positions[None]
    turned = _rotations(base, x, positions)
    for i, layer in enumerate(base.layers):
        options = {"position_embeddings": turned[_kind(base.config, i)], "position_ids": positions, "packed": packed}
        with torch.no_grad() if i < lowest else nullcontext():
            x = _through(layer, x, options)
    return cast("Tensor", x)


def _through(layer: nn.Module, x: Tensor, options: dict[str, Any]) -> Tensor:
    def run(x: Tensor) -> Tensor:
        with _packed_attention(layer):
            return cast("Tensor", layer(x, attention_mask=None, **options))

    if torch.is_grad_enabled() and layer.training and getattr(layer, "gradient_checkpointing", False):
        return cast("Tensor", checkpoint(run, x, use_reentrant=False))
    return run(x)


@contextmanager
def _packed_attention(layer: Any) -> Iterator[None]:
    """The layer's attention reads sequences end to end, and its own checkpointing, which forgets this, is off."""
    config = layer.self_attn.config
    before, keeps = config._attn_implementation, getattr(layer, "gradient_checkpointing", False)
    config._attn_implementation, layer.gradient_checkpointing = _NAME, False
    try:
        yield
    finally:
        config._attn_implementation, layer.gradient_checkpointing = before, keeps


def _rotations(base: Any, x: Tensor, positions: Tensor) -> dict[str, Any]:
    """Cosines and sines of the rotary positions for each kind of layer."""
    kinds = {_kind(base.config, i) for i in range(len(base.layers))}
    if base.config.model_type != "gemma3_text":
        return dict.fromkeys(kinds, base.rotary_emb(x, positions))
    return {kind: base.rotary_emb(x, positions, kind) for kind in kinds}


def _kind(config: Any, layer: int) -> str:
    kinds = getattr(config, "layer_types", None)
    return "full_attention" if kinds is None else str(kinds[layer])


def _attention(
    module: nn.Module,  # noqa: ARG001 - as transformers calls it
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    *,
    packed: Packed,
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of a layer of transformers: tensors of shape (1, heads, T, d) to one of shape (1, T, heads, d)."""
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    shape = Shape(scaling, sliding_window, softcap)
    mixed = attend_packed(q, k, v, packed, shape, dropout=dropout)
    return mixed[None], None


AttentionInterface.register(_NAME, _attention)
