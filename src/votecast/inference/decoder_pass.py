"""One causal layer in training, and the packed stack of a decoder in prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from votecast.inference.attention import Packed, attend_packed
from votecast.inference.block_attention import AttentionShape
from votecast.inference.layers import GATES, Dense, gated, rms_norm, rotated, states_dtype
from votecast.text.batching import worth_sharing
from votecast.text.sequences import Sequences, offsets_of

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
        positions: AttentionShape (T,).
    """
    kinds = getattr(base.config, "layer_types", None) or ["full_attention"] * len(base.layers)
    by_kind = base.config.model_type == "gemma3_text"
    made: dict[str, Rotation] = {}
    for kind in set(kinds) if by_kind else {""}:
        both = base.rotary_emb(x[None], positions[None], *([kind] if by_kind else []))
        cos, sin = (part[0, :, None, : part.shape[-1] // 2].contiguous() for part in both)
        made[kind] = (cos, sin)
    return [made[kind if by_kind else ""] for kind in kinds]


class CausalNorm:
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
        self.shape = AttentionShape(float(attention.scaling), _window(config, number), _softcap(config))
        self.dropout = float(attention.attention_dropout or 0.0)
        self.q, self.k, self.v = attention.q_proj, attention.k_proj, attention.v_proj
        self.mixed: Layer = attention.o_proj
        self.heads = [CausalNorm(x, from_one=from_one) for x in _children(attention, "q_norm", "k_norm")]
        names = ["input_layernorm", "post_attention_layernorm"]
        if config.model_type in ("gemma2", "gemma3_text"):
            names += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
        self.norms = [CausalNorm(x, from_one=from_one) for x in _children(layer, *names)]

    def __call__(self, x: Tensor, turn: Rotation, packed: Packed, last: Tensor | None = None) -> Tensor:
        """States of all tokens, or of those at `last` alone.

        Args:
            x: AttentionShape (T, h).
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
        self.norm = CausalNorm(base.norm, from_one=base.config.model_type.startswith("gemma"))

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
        self.all = PackedLinear(self.q, self.k, self.v, dtype=dtype) if together else None
        self.parts = [] if together else [PackedLinear(module, dtype=dtype) for module in (self.q, self.k, self.v)]
        self.mixed = PackedLinear(self.mixed, dtype=dtype)
        self.up, self.down = (
            PackedLinear(layer.mlp.up_proj, dtype=dtype),
            PackedLinear(layer.mlp.down_proj, dtype=dtype),
        )
        self.gates = PackedLinear(layer.mlp.gate_proj, dtype=dtype)
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


class PackedLinear:
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
