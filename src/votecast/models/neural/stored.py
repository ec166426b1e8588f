"""The part of a network that lies outside its backbone, as a member's folder holds it."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from votecast.errors import ArtifactError
from votecast.models.neural.networks import PairNetwork


def head_tensors(network: PairNetwork) -> dict[str, torch.Tensor]:
    """Parameters and buffers outside the backbone, by name."""
    inside = {id(tensor) for tensor in [*network.backbone.parameters(), *network.backbone.buffers()]}
    named = [*network.named_parameters(), *network.named_buffers()]
    return {name: tensor for name, tensor in named if id(tensor) not in inside}


def fill_head(network: PairNetwork, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put what `head_tensors` gave into a network: all of it, or an error.

    Raises:
        ArtifactError: If a tensor is missing, unknown or of another shape.
    """
    needed = {name: tuple(value.shape) for name, value in head_tensors(network).items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if needed != found:
        raise ArtifactError(f"the head is {found}, and this network takes {needed}; copy or train the judge again")
    network.load_state_dict(dict(tensors), strict=False)


def contiguous(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors on the CPU, as files take them."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
