"""Backbones whose layers lie on several devices."""

from __future__ import annotations

import copy
from typing import TypeVar

N = TypeVar("N")


def is_spread(backbone: object) -> bool:
    """Whether accelerate has laid the layers of a model on several devices, between which it moves what passes.

    Such a model is run as transformers has it: its layers are neither moved, copied nor taken apart.

    Args:
        backbone: A model of transformers, perhaps inside adapters of peft.
    """
    base = backbone.get_base_model() if hasattr(backbone, "get_base_model") else backbone
    return len(set((getattr(base, "hf_device_map", None) or {}).values())) > 1


def beside_backbone(network: N) -> N:
    """A copy of a network that shares its backbone."""
    backbone = network.backbone  # type: ignore[attr-defined]
    return copy.deepcopy(network, {id(backbone): backbone})
