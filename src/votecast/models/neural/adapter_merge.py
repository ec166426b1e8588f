"""Merge the adapters of a member into the weights of its base, summed in fp32 and rounded once.

`votecast merge` calls it and compares both networks.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from votecast.config import Settings
from votecast.config.extras import need
from votecast.models.base import Model
from votecast.models.neural.examples import NeuralPrepared
from votecast.models.neural.neural_model import NeuralModel
from votecast.models.neural.pair_network import PairNetwork
from votecast.models.neural.quantization import convert_in_memory, load_options, set_compute_type
from votecast.models.neural.settings import CausalSettings
from votecast.types import Probabilities


def has_adapter(member: Model) -> bool:
    """Return whether a member holds adapters beside a base that its folder does not hold."""
    return isinstance(member, NeuralModel) and member.delta is not None


@torch.no_grad()
def predict_in_fp32(member: NeuralModel, prepared: NeuralPrepared) -> Probabilities:
    """Predict in fp32 without the engine, so that two networks differ by their weights alone; shape (n, 3)."""
    batch = member.examples(member.with_offset(prepared)).batch(np.arange(len(prepared)))
    network = member.fitted
    device = next(network.backbone.parameters()).device
    with _in_fp32(network.to(device)):
        logs = network(**{name: value.to(device) for name, value in batch.items()})
    found: Probabilities = logs.double().exp().mean(1).cpu().numpy()
    return found


@contextmanager
def _in_fp32(network: nn.Module) -> Iterator[None]:
    """Hold half precision in fp32, which is exact, and compute few bits in it within this context."""
    halves = [p for p in network.parameters() if p.dtype in (torch.bfloat16, torch.float16)]
    kinds = [p.dtype for p in halves]
    few: list[Any] = [module for module in network.modules() if hasattr(module, "quant_state")]
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


def merge_member(member: NeuralModel, settings: Settings) -> NeuralModel:
    """Return the member without adapters.

    Args:
        member: A member with adapters.
        settings: Its settings without adapters, and with the precision of the merged weights. Sums are taken in fp32,
            from weights of 4 or 8 bits as they stand, and rounded once; for 4 bits, in bf16 before.
    """
    network = member.fitted
    made = copy.deepcopy(network, {id(network.backbone): nn.Identity()})  # the heads; the backbone is made below
    if not isinstance(settings, CausalSettings) or settings.weights == "fp32":
        made.backbone = _plain_backbone(network, torch.float32)
    else:
        made.backbone = _plain_backbone(network, torch.bfloat16)
        held = settings.weights, settings.double_quantization, settings.compute
        made.backbone = convert_in_memory(made.backbone, load_options(*held, made.backbone.config))
        set_compute_type(settings.compute, made.backbone)
    found = copy.copy(member)
    found.settings, found.delta, found.base_in_memory = settings, None, None
    found.set_network(made)
    return found


def _plain_backbone(network: PairNetwork, dtype: torch.dtype) -> PreTrainedModel:
    """A model of transformers with the weights of a backbone and of the adapters beside them."""
    base = network.backbone.get_base_model()
    config = copy.deepcopy(base.config)
    for name in ("quantization_config", "_pre_quantization_dtype"):
        vars(config).pop(name, None)
    # integer buffers keep their type
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in _weights(base).items()}
    with torch.random.fork_rng(devices=[]):
        plain = type(base)._from_config(config, dtype=dtype)
    plain.load_state_dict(state, assign=True)
    return plain


@torch.no_grad()
def _weights(base: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Every weight by its name without adapters, in fp32 where an adapter was added or bits were few."""
    full = need("peft.utils.integrations").dequantize_module_weight
    state: dict[str, torch.Tensor] = {}
    for name, module in base.named_modules():
        if ".lora_" in name or name.endswith(".base_layer"):
            continue
        adapted = hasattr(module, "get_base_layer")
        inner = module.get_base_layer() if adapted else module
        passing = inner._non_persistent_buffers_set  # what a state dict leaves out
        own = dict(inner.named_parameters(recurse=False))
        own |= {key: value for key, value in inner.named_buffers(recurse=False) if key not in passing}
        for key, value in own.items():
            state[f"{name}.{key}" if name else key] = full(inner) if key == "weight" else value
        if adapted:
            # W + (alpha / r) B A (Hu et al. 2021, section 4.1)
            up, down = module.lora_B["default"].weight.float(), module.lora_A["default"].weight.float()
            state[f"{name}.weight"] = state[f"{name}.weight"].float() + up @ down * float(module.scaling["default"])
    return {name: value.detach().cpu() for name, value in state.items()}
