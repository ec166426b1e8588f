"""Predict with a decoder through packed weights, with common prefixes of the sequences computed once.

`fast.fast_network` puts it in the place of the backbone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from votecast.inference.attention import Packed
from votecast.inference.backbones import without_adapters
from votecast.inference.causal_layer import CausalLayer, CausalNorm, has_known_layers, rotations, widen_states
from votecast.inference.layers import Dense, glu, states_dtype
from votecast.text.batching import worth_sharing
from votecast.text.sequences import Sequences, offsets_of

if TYPE_CHECKING:
    from peft.tuners.lora import Linear as LoraLinear
    from transformers import PreTrainedConfig, PreTrainedModel
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer

PACKED_BYTES = 4 << 30
"""Weights of larger models are not packed for the CPU, which would hold them twice."""


class DecoderStack(nn.Module):
    """Computes what `votecast.models.neural.last_states.last_states` computes, without a backward pass.

    Adapters of peft stay beside the weights, so that no rounding merges them.

    Args:
        backbone: A bare causal model of transformers, perhaps inside adapters of peft.
        dtype: Precision of the dense layers.
        last_only: Compute in the last layer only the last tokens.
        sharing: Compute a prefix that several sequences of a call share only once, where that pays.
    """

    def __init__(
        self, backbone: PreTrainedModel, *, dtype: torch.dtype, last_only: bool = True, sharing: bool = True
    ) -> None:
        super().__init__()
        self.base = without_adapters(backbone)
        self.dtype, self.last_only, self.sharing = states_dtype(dtype), last_only, sharing
        config, top = self.base.config, len(self.base.layers) - 1
        # members on one base share what they have not changed of it
        dense = self.base.packs.dense if hasattr(self.base, "packs") else Dense
        self.layers = [
            PackedLayer(layer, config, i, dtype, last_only and i == top, dense)
            for i, layer in enumerate(self.base.layers)
        ]
        self.norm = CausalNorm(self.base.norm, config)

    @staticmethod
    def serves(backbone: PreTrainedModel) -> bool:
        """Return whether the stack can run this backbone: known layers, plain weights, and memory for a packed copy."""
        base = without_adapters(backbone)
        if not hasattr(base, "embed_tokens") or not has_known_layers(base.config):
            return False
        parts = [part for layer in base.layers for part in (layer.self_attn, layer.mlp)]
        linears = [child for part in parts for name, child in part.named_children() if name.endswith("_proj")]
        devices = {parameter.device for parameter in base.parameters()}
        if len(devices) > 1 or not all(map(is_plain, linears)):
            return False
        size = sum(p.numel() * p.element_size() for p in base.layers.parameters())
        return bool(devices.pop().type == "cuda" or size <= PACKED_BYTES)

    def last_states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Compute the states of the last tokens after the final norm, shape (m, h), in fp32.

        Args:
            ids: Token ids, padded on the right, shape (m, L).
            mask: 1 for a token and 0 for padding, shape (m, L).
        """
        tokens, packed = self.pack(ids, mask.bool(), mask.sum(1).cpu().numpy())
        x = widen_states(self.base.embed_tokens(tokens).to(self.dtype))  # (T, h)
        turns = rotations(self.base, x, packed.positions)
        for layer, turn in zip(self.layers[:-1], turns[:-1], strict=True):
            x = layer(x, turn, packed)
        if self.last_only:
            x = self.layers[-1](x, turns[-1], packed.of_last(), packed.last)
        else:
            x = self.layers[-1](x, turns[-1], packed)[packed.last]
        return self.norm(x).float()

    def pack(self, ids: Tensor, mask: Tensor, lengths: NDArray[np.int64]) -> tuple[Tensor, Packed]:
        """Return the tokens to compute, shape (T,), and where they belong."""
        if self.sharing and len(ids) > 1:
            flat = ids[mask].cpu().numpy().astype(np.int32)
            shared = worth_sharing(Sequences(flat, offsets_of(lengths)))
            if shared is not None:
                # What follows the prefix of each sequence, then the prefix of each group from its first sequence.
                at, first = np.arange(ids.shape[1]), np.unique(shared.group, return_index=True)[1]
                follows = torch.from_numpy(at >= shared.prefix[shared.group][:, None]).to(mask.device)  # (m, L)
                leads = torch.from_numpy(at < shared.prefix[:, None]).to(mask.device)  # (groups, L)
                tokens = torch.cat([ids[mask & follows], ids[first][leads]])
                return tokens, Packed.sharing(shared, lengths, ids.device)
        return ids[mask], Packed.of(lengths.tolist(), ids.device)


