"""Low-rank adapters through peft: added before training, saved by themselves, merged for predictions."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import Parameter
from transformers import PreTrainedModel

from votecast.config.extras import need
from votecast.errors import ArtifactError, ConfigError
from votecast.inference.fast import replace_children
from votecast.models.neural.pair_network import PairNetwork, base_encoder, layers_of
from votecast.models.neural.settings import AdapterSettings
from votecast.training.mixed_precision import silence_bitsandbytes

Tensors = dict[str, torch.Tensor]

_DOWN = ".lora_A.default.weight"


def add_adapter(network: PairNetwork, settings: AdapterSettings, *, rank: int | None = None) -> PairNetwork:
    """Freeze the backbone and add adapters beside its linear layers; the head stays trainable.

    Args:
        network: Its backbone is bare, or a classifier of transformers.
        settings: Which adapters.
        rank: Rank of the adapters where it is another than the settings'; their scale becomes alpha / rank.

    Raises:
        ConfigError: If no layer of the backbone has one of the names, it has fewer layers than the range says, or
            biases are to be trained that are not held in fp32.
    """
    silence_bitsandbytes()
    peft = need("peft")
    targets = adapted_modules(network.backbone, settings)
    inside = {id(parameter) for parameter in base_encoder(network.backbone).parameters()}
    # peft freezes all that is not an adapter, the head of a classifier too
    heads = [parameter for parameter in network.backbone.parameters() if id(parameter) not in inside]
    options = {"lora_alpha": settings.alpha, "lora_dropout": settings.dropout, "bias": settings.bias}
    config = peft.LoraConfig(r=rank or settings.rank, target_modules=targets, **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        network.backbone = peft.get_peft_model(network.backbone, config)
    for parameter in heads:
        parameter.requires_grad_(True)
    biases = (p for name, p in network.named_parameters() if p.requires_grad and name.endswith("base_layer.bias"))
    if settings.bias != "none" and any(p.dtype != torch.float32 for p in biases):
        raise ConfigError(
            f"model.adapter.bias is {settings.bias!r}, and the biases of this model are not held in fp32, in which "
            "alone they can learn small steps; set bias to none, or weights to fp32"
        )
    return network


def adapted_modules(backbone: PreTrainedModel, settings: AdapterSettings) -> list[str]:
    """Return the full names of the linear layers that get an adapter; the head of a classifier gets none.

    Targets are the ends of names, such as `q_proj` or `self_attn.q_proj`.

    Raises:
        ConfigError: If a name occurs nowhere, or the range goes beyond the layers.
    """
    base = base_encoder(backbone)
    inside = {id(module): name for name, module in backbone.named_modules()}
    names = {inside[id(module)]: name for name, module in base.named_modules() if isinstance(module, nn.Linear)}
    absent = [name for name in settings.targets if not any(_ends(known, name) for known in names.values())]
    if absent:
        known = sorted({name.rpartition(".")[2] for name in names.values()})
        raise ConfigError(
            f"model.adapter.targets is {list(settings.targets)}, and no linear layer of this {base.config.model_type} "
            f"model is called {', '.join(map(repr, absent))}; allowed are {', '.join(known)}, or nothing for all"
        )
    wanted = settings.targets or ("",)
    found = [full for full, name in names.items() if any(_ends(name, target) for target in wanted)]
    if settings.layers is None:
        return found
    first, last = settings.layers
    layers = list(layers_of(base))
    if last >= len(layers):
        raise ConfigError(
            f"model.adapter.layers is {[first, last]}, and this {base.config.model_type} model has {len(layers)} "
            f"layers, 0 to {len(layers) - 1}; name a range within"
        )
    within = {id(module) for layer in layers[first : last + 1] for module in layer.modules()}
    found = [full for full in found if id(backbone.get_submodule(full)) in within]
    if not found:
        raise ConfigError(
            f"model.adapter.targets is {list(settings.targets)} and layers {list(settings.layers)}, and none of these "
            "modules lies in these layers; name modules of the layers, such as q_proj"
        )
    return found


def merged_network(network: PairNetwork) -> PairNetwork:
    """Copy a network with its adapters added to the weights beside them, so that predictions cost no more than without.

    All other weights are shared with the network, which stays as it is.
    """
    return replace_children(network, backbone=_merged(network.backbone.get_base_model()))


@torch.no_grad()
def _merged(module: Any) -> Any:
    if hasattr(module, "get_delta_weight"):
        inner = module.get_base_layer()
        made = copy.copy(inner)
        weight = Parameter(inner.weight + module.get_delta_weight("default"), requires_grad=False)
        made.__dict__["_parameters"] = {**inner._parameters, "weight": weight}
        return made
    children = {name: _merged(child) for name, child in module.named_children()}
    changed = {name: child for name, child in children.items() if child is not module.get_submodule(name)}
    return replace_children(module, **changed) if changed else module


def trained_tensors(network: PairNetwork) -> Tensors:
    """Return what training has changed: adapters in half precision; biases, head and its buffers in full."""
    return {
        name: (tensor.detach().half() if "lora_" in name else tensor.detach().clone()).cpu().contiguous()
        for name, tensor in _trained(network).items()
    }


def fill_adapter(network: PairNetwork, tensors: Mapping[str, torch.Tensor], *, place: str) -> None:
    """Write what `trained_tensors` gave into what `add_adapter` made; `place` is where they are from, for messages.

    Raises:
        ArtifactError: If the head or a part of the adapter is missing, a tensor belongs to another network, or has
            another shape.
    """
    expected = _trained(network)
    missing = [name for name in expected if name not in tensors]
    if heads := [name for name in missing if "lora_" not in name and not name.endswith("base_layer.bias")]:
        raise ArtifactError(
            f"{place} holds an adapter without its head ({_some(heads)}), which would be random; give the folder in "
            "which both were saved, or train again"
        )
    if missing:
        raise ArtifactError(
            f"{place} lacks {len(missing)} of the {len(expected)} tensors of the adapter ({_some(missing)}), which "
            "would be random; copy the folder again"
        )
    if unknown := [name for name in tensors if name not in expected]:
        raise ArtifactError(
            f"{place} is an adapter for another base or of other settings: {len(unknown)} of its tensors have no place "
            f"in this network ({_some(unknown)}); name the base and the targets it was trained with"
        )
    for name, value in tensors.items():
        if value.shape != expected[name].shape:
            raise ArtifactError(
                f"{place} is an adapter for another base: {name} has shape {tuple(value.shape)}, and this network "
                f"takes {tuple(expected[name].shape)}; name the base it was trained with"
            )
    with torch.no_grad():
        for name, value in tensors.items():
            expected[name].copy_(value)


def rank_of(tensors: Mapping[str, torch.Tensor]) -> int | None:
    """Return the rank of the adapters among tensors by the names of `trained_tensors`; None without adapters."""
    return next((len(value) for name, value in tensors.items() if name.endswith(_DOWN)), None)


def averaged_adapters(parts: Sequence[Mapping[str, torch.Tensor]]) -> Tensors:
    """Return one adapter whose products B A are exactly the mean of those of k adapters.

    The mean of the factors is not the mean of the products, whose rank is up to k times as large. So the factors of k
    members of rank r are joined: rank k r with the same alpha scales each by alpha / (k r), a k-th of alpha / r.

    Example:
        >>> up, down = "x.lora_B.default.weight", "x.lora_A.default.weight"
        >>> parts = [{up: torch.ones(3, 1), down: torch.ones(1, 2)}, {up: torch.ones(3, 1), down: -torch.ones(1, 2)}]
        >>> joined = averaged_adapters(parts)
        >>> (joined[up] @ joined[down] / 2).tolist() == torch.zeros(3, 2).tolist()
        True
    """
    made: Tensors = {}
    for name, first in parts[0].items():
        values = [part[name] for part in parts]
        if "lora_" in name:
            made[name] = torch.cat(values, dim=0 if name.endswith(_DOWN) else 1).contiguous()
        else:
            made[name] = torch.stack([value.double() for value in values]).mean(0).to(first.dtype)
    return made


def _trained(network: PairNetwork) -> Tensors:
    """Trainable parameters, and the buffers outside the backbone."""
    # buffers of the backbone, such as rotary tables, are made by its class
    inside = {f"backbone.{name}" for name, _ in network.backbone.named_buffers()}
    kept: Tensors = {name: p for name, p in network.named_parameters() if p.requires_grad}
    return kept | {name: value for name, value in network.named_buffers() if name not in inside}


def _ends(name: str, target: str) -> bool:
    return not target or name == target or name.endswith(f".{target}")


def _some(names: Iterable[str]) -> str:
    """The first three of some names."""
    shown = [name.removeprefix("backbone.base_model.model.") for name in names]
    return ", ".join(shown[:3]) + (", ..." if len(shown) > 3 else "")
