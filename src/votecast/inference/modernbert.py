"""The layers of ModernBERT, for forecasting alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from votecast.inference.attention import Padding
from votecast.inference.dense import Dense, activation_of, dense, states_dtype
from votecast.inference.norm import Norm


def modernbert_layers(layers: Any, config: Any, *, dtype: torch.dtype, first_token: bool) -> nn.ModuleList:
    """Layers that compute what `ModernBertEncoderLayer` computes, the last of them for the first token alone if asked.

    Args:
        layers: The layers of transformers.
        config: The configuration of the model.
        dtype: What is computed with.
        first_token: The last layer returns states of shape (m, 1, h) in place of (m, L, h).
    """
    last = len(layers) - 1
    return nn.ModuleList(
        ModernBertLayer(layer, config, dtype, first_token=first_token and i == last, last=i == last)
        for i, layer in enumerate(layers)
    )


class ModernBertLayer(nn.Module):
    """One layer, its weights packed.

    Args:
        layer: The layer of transformers.
        config: The configuration of the model.
        dtype: What is computed with.
        first_token: Compute the first token alone.
        last: Give the states back in fp32.
    """

    def __init__(self, layer: Any, config: Any, dtype: torch.dtype, *, first_token: bool, last: bool) -> None:
        super().__init__()
        self.attention_type, self.dtype = layer.attention_type, states_dtype(dtype)
        self.first_token, self.last = first_token, last
        self.heads, self.head_size = int(config.num_attention_heads), int(layer.attn.head_dim)
        weight, bias = layer.attn.Wqkv.weight, layer.attn.Wqkv.bias
        cut = len(weight) // 3
        parts = [slice(0, cut), slice(cut, None)] if first_token else [slice(0, None)]
        self.projections = [Dense(weight[p], None if bias is None else bias[p], dtype=dtype) for p in parts]
        self.mixed, self.down = dense(layer.attn.Wo, dtype=dtype), dense(layer.mlp.Wo, dtype=dtype)
        up, gate = (slice(None, config.intermediate_size), slice(config.intermediate_size, None))
        wi, bi = layer.mlp.Wi.weight, layer.mlp.Wi.bias
        act = activation_of(config.hidden_activation) or "none"
        self.up = Dense(wi[up], None if bi is None else bi[up], dtype=dtype, activation=act)
        self.gate = Dense(wi[gate], None if bi is None else bi[gate], dtype=dtype)
        self.attn_norm = None if isinstance(layer.attn_norm, nn.Identity) else Norm(layer.attn_norm, dtype)
        self.mlp_norm = Norm(layer.mlp_norm, dtype)

    @staticmethod
    def serves(config: Any) -> bool:
        """Whether a model of this configuration is one of those that this layer computes."""
        return activation_of(config.hidden_activation) is not None

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        **_: Any,
    ) -> Tensor:
        """States of shape (m, L, h), or (m, 1, h) for the first token alone."""
        assert position_embeddings is not None
        x = hidden_states.to(self.dtype)
        normed = x if self.attn_norm is None else self.attn_norm(x)
        q, k, v = self._projected(normed)
        cos, sin = (part[:, :, None].to(self.dtype) for part in position_embeddings)
        q, k = _rotated(q, cos[:, : q.shape[1]], sin[:, : q.shape[1]]), _rotated(k, cos, sin)
        attention = Padding.of(attention_mask, self.dtype, queries=q.shape[1])
        residual = x[:, : q.shape[1]].contiguous()
        mixed = attention.attend(q.flatten(2), k.flatten(2), v.flatten(2), self.heads, self.head_size**-0.5)
        y = self.mixed.plus(mixed, residual)
        normed = self.mlp_norm(y)
        y = self.down.plus(self.up(normed) * self.gate(normed), y)
        return y.to(torch.float32) if self.last else y

    def _projected(self, x: Tensor) -> list[Tensor]:
        if self.first_token:
            flat = [self.projections[0](x[:, :1].contiguous()), *self.projections[1](x).chunk(2, dim=-1)]
        else:
            flat = list(self.projections[0](x).chunk(3, dim=-1))
        return [part.view(*part.shape[:-1], self.heads, self.head_size) for part in flat]  # (m, Q or L, heads, d)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021) on x of shape (m, L, heads, d), with cos and sin of shape (1, L, 1, d)."""
    one, two = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-two, one), dim=-1) * sin
