"""Find the model of transformers inside a network, below adapters and across devices.

The engine, the decoder pass and training call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Network = TypeVar("Network", bound=nn.Module)


def without_adapters(backbone: PreTrainedModel) -> PreTrainedModel:
    """Return the model of transformers inside adapters of peft, or the model itself."""
    return backbone.get_base_model() if hasattr(backbone, "get_base_model") else backbone


def backbone_of(network: nn.Module) -> nn.Module | None:
    """Return the model of transformers inside a network, if it has one."""
    return dict(network.named_children()).get("backbone")


def is_spread(backbone: nn.Module | None) -> bool:
    """Return whether accelerate spread the layers over several devices, so that they must not be moved or copied."""
    device_map = getattr(without_adapters(backbone), "hf_device_map", None) or {}
    return len(set(device_map.values())) > 1
