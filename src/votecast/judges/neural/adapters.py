"""Low-rank adapters through peft: added before training, kept by themselves, merged for forecasts."""

from __future__ import annotations

import warnings

import torch

from votecast.errors import ConfigError
from votecast.extras import need
from votecast.judges.neural.networks import PairNetwork
from votecast.judges.neural.settings import AdapterSettings


def add_adapter(network: PairNetwork, settings: AdapterSettings) -> PairNetwork:
    """Freeze the backbone and put adapters beside its linear layers; the head goes on learning.

    Raises:
        ConfigError: If no layer of the backbone has one of the names.
    """
    peft = need("peft")
    targets = list(settings.targets) or "all-linear"
    config = peft.LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=targets, bias="none"
    )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            network.backbone = peft.get_peft_model(network.backbone, config)
    except ValueError as error:
        raise ConfigError(f"model.adapter.targets is {targets}: {str(error).splitlines()[0][:200]}") from error
    return network


def merge_adapter(network: PairNetwork) -> PairNetwork:
    """Add the adapters to the weights they stand beside; forecasts no longer pay for them."""
    network.backbone = network.backbone.merge_and_unload()
    return network


def trained_tensors(network: PairNetwork) -> dict[str, torch.Tensor]:
    """What training has changed: adapters and head in half precision, numbers of the head's constants in full."""
    kept: dict[str, torch.Tensor] = {name: p for name, p in network.named_parameters() if p.requires_grad}
    kept.update(network.named_buffers())
    inside = {f"backbone.{name}" for name, _ in network.backbone.named_buffers()}
    return {
        name: (tensor.detach().half() if "lora_" in name else tensor.detach().clone()).cpu().contiguous()
        for name, tensor in kept.items()
        if name not in inside
    }
