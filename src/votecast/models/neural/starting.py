"""Training that begins with an adapter made before, here or elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from votecast.errors import ArtifactError, ConfigError
from votecast.models.neural.adapters import Tensors, fill_adapter, rank_of
from votecast.models.neural.networks import PairNetwork
from votecast.models.neural.peft_folder import is_peft_folder, read_peft_folder

DELTA, MEMBERS, CONFIG = "delta.safetensors", "members", "config.json"


def load_adapter(network: PairNetwork, folder: str | Path) -> None:
    """Put the adapter and head of a folder into a network that has fresh ones.

    Args:
        network: With adapters of the same rank, scale and targets.
        folder: What peft saved (a `checkpoint-5200`; its head gives a, b and tie in this order), a member of a judge,
            or the folder of a judge with one member.

    Raises:
        ConfigError: If rank or scale are not those of the settings.
        ArtifactError: If there is no adapter with its head, or it is one for another network.
    """
    place = Path(folder).expanduser()
    tensors, alpha = _from_peft(place) if is_peft_folder(place) else _from_member(place)
    own = network.backbone.peft_config["default"]
    rank = rank_of(tensors)
    if rank is None:
        raise ArtifactError(f"{place} holds no adapter; give a checkpoint with one, or leave model.start away")
    if rank != own.r:
        raise ConfigError(f"model.adapter.rank is {own.r}, and {place} is an adapter of rank {rank}; set it to {rank}")
    if alpha is not None and alpha != own.lora_alpha:
        raise ConfigError(
            f"model.adapter.alpha is {own.lora_alpha:g}, and {place} is an adapter with alpha {alpha:g}; set it to that"
        )
    fill_adapter(network, tensors, place=str(place))


def _from_peft(place: Path) -> tuple[Tensors, float | None]:
    found = read_peft_folder(place)
    return found.tensors, found.alpha


def _from_member(place: Path) -> tuple[Tensors, float | None]:
    members = sorted(path for path in (place / MEMBERS).glob("*") if (path / DELTA).is_file())
    if len(members) > 1:
        raise ConfigError(f"{place} is a judge with {len(members)} members; name one of them, such as {members[0]}")
    member = members[0] if members else place
    if not (member / DELTA).is_file():
        raise ArtifactError(
            f"{place} holds no adapter; allowed are a folder that peft saved (adapter_config.json), a judge on "
            f"adapters, or a member of it ({DELTA})"
        )
    try:
        tensors: dict[str, torch.Tensor] = dict(load_file(member / DELTA))
        described: Any = json.loads((member.parent.parent / CONFIG).read_text("utf-8"))
        return tensors, float(described["recipe"]["model"]["adapter"]["alpha"])
    except FileNotFoundError:  # a member that was copied out of its judge
        return tensors, None
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ArtifactError(f"{member} is damaged: {type(error).__name__}: {error}; copy it again") from error
