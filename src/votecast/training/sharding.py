"""A network divided over processes (FSDP): each holds a part of every tensor, and all gather a layer when it is used.

After Rajbhandari et al. (2020), "ZeRO", as `torch.distributed.fsdp.fully_shard` does it. The settings are those of
accelerate, in the environment that `accelerate launch` hands on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import parse_flag_from_env
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import Module, Parameter

from votecast.errors import ConfigError
from votecast.training.settings import TrainingSettings

logger = logging.getLogger(__name__)
_SHIPPED = "take the file that votecast recipes --accelerate"


@dataclass(frozen=True)
class Division:
    """How a network is to be divided.

    Args:
        reshard: Whether a layer is given back after the forward pass and gathered once more for the backward pass.
    """

    reshard: bool


def asked_for() -> Division | None:
    """How this process was launched to hold a part of the network; None if it was not.

    Stages of DeepSpeed's ZeRO are done by `fully_shard` too: stage 3 is FSDP, and stage 2 keeps what it has gathered
    until a pass is over.

    Raises:
        ConfigError: If it was, with settings that are not supported.
    """
    if parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"):
        return _of_deepspeed()
    if not parse_flag_from_env("ACCELERATE_USE_FSDP"):
        return None
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise ConfigError(f"launched with fsdp_version 1; allowed is 2: {_SHIPPED} fsdp names")
    if parse_flag_from_env("FSDP_OFFLOAD_PARAMS"):
        raise ConfigError("launched with fsdp_offload_params true; allowed is false: take more processes instead")
    return Division(reshard=parse_flag_from_env("FSDP_RESHARD_AFTER_FORWARD", default=True))


@contextmanager
def divided(network: Module, settings: TrainingSettings, device: torch.device, division: Division) -> Iterator[Module]:
    """Within this, a copy of a network of which this process holds a part; its weights are the network's afterwards.

    Args:
        network: In the memory of this process; what it does not train is shared with the copy until that is divided.
        settings: How it is to be trained.
        device: Where the parts lie.
        division: How it is divided.

    Raises:
        ConfigError: If the network cannot be divided, or not with these settings.
    """
    _check(network, settings)
    shared = {id(p): Parameter(p.detach(), requires_grad=p.requires_grad) for p in network.parameters()}
    made = deepcopy(network, dict(shared))
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for part in (*_blocks(made), made):
        fully_shard(part, mesh=mesh, reshard_after_forward=division.reshard)
        part.set_gradient_divide_factor(1.0)  # a step's gradient is a sum over its rows
        part.set_force_sum_reduction_for_comms(True)
    yield made
    put(learnt(network), {name: whole(value) for name, value in learnt(made).items()})


def learnt(network: Module) -> dict[str, Tensor]:
    """What training changes: free parameters, and the buffers that are stored with them."""
    weights: dict[str, Tensor] = {name: p for name, p in network.named_parameters() if p.requires_grad}
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    shared = {id(p) for p in network.parameters()} - {id(p) for p in weights.values()}
    stored = network.state_dict(keep_vars=True)
    buffers = {
        name: value
        for name, value in stored.items()
        if name not in frozen and id(value) not in shared and not isinstance(value, Parameter)
    }
    return {**weights, **buffers}


def settle(network: Module) -> None:
    """Give back what was gathered for a pass, so that the next one sees what is written in between."""
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


@torch.no_grad()
def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, gathered from all processes where they hold parts; all must ask for it.

    Example:
        >>> whole(torch.ones(2)).tolist()
        [1.0, 1.0]
    """
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.detach()


def gathered(tensors: Mapping[str, Tensor], *, keep: bool = True, copy: bool = False) -> dict[str, Tensor]:
    """All of some tensors, on the CPU.

    Args:
        tensors: By name; all processes name the same.
        keep: Whether this process wants them, or only gives its parts to the others.
        copy: Whether they are to stay as they are when the network learns on.
    """
    found = ((name, whole(value)) for name, value in tensors.items())
    return {name: value.to("cpu", copy=copy) for name, value in found if keep}


def like(value: Tensor, target: Tensor) -> Tensor:
    """A whole tensor as another one lies: on its device, and of it the part that this process holds."""
    if not isinstance(target, DTensor):
        return value.to(target.device)
    return distribute_tensor(value.to(target.device), target.device_mesh, target.placements, src_data_rank=None)


@torch.no_grad()
def put(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Write whole tensors into those of the same names."""
    for name, target in targets.items():
        target.copy_(like(values[name], target))


def _of_deepspeed() -> Division:
    if os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE"):
        raise ConfigError(
            f"launched with a JSON file of DeepSpeed, which is not read: {_SHIPPED} deepspeed_zero2 names"
        )
    stage = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    if stage not in ("2", "3"):
        raise ConfigError(f"launched with zero_stage {stage}; allowed are 2 and 3, or plain processes (multi_gpu)")
    for part in ("optimizer", "param"):
        device = os.environ.get(f"ACCELERATE_DEEPSPEED_OFFLOAD_{part.upper()}_DEVICE", "none")
        if device != "none":
            raise ConfigError(f"launched with offload_{part}_device {device}; allowed is none: take more processes")
    logger.info("ZeRO stage %s is done by torch's fully_shard; DeepSpeed's own engine is not used", stage)
    return Division(reshard=stage == "3")


def _blocks(network: Module) -> list[Any]:
    """The modules that are gathered one at a time: those a network names with `blocks()`."""
    named = getattr(network, "blocks", None)
    return [] if named is None else list(named())


def _check(network: Module, settings: TrainingSettings) -> None:
    if settings.optimizer != "adamw":
        raise ConfigError(
            f"optimizer is {settings.optimizer!r}, whose moments cannot be divided over processes; set it to adamw"
        )
    if settings.precision == "fp16":
        raise ConfigError("precision is 'fp16', and a network divided over processes learns in bf16 or fp32; set one")
    kinds = {str(p.dtype).removeprefix("torch.") for p in network.parameters() if not p.is_floating_point()}
    if kinds:
        raise ConfigError(
            f"weights of few bits ({', '.join(sorted(kinds))}) cannot be divided over processes; set weights to bf16, "
            "or launch without FSDP"
        )
    if getattr(getattr(network, "backbone", None), "hf_device_map", None):
        raise ConfigError("device_map lays the layers on several devices, which FSDP does itself; leave one of both")
