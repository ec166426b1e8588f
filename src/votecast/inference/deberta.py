"""The encoder stack of DeBERTa-v2 and v3, for forecasting alone."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from votecast.inference.attention import mix
from votecast.inference.dense import activation_of, dense, states_dtype
from votecast.inference.norm import Norm


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
