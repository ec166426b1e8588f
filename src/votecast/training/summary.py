"""What a network is before it is trained: layers, parameters, and the memory that training holds beside a pass.

`training.loop` logs it once per training.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import Parameter

from votecast.config.machine import size_text
from votecast.training.network import TrainableNetwork
from votecast.training.settings import TrainingSettings

LEAST_IN_BITS = 4096
"""Numbers of a tensor from which bitsandbytes keeps its moments in 8 bits."""


def count_parameters(network: nn.Module) -> tuple[int, int]:
    """Count the parameters that are trained, and all parameters, each of 4 bits counted as one."""
    return _count(network.parameters())


def summarize_network(network: TrainableNetwork, settings: TrainingSettings) -> str:
    """Describe a network in one line: layers, parameters, trained share; memory of weights, gradients, optimizer.

    The memory is that of one whole copy; what a pass holds besides depends on `max_tokens`.

    Args:
        network: With the weights that are to be trained set to require gradients.
        settings: How it is trained.
    """
    trained, total = count_parameters(network)
    layers = network.layer_groups()
    deep = "" if layers is None else f", {len(layers) - 2} layers"
    learns = [parameter for parameter in network.parameters() if parameter.requires_grad]
    weights = sum(part.numel() * part.element_size() for part in (*network.parameters(), *network.buffers()))
    gradients = sum(part.numel() * part.element_size() for part in learns)
    share = f"{total:,} parameters, {trained:,} of them trained ({trained / max(total, 1):.3%})"
    memory = ", ".join(
        f"{size_text(count)} of {what}"
        for count, what in (
            (weights, "weights"),
            (gradients, "gradients"),
            (_moment_bytes(learns, settings), "moments"),
        )
    )
    return f"{type(network).__name__}{deep}, {share}; {memory}"


def summarize_layers(network: TrainableNetwork) -> list[str]:
    """Describe each layer in a line: its parameters, and how many of them are trained; nothing if none are known."""
    groups = network.layer_groups() or []
    names = ["embeddings", *(f"layer {number}" for number in range(len(groups) - 2)), "head"][: len(groups)]
    counts = [_count(iter(group)) for group in groups]
    return [
        f"{name}: {total:,} parameters, {trained:,} trained"
        for name, (trained, total) in zip(names, counts, strict=True)
    ]


def _count(parameters: Iterator[Parameter]) -> tuple[int, int]:
    trained = total = 0
    for parameter in parameters:
        # bitsandbytes packs two weights of 4 bits into one byte
        size = (
            torch.Size(parameter.quant_state.shape).numel() if hasattr(parameter, "quant_state") else parameter.numel()
        )
        total += size
        trained += size if parameter.requires_grad else 0
    return trained, total


def _moment_bytes(learns: list[Parameter], settings: TrainingSettings) -> int:
    """Compute the memory of the two moments of AdamW for each number that is trained."""
    in_bits = settings.optimizer.endswith("8bit")
    return sum(2 * p.numel() * (1 if in_bits and p.numel() >= LEAST_IN_BITS else 4) for p in learns)
