"""Count the parameters of a network on the meta device: the training's own network, without one weight in memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoConfig, PretrainedConfig

from votecast.errors import ConfigError
from votecast.models.neural.backbone import Source
from votecast.models.neural.hub import silence_transformers
from votecast.models.neural.internlm2 import is_internlm2, llama_config, read_config
from votecast.models.neural.neural_model import NeuralModel
from votecast.models.neural.pair_network import PairNetwork, base_encoder, layers_of
from votecast.models.reward.reward_model import RewardModel
from votecast.models.reward.reward_network import RewardNetwork
from votecast.training.summary import count_parameters

_PUBLISHED = yaml.safe_load((resources.files("votecast.models.sizing") / "published_configs.yaml").read_text("utf-8"))
PUBLISHED: Mapping[str, Mapping[str, Any]] = _PUBLISHED
"""Name on the hub, or preset of KerasHub -> what its config.json says of its shape."""


@dataclass(frozen=True)
class ShapeSource(Source):
    """A backbone known by its configuration alone: it is made as a tiny model is, of random weights.

    Args:
        known: The configuration.
    """

    known: PretrainedConfig | None = None

    @classmethod
    def of_config(cls, config: PretrainedConfig, name: str = "") -> ShapeSource:
        """Make backbones of this configuration; `name` is that of the model, for messages."""
        return cls(name, tiny=config.model_type, known=config)

    def config(self) -> PretrainedConfig:
        """Return a copy of the configuration, which `load` changes."""
        return cast("PretrainedConfig", copy.deepcopy(self.known))


def find_config(name: str, revision: str | None = None) -> PretrainedConfig:
    """Find the configuration of a model without the network: a folder, a published shape, or the cache of the hub.

    Raises:
        ConfigError: If it is on the hub alone, or the folder holds none.

    Example:
        >>> find_config("meta-llama/Llama-3.1-8B").num_hidden_layers
        32
    """
    source = None if name in PUBLISHED else Source.of("tiny:llama" if name == "tiny:internlm2" else name, revision)
    if source is not None and source.tiny:
        return source.config()
    if source is None:
        values = dict(PUBLISHED[name])
    elif Path(source.path).is_dir():
        values = read_config(Path(source.path))
    else:
        try:
            with silence_transformers():
                values = PretrainedConfig.get_config_dict(name, revision=revision, local_files_only=True)[0]
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the shape of {name!r} is not known here, and an estimate downloads nothing; give --model.name FOLDER "
                f"with its config.json (weights are not needed), or one of {', '.join(PUBLISHED)}"
            ) from error
    if is_internlm2(values):
        return llama_config(values)
    kind = values.pop("model_type", None)
    try:
        found: PretrainedConfig = AutoConfig.for_model(str(kind), **values)
    except (ValueError, TypeError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"config.json of {name!r}, of model_type {kind!r}, describes no model that this version of transformers "
            f"knows: {reason}; give a folder in the layout of transformers"
        ) from error
    return found


def network_on_meta(model: NeuralModel, config: PretrainedConfig) -> PairNetwork:
    """Make the network that a member would train, with its heads and adapters, on the meta device.

    Args:
        model: The member; weights in few bits count as if they were in full.
        config: The configuration of its backbone.
    """
    made = type(model)(_in_full(model.settings), seed=model.seed)
    source = ShapeSource.of_config(config, made.settings.name)
    made.source = source
    if isinstance(made, RewardModel):  # the reward of a decoder is a bare model and a head of one number
        made.load_backbone = lambda: source.load("decoder")  # type: ignore[method-assign]
        made.wrap = RewardNetwork  # type: ignore[method-assign]
    with torch.device("meta"):
        return made.initial_network()


def _in_full(settings: Any) -> Any:
    """Return settings whose backbone is held in fp32, which needs no package for weights of few bits."""
    return settings.model_copy(update={"weights": "fp32"}) if "weights" in type(settings).model_fields else settings


@dataclass(frozen=True)
class NetworkSize:
    """What a network consists of, in numbers of parameters.

    Args:
        total: All parameters.
        trained: Those that are trained.
        linear: Those of the linear layers of a backbone that is not trained; weights of few bits hold these.
        largest_linear: Those of the largest linear layer of the backbone.
        layer_linear: Those of the linear layers of one layer, without adapters.
        trained_sizes: Numbers in each trained tensor.
        layers: Layers of the backbone.
        lowest: The lowest layer that is trained, from 0; -1 where the embeddings are.
        adapted: Inputs and rank of every adapter of a layer.
    """

    total: int
    trained: int
    linear: int
    largest_linear: int
    layer_linear: int
    trained_sizes: tuple[int, ...]
    layers: int
    lowest: int
    adapted: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, network: PairNetwork) -> NetworkSize:
        """Count a network."""
        trained, total = count_parameters(network)
        base = base_encoder(network.backbone)
        layers = [_linears(layer) for layer in layers_of(base)]
        plain, adapted = layers[-1]
        lowest = next((at for at, layer in enumerate(layers_of(base)) if _learns(layer)), len(layers))
        every = [size for sizes, _ in layers for size in sizes]
        adapted = max((adapters for _, adapters in layers), key=len)
        return cls(
            total=total,
            trained=trained,
            linear=sum(every),
            largest_linear=max(every),
            layer_linear=sum(plain),
            trained_sizes=tuple(p.numel() for p in network.parameters() if p.requires_grad),
            layers=len(layers),
            lowest=-1 if _learns(base.get_input_embeddings()) else lowest,
            adapted=tuple(adapted),
        )


def _linears(layer: nn.Module) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the sizes of the linear layers in a layer, and inputs and rank of its adapters."""
    sizes, adapted = [], []
    for name, module in layer.named_modules():
        if isinstance(module, nn.Linear):
            if ".lora_A." in name:
                adapted.append((module.in_features, module.out_features))
            elif ".lora_B." not in name:
                sizes.append(module.weight.numel())
    return sizes, adapted


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())
