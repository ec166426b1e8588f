"""Encoder stacks for prediction alone: BERT and its kin, ModernBERT, DeBERTa-v2 and v3.

`fast_network` swaps them in where their answers agree.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from votecast.inference.attention import PaddedTokens, Unpadded, mix, unpadded_attention_works
from votecast.inference.layers import Dense, Norm, activation_of, dense, states_dtype

TYPES = ("bert", "roberta", "xlm-roberta", "camembert", "electra")


class BertStack(nn.Module):
    """Computes what `BertEncoder` computes, and of the last layer only the first token where that is all that is read.

    Args:
        encoder: The encoder of transformers.
        config: Its configuration.
        dtype: What is computed with.
        first_token: Return states of shape (m, 1, h) in place of (m, L, h).
    """

    def __init__(self, encoder: Any, config: Any, *, dtype: torch.dtype, first_token: bool) -> None:
        super().__init__()
        self.dtype, self.first_token = states_dtype(dtype), first_token
        *lower, top = encoder.layer
        self.layers = [BertLayer(layer, config, dtype) for layer in lower]
        self.top = BertLayer(top, config, dtype, apart=first_token)

    @staticmethod
    def serves(config: Any) -> bool:
        """Whether a model of this configuration is one of those that this stack computes."""
        plain = not (config.is_decoder or config.add_cross_attention) and activation_of(config.hidden_act) is not None
        return plain and getattr(config, "position_embedding_type", "absolute") in ("absolute", None)

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """States of shape (m, L, h), or (m, 1, h) for the first token alone."""
        x = hidden_states.to(self.dtype)
        tokens = None if attention_mask is None else _tokens(attention_mask)
        if tokens is not None and unpadded_attention_works(x):
            y = self._unpadded(x, tokens)
        else:
            y = self._run(x, PaddedTokens.of(attention_mask, self.dtype))
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=y.to(hidden_states.dtype))

    def _run(self, x: Tensor, attention: PaddedTokens | Unpadded, first: Tensor | slice = slice(1)) -> Tensor:
        for layer in self.layers:
            x = layer(x, x, attention)
        if not self.first_token:
            return self.top(x, x, attention)
        return self.top(x[first] if isinstance(first, Tensor) else x[:, first], x, attention)

    def _unpadded(self, x: Tensor, tokens: Tensor) -> Tensor:
        attention = Unpadded.of(tokens)
        y = self._run(x[tokens], attention, attention.starts[:-1].long())
        if self.first_token:
            return y.unsqueeze(1)
        out = torch.zeros_like(x)
        out[tokens] = y
        return out


class BertLayer:
    """One layer, its weights packed.

    Args:
        layer: The layer of transformers.
        config: The configuration of the model.
        dtype: What is computed with.
        apart: Queries are fewer than keys.
    """

    def __init__(self, layer: Any, config: Any, dtype: torch.dtype, *, apart: bool = False) -> None:
        mixer, self.heads = layer.attention.self, int(config.num_attention_heads)
        self.query = dense(mixer.query, dtype=dtype) if apart else None
        self.rest = dense(*([] if apart else [mixer.query]), mixer.key, mixer.value, dtype=dtype)
        self.mixed = dense(layer.attention.output.dense, dtype=dtype)
        self.up = dense(layer.intermediate.dense, dtype=dtype, activation=activation_of(config.hidden_act) or "none")
        self.down = dense(layer.output.dense, dtype=dtype)
        self.norms = [Norm(layer.attention.output.LayerNorm, dtype), Norm(layer.output.LayerNorm, dtype)]

    def __call__(self, queries: Tensor, x: Tensor, attention: PaddedTokens | Unpadded) -> Tensor:
        """The states of the queries, which are all of x or its first tokens."""
        if self.query is None:
            q, k, v = self.rest(x).chunk(3, dim=-1)
        else:
            queries = queries.contiguous()
            q, (k, v) = self.query(queries), self.rest(x).chunk(2, dim=-1)
        scale = (q.shape[-1] // self.heads) ** -0.5
        y = self.norms[0](self.mixed.plus(attention.attend(q, k, v, self.heads, scale), queries))
        return self.norms[1](self.down.plus(self.up(y), y))


def _tokens(mask: Tensor) -> Tensor:
    """Which positions hold tokens, shape (m, L), from the mask of a layer."""
    row = mask[:, 0, 0]
    return row if row.dtype == torch.bool else row >= 0


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
        attention = PaddedTokens.of(attention_mask, self.dtype, queries=q.shape[1])
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


class DebertaStack(nn.Module):
    """Computes what `DebertaV2Encoder` computes (He et al. 2021, eq. 4), with three differences.

    The relative positions are projected once for each layer, not once for each call. Their scores are laid out by
    distance, so that they are read with a stride in place of being gathered. Of the last layer only the first token is
    computed where that is all that is read.

    Args:
        encoder: The encoder of transformers.
        config: Its configuration.
        dtype: What is computed with.
        first_token: Return states of shape (m, 1, h) in place of (m, L, h).
    """

    def __init__(self, encoder: Any, config: Any, *, dtype: torch.dtype, first_token: bool) -> None:
        super().__init__()
        self.dtype = states_dtype(dtype)
        embedded = encoder.get_rel_embedding()
        last = len(encoder.layer) - 1
        reduced = first_token and (last > 0 or encoder.conv is None)
        self.layers = [
            DebertaLayer(layer, config, embedded, dtype, first_token=reduced and i == last)
            for i, layer in enumerate(encoder.layer)
        ]
        self.conv = encoder.conv
        self.buckets = (
            (int(encoder.position_buckets), int(encoder.max_relative_positions)) if embedded is not None else None
        )

    @staticmethod
    def serves(config: Any) -> bool:
        """Whether a model of this configuration is one of those that this stack computes."""
        return activation_of(config.hidden_act) is not None

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, **_: Any) -> BaseModelOutput:
        """States of shape (m, L, h), or (m, 1, h) for the first token alone."""
        x = hidden_states.to(self.dtype)
        padding = None
        if not bool(attention_mask.all()):
            padding = torch.zeros(attention_mask.shape, dtype=self.dtype, device=x.device)
            padding = padding.masked_fill_(~attention_mask.bool(), torch.finfo(self.dtype).min)[:, None, None]
        distances = None if self.buckets is None else _distances(x.shape[1], *self.buckets, x.device)
        for i, layer in enumerate(self.layers):
            x = layer(x, padding, distances)
            if i == 0 and self.conv is not None:
                x = self.conv(hidden_states, x.to(hidden_states.dtype), attention_mask).to(self.dtype)
        x = x.to(hidden_states.dtype)
        return BaseModelOutput(last_hidden_state=x, hidden_states=(x,))


class DebertaLayer:
    """One layer, its weights packed and its relative positions projected.

    Args:
        layer: The layer of transformers.
        config: The configuration of the model.
        embedded: Embeddings of relative positions, shape (2 span, h); None where the model has none.
        dtype: What is computed with.
        first_token: Compute the first token alone.
    """

    def __init__(
        self, layer: Any, config: Any, embedded: Tensor | None, dtype: torch.dtype, *, first_token: bool
    ) -> None:
        mixer = layer.attention.self
        self.heads, self.first_token = int(mixer.num_attention_heads), first_token
        self.query = dense(mixer.query_proj, dtype=dtype) if first_token else None
        self.rest = dense(*([] if first_token else [mixer.query_proj]), mixer.key_proj, mixer.value_proj, dtype=dtype)
        self.mixed = dense(layer.attention.output.dense, dtype=dtype)
        self.up = dense(layer.intermediate.dense, dtype=dtype, activation=activation_of(config.hidden_act) or "none")
        self.down = dense(layer.output.dense, dtype=dtype)
        self.norms = [Norm(layer.attention.output.LayerNorm, dtype), Norm(layer.output.LayerNorm, dtype)]
        kinds = mixer.pos_att_type
        self.scale = 1 / math.sqrt(mixer.attention_head_size * (1 + ("c2p" in kinds) + ("p2c" in kinds)))
        self.span = int(mixer.pos_ebd_size) if embedded is not None else 0
        self.pos_key = self.pos_query = None
        if embedded is not None:
            key, query = (mixer.key_proj, mixer.query_proj) if mixer.share_att_key else (None, None)
            if "c2p" in kinds:
                self.pos_key = self._projected(key or mixer.pos_key_proj, embedded, dtype)
            if "p2c" in kinds:
                self.pos_query = self._projected(query or mixer.pos_query_proj, embedded, dtype)

    def __call__(self, x: Tensor, padding: Tensor | None, distances: Tensor | None) -> Tensor:
        """The states of all tokens, or of the first, from states of shape (m, L, h)."""
        if self.query is None:
            queries, (q, k, v) = x, self._split(self.rest(x), 3)
        else:
            queries = x[:, :1].contiguous()
            (q,), (k, v) = self._split(self.query(queries), 1), self._split(self.rest(x), 2)
        bias = None if distances is None else self._position_scores(q, k, distances)
        if padding is not None:
            bias = padding.expand(-1, -1, q.shape[2], -1) if bias is None else bias + padding
        mixed = mix(q, k, v, bias, self.scale).transpose(1, 2).flatten(2)
        y = self.norms[0](self.mixed.plus(mixed, queries))
        return self.norms[1](self.down.plus(self.up(y), y))

    def _position_scores(self, q: Tensor, k: Tensor, distances: Tensor) -> Tensor | None:
        """Content to position and position to content, shape (m, heads, Q, L)."""
        length = k.shape[2]
        where = (distances + self.span).clamp(0, 2 * self.span - 1)  # of i - j = L - 1, ..., 1 - L
        total = None
        if self.pos_key is not None:
            table = self.pos_key[:, where[length - 1 :] if self.first_token else where]
            scores = (q * self.scale) @ table.transpose(1, 2)
            total = scores if self.first_token else _by_distance(scores)
        if self.pos_query is not None:
            if self.first_token:
                found = (k * self.pos_query[:, where[length - 1 :]]).sum(-1).unsqueeze(2) * self.scale
            else:
                table = self.pos_query[:, where.flip(0)]  # row j of the keys meets i - j = 1 - L, ..., L - 1
                found = _by_distance((k * self.scale) @ table.transpose(1, 2)).transpose(2, 3)
            total = found if total is None else total + found
        return total if total is None else total.contiguous()

    def _split(self, x: Tensor, parts: int) -> list[Tensor]:
        return [part.view(*part.shape[:-1], self.heads, -1).transpose(1, 2) for part in x.chunk(parts, dim=-1)]

    def _projected(self, module: Any, embedded: Tensor, dtype: torch.dtype) -> Tensor:
        rows = linear(embedded[: 2 * self.span].detach(), module.weight.detach(), module.bias.detach())
        return (
            rows.view(len(rows), self.heads, -1).transpose(0, 1).contiguous().to(states_dtype(dtype))
        )  # (heads, 2 span, d)


def _distances(length: int, buckets: int, most: int, device: torch.device) -> Tensor:
    """Bucketed distances i - j = L - 1, ..., 1 - L, as `build_relative_position` makes them."""
    distances = torch.arange(length - 1, -length, -1, device=device)
    if buckets > 0 and most > 0:
        return cast("Tensor", make_log_bucket_position(distances, buckets, most)).to(torch.long)
    return distances


def _by_distance(scores: Tensor) -> Tensor:
    """From scores of shape (..., L, 2 L - 1) the view out[..., i, j] = scores[..., i, L - 1 - i + j]."""
    *lead, length, width = scores.shape
    scores = scores.contiguous()
    strides = [*scores.stride()[:-2], width - 1, 1]
    return scores.as_strided([*lead, length, length], strides, scores.storage_offset() + length - 1)
