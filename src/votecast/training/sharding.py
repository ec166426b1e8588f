"""Networks sharded over processes (FSDP): each holds a part of every tensor, and all gather a layer when it is used.

After Rajbhandari et al. (2020), "ZeRO", as `torch.distributed.fsdp.fully_shard` does it. The settings are those of
accelerate, in the environment that `accelerate launch` hands on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy

import torch
from accelerate.utils import parse_flag_from_env
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import Module, Parameter

from votecast.errors import ConfigError
from votecast.training.network import TrainableNetwork
from votecast.training.settings import TrainingSettings

logger = logging.getLogger(__name__)
_SHIPPED = "take the file that votecast recipes --accelerate"


def requested_sharding() -> bool | None:
    """Read from the environment how this process was launched to hold a part of the network.

    Stages of DeepSpeed's ZeRO run on `fully_shard` too: stage 3 is FSDP, and stage 2 keeps what it has gathered until
    a pass is over.

    Returns:
        Whether a layer is freed after the forward pass and gathered once more for the backward pass; None if each
        process is to hold the whole network.

    Raises:
        ConfigError: If it was launched with settings that are not supported.
    """
    if parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"):
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
        logger.info("ZeRO stage %s runs on torch's fully_shard; DeepSpeed's own engine is not used", stage)
        return stage == "3"
    if not parse_flag_from_env("ACCELERATE_USE_FSDP"):
        return None
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise ConfigError(f"launched with fsdp_version 1; allowed is 2: {_SHIPPED} fsdp names")
    if parse_flag_from_env("FSDP_OFFLOAD_PARAMS"):
        raise ConfigError("launched with fsdp_offload_params true; allowed is false: take more processes instead")
    return bool(parse_flag_from_env("FSDP_RESHARD_AFTER_FORWARD", default=True))


@contextmanager
def shard_network(
    network: TrainableNetwork, settings: TrainingSettings, device: torch.device, reshards: bool
) -> Iterator[TrainableNetwork]:
    """Yield a copy of a network of which this process holds a part; its weights are written back afterwards.

    With `reshards`, a layer is freed after the forward pass and gathered once more for the backward pass.

    Raises:
        ConfigError: If the network cannot be sharded, or not with these settings.
    """
    if settings.optimizer != "adamw":
        raise ConfigError(
            f"optimizer is {settings.optimizer!r}, whose moments cannot be sharded over processes; set it to adamw"
        )
    if settings.precision == "fp16":
        raise ConfigError("precision is 'fp16', and a sharded network learns in bf16 or fp32; set one")
    kinds = {str(p.dtype).removeprefix("torch.") for p in network.parameters() if not p.is_floating_point()}
    if kinds:
        raise ConfigError(
            f"weights of few bits ({', '.join(sorted(kinds))}) cannot be sharded over processes; set weights to bf16, "
            "or launch without FSDP"
        )
    if hasattr(network, "backbone") and hasattr(network.backbone, "hf_device_map"):
        raise ConfigError("device_map puts the layers on several devices, which FSDP does itself; set one of the two")
    # the copy shares the memory of the weights until it is sharded
    shared = {id(p): Parameter(p.detach(), requires_grad=p.requires_grad) for p in network.parameters()}
    made = deepcopy(network, dict(shared))
    # layers first, then what is left around them: a layer is gathered alone
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for part in (*made.blocks(), made):
        sharded = fully_shard(part, mesh=mesh, reshard_after_forward=reshards)
        sharded.set_gradient_divide_factor(1.0)  # a step's gradient is a sum over its rows
        sharded.set_force_sum_reduction_for_comms(True)
    yield made
    write_tensors(trained_state(network), {name: gather_tensor(value) for name, value in trained_state(made).items()})


def trained_state(network: Module) -> dict[str, Tensor]:
    """Return what training changes: free parameters, and the buffers that are saved with them."""
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


def reshard(network: Module) -> None:
    """Free what was gathered for a pass, so that the next one sees what is written in between."""
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


@torch.no_grad()
def gather_tensor(tensor: Tensor) -> Tensor:
    """Gather a tensor from the processes that hold parts of it; all processes must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.detach()


def gather_tensors(tensors: Mapping[str, Tensor], *, keep: bool = True, copy: bool = False) -> dict[str, Tensor]:
    """Gather contiguous tensors, named alike by all processes, on the CPU.

    Args:
        tensors: By name.
        keep: Whether this process needs them, or only sends its parts to the others.
        copy: Whether they stay as they are while training goes on.
    """
    found = ((name, gather_tensor(value)) for name, value in tensors.items())
    return {name: value.to("cpu", copy=copy).contiguous() for name, value in found if keep}


def match_placement(value: Tensor, target: Tensor) -> Tensor:
    """Place a tensor like another one: on its device, and of it the part that this process holds."""
    if not isinstance(target, DTensor):
        return value.to(target.device)
    return distribute_tensor(value.to(target.device), target.device_mesh, target.placements, src_data_rank=None)


@torch.no_grad()
def write_tensors(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Write gathered tensors into those of the same names."""
    for name, target in targets.items():
        target.copy_(match_placement(values[name], target))
