"""AdamW over groups of parameters, its state in checkpoints, and the schedule of its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Parameter

from votecast.errors import ConfigError, JudgeError
from votecast.training.mixed_precision import bitsandbytes
from votecast.training.network import TrainableNetwork
from votecast.training.settings import TrainingSettings
from votecast.training.sharding import match_placement

_IN_BITS = {"adamw_8bit": "AdamW8bit", "paged_adamw": "PagedAdamW", "paged_adamw_8bit": "PagedAdamW8bit"}

_CONSTANT = {"qmap1", "qmap2"}
"""What bitsandbytes keeps beside the moments, the same for all parameters."""


def make_optimizer(network: TrainableNetwork, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Make AdamW (Loshchilov and Hutter, 2019) with learning rates that fall from the last layer to the first.

    Raises:
        ConfigError: If layers have different learning rates and the network does not name them.
        JudgeError: If no parameter is to be trained.
        MissingExtraError: If it needs bitsandbytes, and that is not installed.
    """
    groups: list[dict[str, Any]] = []
    for depth, layer in enumerate(reversed(_layers(network, settings))):
        rate = settings.learning_rate * settings.layer_decay**depth
        if depth == 0 and settings.head_learning_rate is not None:
            rate = settings.head_learning_rate
        for decays in (True, False):  # biases and norms have one dimension, and are not decayed
            members = [p for p in layer if (p.ndim > 1) == decays]
            if members:
                decay = settings.weight_decay if decays else 0.0
                groups.append({"params": members, "lr": rate, "peak": rate, "weight_decay": decay})
    if not groups:
        raise JudgeError("every parameter of the network is frozen; leave at least the head free")
    if settings.optimizer != "adamw":
        kind = getattr(bitsandbytes().optim, _IN_BITS[settings.optimizer])
        made: Any = kind(groups, betas=settings.betas, eps=settings.epsilon)
        made._cpu_paged_warned = True  # off a GPU nothing is paged, as the settings say
        return cast("torch.optim.Optimizer", made)
    # one kernel for all parameters; not on devices that lack it
    fused = all(p.device.type in {"cpu", "cuda"} for group in groups for p in group["params"])
    return torch.optim.AdamW(groups, betas=settings.betas, eps=settings.epsilon, fused=fused)


def moments_of(optimizer: torch.optim.Optimizer, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of an optimizer for the trained parameters, for a checkpoint."""
    return {
        f"{key}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for name, parameter in weights.items()
        for key, value in optimizer.state[parameter].items()
        if key not in _CONSTANT
    }


@torch.no_grad()
def restore_moments(
    optimizer: torch.optim.Optimizer, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor]
) -> None:
    """Restore the state of an optimizer from what `moments_of` gave."""
    # AdamW of torch makes its moments from those that are set; bitsandbytes fills what it has made
    in_bits = not isinstance(optimizer, torch.optim.AdamW)
    if in_bits:  # bitsandbytes makes room for moments at the first step, which has not come yet
        known = {id(weights[key.partition(".")[2]]) for key in moments}
        unknown: Any = optimizer
        for at, group in enumerate(optimizer.param_groups):
            for place, parameter in enumerate(group["params"]):
                if id(parameter) in known:
                    unknown.init_state(group, parameter, at, place)
    for key, value in moments.items():
        kind, _, name = key.partition(".")
        parameter = weights[name]
        state = optimizer.state[parameter]
        if in_bits and kind == "step":
            state[kind] = int(value)
        elif in_bits:
            state[kind].copy_(value)
        else:
            if value.ndim:
                value = match_placement(value, parameter)
            elif kind != "step" or optimizer.defaults["fused"]:
                value = value.to(parameter.device)
            state[kind] = value


def make_schedule(settings: TrainingSettings, steps: int) -> Callable[[int], float]:
    """Make the factor on the peak learning rate, a function of the steps done.

    The same numbers as `transformers.get_scheduler` gives, whose import takes longer than that of torch.

    Example:
        >>> factor = make_schedule(TrainingSettings(schedule="linear", warmup=2), steps=6)
        >>> [factor(step) for step in range(6)]
        [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]
    """
    warmup = int(settings.warmup) if settings.warmup >= 1 else math.ceil(settings.warmup * steps)

    def factor(step: int) -> float:
        """Rise over the warm-up, then fall as the schedule says."""
        if step < warmup:
            return step / warmup
        done = (step - warmup) / max(1, steps - warmup)
        if settings.schedule == "constant":
            return 1.0
        if settings.schedule == "linear":
            return max(0.0, 1 - done)
        return max(0.0, 0.5 * (1 + math.cos(math.pi * done)))

    return factor


def _layers(network: TrainableNetwork, settings: TrainingSettings) -> list[list[Parameter]]:
    free = [p for p in network.parameters() if p.requires_grad]
    if settings.layer_decay == 1 and settings.head_learning_rate is None:
        return [free]
    named = network.layer_groups()
    if named is None:
        raise ConfigError(
            f"layer_decay is {settings.layer_decay} and head_learning_rate {settings.head_learning_rate}, but this "
            "network does not name its layers; allowed are 1 and null"
        )
    layers: list[list[Parameter]] = [[p for p in layer if p.requires_grad] for layer in named]
    known = {id(p) for layer in layers for p in layer}
    # what no layer names, such as a new head, learns at the rate of the last layer
    layers.append([p for p in free if id(p) not in known] + (layers.pop() if layers else []))
    return layers
