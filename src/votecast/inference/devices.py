"""Choose the devices of this process, and copy networks straight onto them.

The engine runs a replica on each device; models of few bits are loaded onto the first.
"""

from __future__ import annotations

import copy
import os
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from votecast.config import current_launch, leaves_gpus
from votecast.errors import ConfigError
from votecast.inference.backbones import Network, backbone_of, is_spread
from votecast.inference.settings import InferenceSettings

MORE_MEMORY = (
    "hold a decoder or reward model in 4 bits (model.weights nf4), spread it over all GPUs (model.device_map auto), or "
    "choose GPUs with more free memory (inference.devices, or CUDA_VISIBLE_DEVICES)"
)
"""The settings that help where the weights of a network do not fit into the memory of a device."""


def devices_of(settings: InferenceSettings) -> list[torch.device]:
    """Return the devices that settings name, else every CUDA device unless ACCELERATE_USE_CPU is set, else the CPU.

    Of several processes on this machine, which `accelerate launch` has started, each gets one of these devices.

    Raises:
        ConfigError: If one of them does not exist.
    """
    launch, count = current_launch(), torch.cuda.device_count() if torch.cuda.is_available() else 0
    allowed = ["cpu", *(f"cuda:{i}" for i in range(count))]
    unknown = [name for name in settings.devices if name not in allowed]
    if unknown:
        hidden = " (CUDA_VISIBLE_DEVICES is empty)" if os.environ.get("CUDA_VISIBLE_DEVICES") == "" else ""
        raise ConfigError(
            f"inference.devices names {unknown[0]!r}; this machine has {', '.join(allowed)}{hidden}, name one of these"
        )
    devices = list(map(torch.device, settings.devices or (not leaves_gpus() and allowed[1:]) or ["cpu"]))
    return devices if launch.local_processes == 1 else [devices[launch.local_rank % len(devices)]]


@torch.no_grad()
def copy_to_device(network: Network, device: torch.device) -> Network:
    """Copy a network tensor by tensor onto a device, with no second copy where it is now.

    A backbone that is there already, or whose layers accelerate spread over several devices, is shared.

    Example:
        >>> copy_to_device(nn.Linear(2, 1), torch.device("meta")).weight.device.type
        'meta'
    """
    backbone = backbone_of(network)
    stays = backbone is not None and (is_spread(backbone) or _is_on(backbone, device))
    # what `copy.deepcopy` finds under the id of an object, it takes for the copy of that object
    memo: dict[int, object] = {id(backbone): backbone} if stays else {}
    inside = set(backbone.modules()) if stays and backbone is not None else set()
    for module in network.modules():
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None and module not in inside and id(tensor) not in memo:
                memo |= _moved(tensor, device)
        state: Any = vars(module).get("state")
        if module not in inside and getattr(state, "CB", None) is not None:
            # where 8 bits of bitsandbytes have been used, it holds them here, and no longer beside the weight
            weight, moved = cast("Any", memo[id(module.weight)]), copy.copy(state)
            weight.CB = weight.SCB = None
            moved.CB, moved.SCB = weight.data, state.SCB.to(device)
            memo[id(state)] = moved
    return copy.deepcopy(network, memo)


def _is_on(network: nn.Module, device: torch.device) -> bool:
    return all(p.device == device for p in network.parameters())


def _moved(tensor: Tensor, device: torch.device) -> dict[int, object]:
    """Return a tensor on a device by the id of the original; for 4 bits of bitsandbytes, their constants too."""
    constants: Any = getattr(tensor, "quant_state", None)
    if constants is None:
        moved = tensor.to(device)
        is_plain = type(tensor) is Parameter
        return {id(tensor): Parameter(moved, requires_grad=tensor.requires_grad) if is_plain else moved}
    # `to` of bitsandbytes would move the constants of the original too
    twin: Any = copy.copy(tensor)
    twin.quant_state = copy.copy(constants)
    twin.quant_state.state2 = copy.copy(constants.state2)
    moved = twin.to(device)
    return {id(tensor): moved, id(constants): twin.quant_state}
