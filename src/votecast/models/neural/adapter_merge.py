"""Merge the adapters of a member into the weights of its base, summed in fp32 and rounded once.

`votecast merge` calls it and compares both networks.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from torch import nn
from torch.nn import Parameter
from transformers import PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

from votecast.config import Settings
from votecast.config.extras import need
from votecast.models.base import Model
from votecast.models.neural.backbone import Source
from votecast.models.neural.examples import NeuralPrepared
from votecast.models.neural.neural_model import NeuralModel
from votecast.models.neural.pair_network import PairNetwork
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
    """Hold the half precision of a module in fp32, which is exact, while it computes, and compute few bits in fp32."""
    hooks: list[Any] = []
    halves: dict[Parameter, torch.Tensor] = {}
    few: list[Any] = [module for module in network.modules() if hasattr(module, "quant_state")]
    computed = [layer.compute_dtype for layer in few]

    def widen(module: nn.Module, _: object) -> None:
        """Put fp32 in the place of the module's own halves."""
        for p in module.parameters(recurse=False):
            if p.dtype in (torch.bfloat16, torch.float16):
                halves[p], p.data = p.data, p.data.float()

    def restore(module: nn.Module, *_: object) -> None:
        """Put the halves back."""
        for p in module.parameters(recurse=False):
            p.data = halves.pop(p, p.data)

    for module in network.modules():
        hooks += [module.register_forward_pre_hook(widen), module.register_forward_hook(restore, always_call=True)]
    for layer in few:
        layer.compute_dtype = torch.float32
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer, kind in zip(few, computed, strict=True):
            layer.compute_dtype = kind


def merge_member(member: NeuralModel, settings: Settings, folder: Path) -> NeuralModel:
    """Return the member without adapters.

    Args:
        member: A member with adapters.
        settings: Its settings without adapters, and with the precision of the merged weights. Sums are taken in fp32,
            from weights of 4 or 8 bits as they stand, and rounded once; for 4 bits, in bf16 before.
        folder: New folder for the merged weights. They are never whole in memory, and read from there later.
    """
    network = member.fitted
    half = isinstance(settings, CausalSettings) and settings.weights != "fp32"
    write_merged(network, folder, torch.bfloat16 if half else torch.float32)
    found = copy.copy(member)
    found.settings, found.source, found.delta, found.base_in_memory = settings, Source(str(folder)), None, None
    made = copy.deepcopy(network, {id(network.backbone): nn.Identity()})  # the heads
    made.backbone = found.load_backbone()
    found.set_network(made)
    return found


@torch.no_grad()
def write_merged(network: PairNetwork, folder: Path, dtype: torch.dtype) -> None:
    """Write the weights of a backbone and of the adapters beside them in the layout of transformers, a file at a time.

    Args:
        network: A network with adapters.
        folder: A new folder.
        dtype: The type of what is written; sums are taken in fp32.
    """
    base = network.backbone.get_base_model()
    config = copy.deepcopy(base.config)
    for name in ("quantization_config", "_pre_quantization_dtype"):
        vars(config).pop(name, None)
    with torch.device("meta"):
        plain = type(base)._from_config(config, dtype=dtype)
    plain.config.save_pretrained(folder)
    plan = split_torch_state_dict_into_shards(plain.state_dict())
    for file, names in plan.filename_to_tensors.items():
        # inline, so that one file is gone from memory before the next is begun
        save_file({name: _merged_tensor(base, name, dtype) for name in names}, folder / file, {"format": "pt"})
    if plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        (folder / SAFE_WEIGHTS_INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n", "utf-8")


def _merged_tensor(base: PreTrainedModel, name: str, dtype: torch.dtype) -> torch.Tensor:
    """Return a tensor by its name without adapters, with the adapter added in fp32; integers keep their type."""
    path, _, key = name.rpartition(".")
    module = base.get_submodule(path)
    adapted = hasattr(module, "get_base_layer")
    inner: nn.Module = module.get_base_layer() if adapted else module
    full = need("peft.utils.integrations").dequantize_module_weight
    found: torch.Tensor = full(inner) if key == "weight" else getattr(inner, key)
    if adapted and key == "weight":
        # W + (alpha / r) B A (Hu et al. 2021, section 4.1)
        up, down = module.lora_B["default"].weight.float(), module.lora_A["default"].weight.float()
        found = found.float() + up @ down * float(module.scaling["default"])
    return (found.to(dtype) if found.is_floating_point() else found).detach().cpu().contiguous()
