"""A causal model as it forecasts: weights packed, sequences end to end, the last layer for the last tokens alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from votecast.inference.causal import CausalLayer, Norm, Rotation, knows, rotations
from votecast.inference.dense import Dense, states_dtype
from votecast.inference.packed import Packed
from votecast.inference.pieces import gated
from votecast.text.prefixes import worth_sharing
from votecast.text.sequences import Sequences, offsets_of

PACKED_BYTES = 4 << 30
"""Weights of larger models are not packed for the CPU, which would hold them twice."""


class DecoderStack(nn.Module):
    """Computes what `votecast.models.neural.last_states.last_states` computes, without a backward pass.

    Adapters of peft stay beside the weights, so that nothing is rounded into them.

    Args:
        backbone: A bare causal model of transformers, perhaps inside adapters of peft.
        dtype: What is computed with.
        last_only: Compute in the last layer only the last tokens.
        sharing: Compute a prefix that several sequences of a call share only once, where that pays.
    """

    def __init__(self, backbone: Any, *, dtype: torch.dtype, last_only: bool = True, sharing: bool = True) -> None:
        super().__init__()
        base = bare(backbone)
        self.base, self.dtype, self.last_only, self.sharing = base, states_dtype(dtype), last_only, sharing
        top = len(base.layers) - 1
        self.layers = [
            PackedLayer(layer, base.config, i, dtype=dtype, apart=last_only and i == top)
            for i, layer in enumerate(base.layers)
        ]
        self.norm = Norm(base.norm, from_one=base.config.model_type.startswith("gemma"))

    @staticmethod
    def serves(backbone: Any) -> bool:
        """Whether this stack computes what the backbone does: its layers are known, and its weights not quantised."""
        base = bare(backbone)
        if not hasattr(base, "embed_tokens") or not knows(base.config):
            return False
        return all(readable(m) for layer in base.layers for m in linear_modules(layer)) and one_device(base)

    def last_states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States of the last tokens after the final norm, shape (m, h), in fp32.

        Args:
            ids: Token ids, filled up on the right, shape (m, L).
            mask: 1 for a token and 0 for padding, shape (m, L).
        """
        lengths = mask.sum(1)
        tokens, packed = self._packed(ids, mask.bool(), lengths.cpu().numpy())
        x = self.base.embed_tokens(tokens).to(self.dtype)
        turns = rotations(self.base, x, packed.positions)
        last = packed.last
        for layer, turn in zip(self.layers[:-1], turns, strict=False):
            x = layer(x, turn, packed)
        if self.last_only:
            x = self.layers[-1](x, turns[-1], packed.of_last(), last)
        else:
            x = self.layers[-1](x, turns[-1], packed)[last]
        return self.norm(x).float()

    def _packed(self, ids: Tensor, mask: Tensor, lengths: Any) -> tuple[Tensor, Packed]:
        """The tokens that are computed, and where they belong."""
        if self.sharing and len(ids) > 1:
            flat = ids[mask].cpu().numpy().astype(np.int32)
            shared = worth_sharing(Sequences(flat, offsets_of(lengths)))
            if shared is not None:
                packed = Packed.sharing(shared, lengths, ids.device)
                own = torch.from_numpy(np.arange(ids.shape[1]) >= shared.prefix[shared.group][:, None])
                first = np.unique(shared.group, return_index=True)[1]
                heads = torch.from_numpy(np.arange(ids.shape[1]) < shared.prefix[:, None])
                return torch.cat([ids[mask & own.to(mask.device)], ids[first][heads.to(mask.device)]]), packed
        return ids[mask], Packed.of(lengths.tolist(), ids.device)


class PackedLayer(CausalLayer):
    """A layer whose weights are packed.

    Args:
        layer: The layer of transformers.
        config: The configuration of the model.
        number: Which layer it is, from 0.
        dtype: What is computed with.
        apart: Queries are fewer than keys.
    """

    def __init__(self, layer: Any, config: Any, number: int, *, dtype: torch.dtype, apart: bool) -> None:
        super().__init__(layer, config, number)
        together = not apart and fuses(layer)
        self.sizes = [width(module) for module in (self.q, self.k, self.v)]
        self.all = Linear(self.q, self.k, self.v, dtype=dtype) if together else None
        self.parts = [] if together else [Linear(module, dtype=dtype) for module in (self.q, self.k, self.v)]
        self.mixed = Linear(self.mixed, dtype=dtype)
        self.up, self.down = Linear(layer.mlp.up_proj, dtype=dtype), Linear(layer.mlp.down_proj, dtype=dtype)
        self.gates = Linear(layer.mlp.gate_proj, dtype=dtype)
        self.dropout = 0.0

    def __call__(self, x: Tensor, turn: Rotation, packed: Packed, last: Tensor | None = None) -> Tensor:
        """As `CausalLayer`."""
        return super().__call__(x, turn, packed, last)

    def projected(self, x: Tensor, last: Tensor | None) -> tuple[Tensor, ...]:
        """Queries, keys and values of normalised states."""
        if self.all is not None and last is None:
            return tuple(self.all(x).split(self.sizes, dim=-1))
        asked = x if last is None else x[last]
        return self.parts[0](asked), self.parts[1](x), self.parts[2](x)

    def fed(self, x: Tensor) -> Tensor:
        """The part behind attention, from normalised states."""
        return self.down(gated(self.gates(x), self.up(x), self.gate))


