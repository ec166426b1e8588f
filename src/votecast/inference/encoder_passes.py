"""Predict with encoders through packed weights: BERT and models like it, DeBERTa-v2 and v3.

`fast.fast_network` replaces the layers of transformers by them. `benchmarks/encoder_passes.py` measures what they gain
in the same batches: 1.28x (BERT) and 1.42x (DeBERTa) in fp32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from votecast.inference.attention import (
    Unpadded,
    attend_padded,
    mix_values,
    padding_bias,
    split_heads,
    unpadded_attention_works,
)
from votecast.inference.layers import GELUS, Dense, frozen_norm, states_dtype

if TYPE_CHECKING:
    from transformers import BertConfig, DebertaV2Config
    from transformers.models.bert.modeling_bert import BertEncoder, BertLayer
    from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Encoder, DebertaV2Layer

BERT_TYPES = ("bert", "roberta", "xlm-roberta", "camembert", "electra")
"""Architectures whose layers are those of BERT."""

# Sizes: m sequences of L tokens; states of size h, heads of size d; Q queries, which are all L tokens or the first.


class PackedEncoderLayer:
    """The dense parts of a layer of BERT or DeBERTa, which differ in attention alone."""

    def __init__(
        self, layer: BertLayer, projections: list[nn.Linear], gelu: str, dtype: torch.dtype, first: bool
    ) -> None:
        # One wide product is faster than three, but the first tokens alone need no more than their own queries.
        self.query = Dense(projections[0], dtype=dtype) if first else None
        self.others = Dense(*projections[first:], dtype=dtype)
        self.project_out = Dense(layer.attention.output.dense, dtype=dtype)
        self.up = Dense(layer.intermediate.dense, dtype=dtype, gelu=gelu)
        self.down = Dense(layer.output.dense, dtype=dtype)
        self.norms = [frozen_norm(part.output.LayerNorm, dtype) for part in (layer.attention, layer)]

    def project(self, queries: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        """Compute queries, keys and values of size h, from the states that ask and those of all tokens."""
        if self.query is None:
            return tuple(self.others(x).chunk(3, dim=-1))
        return self.query(queries), *self.others(x).chunk(2, dim=-1)

    def finish(self, mixed: Tensor, queries: Tensor) -> Tensor:
        """Compute the new states from the mixed values and the states that asked."""
        y = self.norms[0](self.project_out.add_to(queries, mixed))
        return self.norms[1](self.down.add_to(y, self.up(y)))


class BertStack(nn.Module):
    """Computes what `BertEncoder` computes, and of the last layer only the first token where no other is read.

    Args:
        encoder: The encoder of the model.
        config: Configuration of the model.
        dtype: Precision of the dense layers.
        first_token: Return states of shape (m, 1, h) instead of (m, L, h).
    """

    def __init__(self, encoder: BertEncoder, config: BertConfig, *, dtype: torch.dtype, first_token: bool) -> None:
        super().__init__()
        self.dtype, self.first_token, self.heads = states_dtype(dtype), first_token, int(config.num_attention_heads)
        gelu, last = GELUS[config.hidden_act], len(encoder.layer) - 1
        self.layers = []
        for i, layer in enumerate(encoder.layer):
            mixer = layer.attention.self
            projections = [mixer.query, mixer.key, mixer.value]
            self.layers.append(PackedEncoderLayer(layer, projections, gelu, dtype, first_token and i == last))

    @staticmethod
    def serves(config: BertConfig) -> bool:
        """Return whether the stack computes the layers of a model with this configuration."""
        return config.hidden_act in GELUS and not (config.is_decoder or config.add_cross_attention)

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: object
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Compute states of shape (m, L, h), or (m, 1, h) for the first token alone."""
        x, scale = hidden_states.to(self.dtype), (hidden_states.shape[-1] // self.heads) ** -0.5
        if attention_mask is None or not unpadded_attention_works(x):
            bias = padding_bias(attention_mask, self.dtype)
            attend = partial(attend_padded, bias=bias, heads=self.heads, scale=scale)
            y = self._run(x, attend, first=(slice(None), slice(1)))
        else:
            row = attention_mask[:, 0, 0]
            is_token = row if row.dtype == torch.bool else row >= 0  # (m, L)
            lengths = is_token.sum(1)
            starts = functional.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)  # (m + 1,)
            attend = partial(Unpadded(starts, int(lengths.max())).attend, heads=self.heads, scale=scale)
            y = self._run(x[is_token], attend, first=starts[:-1].long())  # (tokens, h), or (m, h)
            y = y[:, None] if self.first_token else torch.zeros_like(x).index_put_((is_token,), y)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=y.to(hidden_states.dtype))

    def _run(self, x: Tensor, attend: Callable[..., Tensor], first: Tensor | tuple[slice, slice]) -> Tensor:
        """Run all layers on states of shape (m, L, h) or (tokens, h), in which `first` selects the first tokens."""
        for layer in self.layers:
            queries = x if layer.query is None else x[first].contiguous()
            x = layer.finish(attend(*layer.project(queries, x)), queries)
        return x


