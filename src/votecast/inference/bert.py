"""The encoder stack of BERT, RoBERTa, XLM-R, CamemBERT and Electra, for forecasting alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from votecast.inference.attention import Padding, Unpadded, unpadded_attention_works
from votecast.inference.dense import activation_of, dense, states_dtype
from votecast.inference.norm import Norm

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
            y = self._run(x, Padding.of(attention_mask, self.dtype))
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=y.to(hidden_states.dtype))

    def _run(self, x: Tensor, attention: Padding | Unpadded, first: Tensor | slice = slice(1)) -> Tensor:
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

    def __call__(self, queries: Tensor, x: Tensor, attention: Padding | Unpadded) -> Tensor:
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