class Linear:
    """Linear modules over the same input, their outputs side by side; adapters stay beside the weights.

    Args:
        modules: `torch.nn.Linear`, perhaps inside LoRA of peft.
        dtype: What is computed with.
    """

    def __init__(self, *modules: Any, dtype: torch.dtype) -> None:
        plain = [getattr(module, "base_layer", module) for module in modules]
        weight = plain[0].weight if len(plain) == 1 else torch.cat([module.weight for module in plain])
        biases = [module.bias for module in plain]
        bias = None if biases[0] is None else torch.cat(biases)
        self.dense = Dense(weight.detach(), bias, dtype=dtype)
        adapters = [adapter(module) for module in modules]
        self.low: Tensor | None = None
        if any(one is not None for one in adapters):
            self.low, self.high = _side_by_side(plain, adapters, states_dtype(dtype))

    def __call__(self, x: Tensor) -> Tensor:
        """Shape (..., inputs) to (..., outputs)."""
        y = self.dense(x.contiguous())
        if self.low is None:
            return y
        return y + functional.linear(functional.linear(x, self.low), self.high)


def adapter(module: Any) -> tuple[Tensor, Tensor] | None:
    """The two factors of a LoRA (Hu et al. 2021) as (down, scaled up); None without one, or once it is merged."""
    if not hasattr(module, "lora_A") or module.merged or module.disable_adapters:
        return None
    name = module.active_adapters[0]
    return module.lora_A[name].weight.detach(), module.lora_B[name].weight.detach() * module.scaling[name]


def readable(module: Any) -> bool:
    """Whether a linear module is a plain one, or has one plain adapter."""
    if not hasattr(module, "lora_A"):
        return type(module) is nn.Linear
    plain = type(module.base_layer) is nn.Linear and len(module.active_adapters) == 1
    name = module.active_adapters[0] if plain else ""
    if not plain or name not in module.lora_A:
        return False
    return module.lora_B[name].bias is None and not dict(getattr(module, "lora_variant", {}) or {})


def linear_modules(layer: Any) -> list[Any]:
    """The linear modules of a layer."""
    attention, mlp = layer.self_attn, layer.mlp
    return [
        *(attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj),
        *(mlp.gate_proj, mlp.up_proj, mlp.down_proj),
    ]


def width(module: Any) -> int:
    """Outputs of a linear module."""
    return int(getattr(module, "base_layer", module).weight.shape[0])


def fuses(layer: Any) -> bool:
    """Whether several weights are laid side by side, which copies them: on a CPU, where all are packed anyway."""
    return all(p.device.type == "cpu" for p in layer.parameters())


def one_device(base: Any) -> bool:
    """Whether all weights lie on one device, and are not so many that packing them would fill the memory."""
    devices = {p.device for p in base.parameters()}
    held = sum(p.numel() * p.element_size() for p in base.layers.parameters())
    return len(devices) == 1 and (next(iter(devices)).type == "cuda" or held <= PACKED_BYTES)


def bare(backbone: Any) -> Any:
    """The model inside adapters of peft, or the model itself."""
    return backbone.get_base_model() if hasattr(backbone, "get_base_model") else backbone


def _side_by_side(plain: list[Any], adapters: list[Any], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Factors of several adapters as those of one: down (ranks, inputs), and up (outputs, ranks) in blocks."""
    ups = []
    for module, found in zip(plain, adapters, strict=True):
        outputs = module.weight.shape[0]
        ups.append(module.weight.new_zeros((outputs, 0)) if found is None else found[1])
    low = torch.cat([found[0] for found in adapters if found is not None]).to(dtype)
    high = torch.block_diag(*(up.float() for up in ups)).to(dtype)
    return low.contiguous(), high.contiguous()