class PackedLayer(CausalLayer):
    """A layer for prediction alone, its weights packed; with `last_only` the queries are the last tokens."""

    def __init__(
        self,
        layer: LlamaDecoderLayer,
        config: PreTrainedConfig,
        number: int,
        dtype: torch.dtype,
        last_only: bool,
        dense: Callable[..., Dense],
    ) -> None:
        super().__init__(layer, config, number)
        attention, mlp, self.dropout, self.in_fp16 = layer.self_attn, layer.mlp, 0.0, dtype == torch.float16
        projections = [attention.q_proj, attention.k_proj, attention.v_proj]
        # One wide product is faster than three. It copies the weights, as packing for a CPU does anyway.
        together = not last_only and all(p.device.type == "cpu" for p in layer.parameters())
        groups = [projections] if together else [[linear] for linear in projections]
        self.projections = [PackedLinear(*group, dtype=dtype, dense=dense) for group in groups]
        self.widths = [len(base_linear(linear).weight) for linear in projections]
        self.project_out, self.up, self.down, self.gate = (
            PackedLinear(linear, dtype=dtype, dense=dense)
            for linear in (attention.o_proj, mlp.up_proj, mlp.down_proj, mlp.gate_proj)
        )

    def project(self, x: Tensor, last: Tensor | None) -> tuple[Tensor, ...]:
        """Compute queries, keys and values as `CausalLayer` does."""
        if len(self.projections) == 1:
            return tuple(self.projections[0](x).split(self.widths, dim=-1))
        query, key, value = self.projections
        return query(x if last is None else x[last]), key(x), value(x)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Compute the feed-forward part as `CausalLayer` does."""
        return self.down(glu(self.gate(x), self.up(x), self.activation))


class PackedLinear:
    """Linear modules over the same input, their outputs side by side; adapters stay beside the weights."""

    def __init__(self, *linears: LoraLinear, dtype: torch.dtype, dense: Callable[..., Dense] = Dense) -> None:
        self.dense = dense(*map(base_linear, linears), dtype=dtype)
        downs, ups = zip(*(lora_factors(linear) for linear in linears), strict=True)
        # The factors of several adapters act as those of one whose up factor has them as blocks on its diagonal.
        down = torch.cat(downs).to(states_dtype(dtype)).contiguous()  # (sum of ranks, inputs)
        up = torch.block_diag(*(factor.float() for factor in ups)).to(states_dtype(dtype)).contiguous()
        self.lora = (down, up) if len(down) else None

    def __call__(self, x: Tensor) -> Tensor:
        """Map x of shape (..., inputs) to shape (..., outputs)."""
        y = self.dense(x.contiguous())
        if self.lora is None:
            return y
        down, up = self.lora
        return y + functional.linear(functional.linear(x, down), up)


def base_linear(linear: LoraLinear) -> nn.Linear:
    """Return the linear module inside LoRA, or a plain module itself."""
    return cast("nn.Linear", linear.base_layer if hasattr(linear, "lora_A") else linear)


def lora_factors(linear: LoraLinear) -> tuple[Tensor, Tensor]:
    """Return the factors of an adapter (Hu et al. 2021): down (rank, inputs), and up (outputs, rank) times its scale.

    The rank is 0 without an adapter, and where it is merged or disabled.
    """
    if not hasattr(linear, "lora_A") or linear.merged or linear.disable_adapters:
        weight = base_linear(linear).weight
        return weight.new_zeros(0, weight.shape[1]), weight.new_zeros(weight.shape[0], 0)
    name = linear.active_adapters[0]
    down, up = linear.lora_A[name].weight.detach(), linear.lora_B[name].weight.detach()
    return down, up * linear.scaling[name]


def is_plain(linear: LoraLinear) -> bool:
    """Return whether a linear module is an ordinary one, perhaps inside one ordinary LoRA adapter."""
    if type(base_linear(linear)) is not nn.Linear:  # subclasses hold quantised weights
        return False
    if not hasattr(linear, "lora_A"):
        return True
    names = linear.active_adapters
    if len(names) != 1 or names[0] not in linear.lora_A:
        return False
    # Variants such as DoRA compute something else with the factors; peft 0.15 has no such attribute.
    return linear.lora_B[names[0]].bias is None and not getattr(linear, "lora_variant", None)
