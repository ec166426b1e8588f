"""A network with adapters as one without: base weights plus products, rounded once."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from votecast.config.extras import need
from votecast.models.neural.adapters import fill_adapter, rank_of
from votecast.models.neural.model import NeuralModel
from votecast.models.neural.networks import PairNetwork
from votecast.models.neural.prepared import NeuralPrepared
from votecast.types import Probabilities

QUANTIZED = ("quantization_config", "_pre_quantization_dtype")


def has_adapter(member: Any) -> bool:
    """Whether a member holds adapters beside a base that its folder does not hold."""
    return isinstance(member, NeuralModel) and member._delta is not None


def unmerged(member: NeuralModel) -> NeuralModel:
    """The same member, whose adapters stand beside the weights of its base."""
    found = copy.copy(member)
    delta = member._delta or {}
    network = member._unfitted(rank=rank_of(delta))
    fill_adapter(network, delta, place="this judge")
    found.network, found._engine = network.eval(), None
    return found


@torch.no_grad()
def forecast_in_full(member: NeuralModel, prepared: NeuralPrepared) -> Probabilities:
    """What the network forecasts in fp32 arithmetic, by none of the engine's shortcuts; shape (n, 3).

    Two networks are told apart by their weights alone then, and not by how each rounds on its way.
    """
    start = member.offset(prepared)
    batch = member._examples(prepared, start).batch(np.arange(len(prepared)))
    network = member.fitted
    device = next(network.backbone.parameters()).device
    with _in_fp32(network.to(device)):
        logs = network(**{name: value.to(device) for name, value in batch.items()})
    found: Probabilities = logs.double().exp().mean(1).cpu().numpy()
    return found


@contextmanager
def _in_fp32(network: nn.Module) -> Iterator[None]:
    """Half precision held in fp32, which loses nothing, and few bits computed in it; as before afterwards."""
    halves = [p for p in network.parameters() if p.dtype in (torch.bfloat16, torch.float16)]
    kinds = [p.dtype for p in halves]
    few: list[Any] = [
        module for module in network.modules() if hasattr(module, "quant_state") and hasattr(module, "compute_dtype")
    ]
    computed = [layer.compute_dtype for layer in few]
    for p in halves:
        p.data = p.data.float()
    for layer in few:
        layer.compute_dtype = torch.float32
    try:
        yield
    finally:
        for p, kind in zip(halves, kinds, strict=True):
            p.data = p.data.to(kind)
        for layer, kind in zip(few, computed, strict=True):
            layer.compute_dtype = kind


def merged(member: NeuralModel, settings: Any, dtype: torch.dtype) -> NeuralModel:
    """The member without adapters.

    Args:
        member: What `unmerged` gave.
        settings: Its settings without adapters.
        dtype: Of the weights. Sums are taken in fp32, from weights of 4 or 8 bits as they stand, and rounded once.
    """
    network = member.fitted
    found = copy.copy(member)
    found.settings, found._delta, found._engine = settings, None, None
    found.network = _around(network, plain_backbone(network, dtype)).eval()
    return found


def plain_backbone(network: PairNetwork, dtype: torch.dtype) -> Any:
    """A model of transformers with the weights of a backbone and of the adapters beside them.

    Args:
        network: With adapters of peft.
        dtype: Of the weights.
    """
    base: Any = network.backbone.get_base_model()
    config = copy.deepcopy(base.config)
    for name in QUANTIZED:
        if hasattr(config, name):
            delattr(config, name)
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in _weights(base).items()}
    with torch.random.fork_rng(devices=[]):
        plain = type(base)._from_config(config, dtype=dtype)
    plain.load_state_dict(state, assign=True)
    return plain


@torch.no_grad()
def _weights(base: nn.Module) -> dict[str, torch.Tensor]:
    """Every weight by the name it has without adapters, in fp32 where an adapter was added or bits were few."""
    full = need("peft.utils.integrations").dequantize_module_weight
    state: dict[str, torch.Tensor] = {}
    for name, module in base.named_modules():
        if ".lora_" in name or name.endswith(".base_layer"):
            continue
        adapted = hasattr(module, "get_base_layer")
        inner: Any = module.get_base_layer() if adapted else module
        passing = inner._non_persistent_buffers_set
        own = dict(inner.named_parameters(recurse=False))
        own |= {key: value for key, value in inner.named_buffers(recurse=False) if key not in passing}
        for key, value in own.items():
            state[f"{name}.{key}" if name else key] = full(inner) if key == "weight" else value
        if adapted:
            state[f"{name}.weight"] = state[f"{name}.weight"].float() + _product(module)
    return {name: value.detach().cpu() for name, value in state.items()}


def _product(module: Any) -> torch.Tensor:
    up: torch.Tensor = module.lora_B["default"].weight.float()
    down: torch.Tensor = module.lora_A["default"].weight.float()
    return up @ down * float(module.scaling["default"])


def _around(network: PairNetwork, backbone: Any) -> PairNetwork:
    """A copy of a network, heads and all, on another backbone."""
    inner = network.backbone
    try:
        network.backbone = nn.Identity()
        made = copy.deepcopy(network)
    finally:
        network.backbone = inner
    made.backbone = backbone
    return made