class DebertaStack(nn.Module):
    """Computes what `DebertaV2Encoder` computes (He et al. 2021, eq. 4), with three differences.

    The relative positions are projected once, not in every call. Their scores are laid out by distance, so that they
    are read with a stride instead of being gathered. Of the last layer only the first token is computed where no other
    is read.

    Args:
        encoder: The encoder of the model.
        config: Configuration of the model.
        dtype: Precision of the dense layers.
        first_token: Return states of shape (m, 1, h) instead of (m, L, h).
    """

    def __init__(
        self, encoder: DebertaV2Encoder, config: DebertaV2Config, *, dtype: torch.dtype, first_token: bool
    ) -> None:
        super().__init__()
        self.dtype, self.conv = states_dtype(dtype), encoder.conv
        positions, last = encoder.get_rel_embedding(), len(encoder.layer) - 1
        # The convolution after the first layer reads all tokens of it.
        first_token = first_token and (last > 0 or encoder.conv is None)
        self.layers = [
            DebertaLayer(layer, GELUS[config.hidden_act], positions, dtype, first_token and i == last)
            for i, layer in enumerate(encoder.layer)
        ]
        has_buckets = positions is not None and encoder.position_buckets > 0 and encoder.max_relative_positions > 0
        self.buckets = (encoder.position_buckets, encoder.max_relative_positions) if has_buckets else None

    @staticmethod
    def serves(config: DebertaV2Config) -> bool:
        """Return whether the stack computes the layers of a model with this configuration."""
        return config.hidden_act in GELUS

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, **_: object) -> BaseModelOutput:
        """Compute states of shape (m, L, h), or (m, 1, h) for the first token alone."""
        x, length = hidden_states.to(self.dtype), hidden_states.shape[1]
        bias = None if bool(attention_mask.all()) else padding_bias(attention_mask.bool()[:, None, None], self.dtype)
        distances = torch.arange(length - 1, -length, -1, device=x.device)  # i - j = L - 1, ..., 1 - L
        if self.buckets is not None:  # far distances share a bucket
            distances = make_log_bucket_position(distances, *self.buckets).to(torch.long)
        for i, layer in enumerate(self.layers):
            x = layer(x, bias, distances)
            if i == 0 and self.conv is not None:
                x = self.conv(hidden_states, x.to(hidden_states.dtype), attention_mask).to(self.dtype)
        x = x.to(hidden_states.dtype)
        return BaseModelOutput(last_hidden_state=x, hidden_states=(x,))


class DebertaLayer(PackedEncoderLayer):
    """One layer of DeBERTa, its weights packed and its relative positions projected."""

    def __init__(
        self, layer: DebertaV2Layer, gelu: str, positions: Tensor | None, dtype: torch.dtype, first: bool
    ) -> None:
        mixer = layer.attention.self
        super().__init__(layer, [mixer.query_proj, mixer.key_proj, mixer.value_proj], gelu, dtype, first)
        self.heads, self.first_token, kinds = int(mixer.num_attention_heads), first, mixer.pos_att_type
        # The scores are a sum of up to three products, and are scaled by the root of their number (He et al. 2021).
        self.scale = 1 / math.sqrt(mixer.attention_head_size * (1 + ("c2p" in kinds) + ("p2c" in kinds)))
        self.span, self.tables = 0, dict[str, Tensor]()
        if positions is None:
            return
        self.span, shares, modules = int(mixer.pos_ebd_size), mixer.share_att_key, {}
        if "c2p" in kinds:
            modules["c2p"] = mixer.key_proj if shares else mixer.pos_key_proj
        if "p2c" in kinds:
            modules["p2c"] = mixer.query_proj if shares else mixer.pos_query_proj
        for kind, module in modules.items():
            rows = functional.linear(positions[: 2 * self.span], module.weight, module.bias)  # (2 span, h)
            table = rows.detach().view(len(rows), self.heads, -1).transpose(0, 1)  # (heads, 2 span, d)
            self.tables[kind] = table.contiguous().to(states_dtype(dtype))

    def __call__(self, x: Tensor, padding: Tensor | None, distances: Tensor) -> Tensor:
        """Compute new states of all tokens, or of the first ones, from states of shape (m, L, h)."""
        queries = x[:, :1].contiguous() if self.first_token else x
        q, k, v = (split_heads(part, self.heads) for part in self.project(queries, x))  # (m, heads, Q or L, d)
        bias = self._position_scores(q, k, distances) if self.tables else None
        if padding is not None:
            bias = padding if bias is None else bias + padding
        return self.finish(mix_values(q, k, v, bias=bias, scale=self.scale), queries)

    def _position_scores(self, q: Tensor, k: Tensor, distances: Tensor) -> Tensor:
        """Add up the scores content to position and position to content, shape (m, heads, Q, L)."""
        rows = (distances + self.span).clamp(0, 2 * self.span - 1)  # (2 L - 1,)
        if self.first_token:
            rows = rows[k.shape[2] - 1 :]  # (L,): i = 0 has the distances 0, ..., 1 - L alone
        scores = []
        if "c2p" in self.tables:
            table = self.tables["c2p"][:, rows]  # (heads, distances, d)
            products = (q * self.scale) @ table.transpose(1, 2)  # (m, heads, Q, distances)
            scores.append(products if self.first_token else _by_distance(products))
        if "p2c" in self.tables and self.first_token:
            products = (k * self.tables["p2c"][:, rows]).sum(-1)  # (m, heads, L)
            scores.append(products.unsqueeze(2) * self.scale)
        elif "p2c" in self.tables:
            # Here the keys are the rows: key j meets the distances i - j = 1 - L, ..., L - 1 from left to right.
            table = self.tables["p2c"][:, rows.flip(0)]
            scores.append(_by_distance((k * self.scale) @ table.transpose(1, 2)).transpose(2, 3))
        return sum(scores[1:], scores[0]).contiguous()


def _by_distance(scores: Tensor) -> Tensor:
    """View scores of shape (..., L, 2 L - 1) as out[..., i, j] = scores[..., i, L - 1 - i + j]."""
    *lead, length, width = scores.shape
    scores = scores.contiguous()
    # One row down is one distance back, so that a stride of width - 1 walks along the diagonals.
    strides = [*scores.stride()[:-2], width - 1, 1]
    return scores.as_strided([*lead, length, length], strides, scores.storage_offset() + length - 1)
