"""Compute one layer of a decoder over packed sequences, with gradients and with the model's own linear modules.

Training calls it layer by layer; the decoder pass derives its packed layers from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from votecast.inference.attention import Packed, attend_packed
from votecast.inference.block_attention import AttentionShape
from votecast.inference.layers import GATES, glu, rms_norm, rotate

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRMSNorm

TYPES = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text")
"""Architectures whose layers `CausalLayer` computes."""

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines of the rotary positions, each of shape (T, 1, d / 2)."""


def has_known_layers(config: PreTrainedConfig) -> bool:
    """Return whether `CausalLayer` computes the layers of a model with this configuration."""
    if config.model_type not in TYPES or gate_activation(config) not in GATES:
        return False
    return not (_is_gemma(config) and config.use_bidirectional_attention)


def gate_activation(config: PreTrainedConfig) -> str:
    """Return the name of the activation in the feed-forward part."""
    return str(config.hidden_activation if _is_gemma(config) else config.hidden_act)


def _is_gemma(config: PreTrainedConfig) -> bool:
    return config.model_type in ("gemma2", "gemma3_text")


def rotations(base: PreTrainedModel, x: Tensor, positions: Tensor) -> list[Rotation]:
    """Compute the rotary positions for each layer.

    Args:
        base: A bare causal model.
        x: States that give the precision.
        positions: Place of each token in its sequence, shape (T,).
    """

    def compute(*kind: str) -> Rotation:
        """Compute cosines and sines for one kind of layer."""
        cos, sin = base.rotary_emb(x[None], positions[None], *kind)  # (1, T, d), its halves are equal
        half = cos.shape[-1] // 2
        return cos[0, :, None, :half].contiguous(), sin[0, :, None, :half].contiguous()

    if base.config.model_type != "gemma3_text":
        return [compute()] * len(base.layers)
    kinds = base.config.layer_types  # Gemma 3 rotates in its windowed layers by other frequencies
    by_kind = {kind: compute(kind) for kind in set(kinds)}
    return [by_kind[kind] for kind in kinds]


def widen_states(x: Tensor) -> Tensor:
    """Hold states of fp16 in fp32: fp16 ends at 65,504, which the sums over the layers of Gemma-2 exceed.

    peft's `prepare_model_for_kbit_training` reaches the same by casting norms and embeddings to fp32.
    """
    return x.float() if x.dtype == torch.float16 else x


def is_fp16(linear: nn.Module) -> bool:
    """Return whether a linear module, perhaps inside an adapter of peft, computes in fp16 whatever it is given."""
    base = cast("nn.Module", linear.base_layer if hasattr(linear, "lora_A") else linear)
    return bool((base.compute_dtype if hasattr(base, "quant_state") else base.weight.dtype) == torch.float16)


class CausalNorm:
    """An RMS norm that keeps little for the backward pass where its own weight does not learn.

    Args:
        module: The norm of the model.
        config: Configuration of the model.
    """

    def __init__(self, module: LlamaRMSNorm, config: PreTrainedConfig) -> None:
        self.module, self.from_one = module, _is_gemma(config)
        self.eps = float(module.eps if self.from_one else module.variance_epsilon)

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        if self.module.weight.requires_grad and torch.is_grad_enabled():
            return cast("Tensor", self.module(x))
        return rms_norm(x, self.module.weight, self.eps, from_one=self.from_one)


class CausalLayer:
    """One layer; its linear modules are called as they are, with adapters and quantised weights.

    Args:
        layer: The layer of the model, of any of the `TYPES`.
        config: Configuration of the model.
        number: Number of the layer, from 0.
    """

    def __init__(self, layer: LlamaDecoderLayer, config: PreTrainedConfig, number: int) -> None:
        attention, kind = layer.self_attn, config.model_type
        window = None
        if kind == "mistral" or (kind != "llama" and config.layer_types[number] == "sliding_attention"):
            window = config.sliding_window
        softcap = config.attn_logit_softcapping if kind == "gemma2" else None
        self.module, self.activation = layer, gate_activation(config)
        self.shape = AttentionShape(float(attention.scaling), window, softcap)
        self.head_size, self.dropout = int(attention.head_dim), float(attention.attention_dropout or 0.0)
        self.project_out: Callable[[Tensor], Tensor] = attention.o_proj
        children = dict(attention.named_children())  # Qwen 3 and Gemma 3 normalise each head
        self.head_norms = [CausalNorm(children[name], config) for name in ("q_norm", "k_norm") if name in children]
        norms = [layer.input_layernorm, layer.post_attention_layernorm]
        if _is_gemma(config):
            norms += [layer.pre_feedforward_layernorm, layer.post_feedforward_layernorm]
        self.norms = [CausalNorm(norm, config) for norm in norms]
        self.in_fp16 = is_fp16(attention.q_proj)

    def __call__(self, x: Tensor, rotation: Rotation, packed: Packed, last: Tensor | None = None) -> Tensor:
        """Compute the states of all tokens, or of those at `last` alone.

        Args:
            x: Shape (T, h).
            rotation: Of the T tokens.
            packed: Where the sequences are; its queries are all tokens, or those at `last`.
            last: Places of the tokens to compute, shape (count,); None for all.
        """
        y, residual = self.attend(self.normalise(0, x), rotation, packed, last), x if last is None else x[last]
        if len(self.norms) == 2:
            y = residual + y
            return y + self.feed_forward(self.normalise(1, y))
        # Gemma normalises the output of both parts too, before it is added.
        y = residual + self.norms[1](widen_states(y))
        return y + self.norms[3](widen_states(self.feed_forward(self.normalise(2, y))))

    def normalise(self, norm: int, x: Tensor) -> Tensor:
        """Normalise states for the dense layers that follow, in fp16 where these compute in it."""
        y = self.norms[norm](x)
        return y.half() if self.in_fp16 else y

    def attend(self, x: Tensor, rotation: Rotation, packed: Packed, last: Tensor | None) -> Tensor:
        """Compute the attention part from normalised states of shape (T, h)."""
        q, k, v = (part.unflatten(-1, (-1, self.head_size)) for part in self.project(x, last))  # (T, heads, d)
        if self.head_norms:
            q, k = self.head_norms[0](q), self.head_norms[1](k)
        cos, sin = rotation
        q = rotate(q, cos, sin) if last is None else rotate(q, cos[last], sin[last])
        dropout = self.dropout if self.module.training else 0.0
        mixed = attend_packed(q, rotate(k, cos, sin), v, packed, self.shape, dropout=dropout)
        return self.project_out(mixed.flatten(1))

    def project(self, x: Tensor, last: Tensor | None) -> tuple[Tensor, ...]:
        """Compute queries of the tokens at `last`, and keys and values of all tokens."""
        attention = self.module.self_attn
        return attention.q_proj(x if last is None else x[last]), attention.k_proj(x), attention.v_proj(x)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Compute the feed-forward part from normalised states."""
        mlp = self.module.mlp
        return cast("Tensor", mlp.down_proj(glu(mlp.gate_proj(x), mlp.up_proj(x), self.activation)))
