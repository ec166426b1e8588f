"""One layer of a causal model over sequences end to end, as it is trained and as it forecasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from votecast.inference.blocks import Shape
from votecast.inference.packed import Packed, attend_packed
from votecast.inference.pieces import GATES, gated, rms_norm, rotated

TYPES = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text")
"""Architectures whose layers are known here."""

Layer = Callable[[Tensor], Tensor]
Rotation = tuple[Tensor, Tensor]


def knows(config: Any) -> bool:
    """Whether the layers of a model of this configuration are those that `CausalLayer` computes."""
    if config.model_type not in TYPES or getattr(config, "use_bidirectional_attention", False):
        return False
    return gate_of(config) in GATES


def gate_of(config: Any) -> str:
    """The name of the activation of the gate."""
    named = getattr(config, "hidden_activation", None) if config.model_type.startswith("gemma") else None
    name = str(named or config.hidden_act)
    return "silu" if name == "swish" else name


def rotations(base: Any, x: Tensor, positions: Tensor) -> list[Rotation]:
    """Cosines and sines of the rotary positions for each layer, shape (T, 1, d / 2).

    Args:
        base: A bare causal model.
        x: Says in which precision.
        positions: Shape (T,).
    """
    kinds = getattr(base.config, "layer_types", None) or ["full_attention"] * len(base.layers)
    by_kind = base.config.model_type == "gemma3_text"
    made: dict[str, Rotation] = {}
    for kind in set(kinds) if by_kind else {""}:
        both = base.rotary_emb(x[None], positions[None], *([kind] if by_kind else []))
        cos, sin = (part[0, :, None, : part.shape[-1] // 2].contiguous() for part in both)
        made[kind] = (cos, sin)
    return [made[kind if by_kind else ""] for kind in kinds]


class Norm:
    """A norm of transformers; the module itself where its weights learn.

    Args:
        module: Llama's or Gemma's.
        from_one: Whether it is Gemma's.
    """

    def __init__(self, module: Any, *, from_one: bool) -> None:
        self.module, self.from_one = module, from_one
        self.eps = float(module.eps if from_one else module.variance_epsilon)

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        weight = self.module.weight
        if weight.requires_grad and torch.is_grad_enabled():
            found: Tensor = self.module(x)
            return found
        return rms_norm(x, weight, self.eps, from_one=self.from_one)


class CausalLayer:
    """One layer; its linear modules are called as they are, adapters and quantised weights included.

    Args:
        layer: The layer of transformers.
        config: The configuration of the model.
        number: Which layer it is, from 0.
    """

    def __init__(self, layer: Any, config: Any, number: int) -> None:
        attention, from_one = layer.self_attn, config.model_type.startswith("gemma")
        self.layer, self.gate = layer, gate_of(config)
        self.size = int(attention.head_dim)
        self.shape = Shape(float(attention.scaling), _window(config, number), _softcap(config))
        self.dropout = float(attention.attention_dropout or 0.0)
        self.q, self.k, self.v = attention.q_proj, attention.k_proj, attention.v_proj
        self.mixed: Layer = attention.o_proj
        self.heads = [Norm(x, from_one=from_one) for x in _children(attention, "q_norm", "k_norm")]
        names = ["input_layernorm", "post_attention_layernorm"]
        if config.model_type in ("gemma2", "gemma3_text"):
            names += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
        self.norms = [Norm(x, from_one=from_one) for x in _children(layer, *names)]

    def __call__(self, x: Tensor, turn: Rotation, packed: Packed, last: Tensor | None = None) -> Tensor:
        """States of all tokens, or of those at `last` alone.

        Args:
            x: Shape (T, h).
            turn: Of the T tokens.
            packed: Where the sequences are, and what asks: all tokens, or those at `last`.
            last: The tokens that ask, shape (count,); None for all.
        """
        y, kept = self.attend(self.norms[0](x), turn, packed, last), x if last is None else x[last]
        if len(self.norms) == 2:
            y = kept + y
            return y + self.fed(self.norms[1](y))
        y = kept + self.norms[1](y)
        return y + self.norms[3](self.fed(self.norms[2](y)))

    def attend(self, x: Tensor, turn: Rotation, packed: Packed, last: Tensor | None) -> Tensor:
        """The attention part, from normalised states."""
        parts = self.projected(x, last)
        q, k, v = (part.unflatten(-1, (-1, self.size)) for part in parts)
        if self.heads:
            q, k = self.heads[0](q), self.heads[1](k)
        cos, sin = turn
        q = rotated(q, cos, sin) if last is None else rotated(q, cos[last], sin[last])
        dropout = self.dropout if self.layer.training else 0.0
        return self.mixed(attend_packed(q, rotated(k, cos, sin), v, packed, self.shape, dropout=dropout).flatten(1))

    def projected(self, x: Tensor, last: Tensor | None) -> tuple[Tensor, ...]:
        """Queries, keys and values of normalised states."""
        return self.q(x if last is None else x[last]), self.k(x), self.v(x)

    def fed(self, x: Tensor) -> Tensor:
        """The part behind attention, from normalised states."""
        mlp = self.layer.mlp
        found: Tensor = mlp.down_proj(gated(mlp.gate_proj(x), mlp.up_proj(x), self.gate))
        return found


def _window(config: Any, number: int) -> int | None:
    if config.model_type == "llama":
        return None
    kinds = getattr(config, "layer_types", None)
    if config.model_type != "mistral" and (kinds is None or kinds[number] != "sliding_attention"):
        return None
    return getattr(config, "sliding_window", None)


def _softcap(config: Any) -> float | None:
    return getattr(config, "attn_logit_softcapping", None) if config.model_type.startswith("gemma2") else None


def _children(module: nn.Module, *names: str) -> list[nn.Module]:
    return [getattr(module, name) for name in names if isinstance(getattr(module, name, None), nn.Module)]
