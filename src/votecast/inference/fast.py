"""Replace the layers of a trained network by passes for prediction alone: same weights, same results.

The engine calls `fast_network` once per device.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from votecast.inference.backbones import backbone_of, is_spread
from votecast.inference.decoder_pass import DecoderStack
from votecast.inference.encoder_passes import BERT_TYPES, BertStack, DebertaStack

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Network = TypeVar("Network", bound=nn.Module)


def fast_network(
    network: Network, dtype: torch.dtype = torch.float32, last_layer_only: bool = True, shared_prefixes: bool = True
) -> Network:
    """Replace the layers of a network by a pass that only predicts; return an unknown network as it is.

    Embeddings and head are shared with the network; the weights of the layers are copied as they are now.

    Args:
        network: A network with a `backbone` of transformers.
        dtype: Precision of the dense layers.
        last_layer_only: Compute in the last layer only the tokens that are read.
        shared_prefixes: Compute common prefixes of a causal model once, where that pays.
    """
    backbone = backbone_of(network)
    if backbone is None or is_spread(backbone):
        return network
    # A head called `score` reads the last token of a causal model.
    if hasattr(network, "score") and DecoderStack.serves(backbone):
        stack = DecoderStack(backbone, dtype=dtype, last_only=last_layer_only, sharing=shared_prefixes)
        return replace_children(network, backbone=stack)
    base = getattr(backbone, "base_model", backbone)
    passes = encoder_passes(base, dtype=dtype, first_token=last_layer_only and reads_first_token(network, backbone))
    if not passes:
        return network
    fast = replace_children(base, **passes)
    if base is not backbone:  # a classifier holds its encoder under the name of the architecture, such as `bert`
        name = next(name for name, child in backbone.named_children() if child is base)
        fast = replace_children(backbone, **{name: fast})
    return replace_children(network, backbone=fast)


def reads_first_token(network: nn.Module, backbone: PreTrainedModel) -> bool:
    """Return whether the head reads only the first token of the last layer."""
    pooling = getattr(network, "pooling", None)
    if pooling is not None:
        return bool(pooling == "cls")
    return type(backbone).__name__.endswith("ForSequenceClassification")


def encoder_passes(base: PreTrainedModel, *, dtype: torch.dtype, first_token: bool) -> dict[str, nn.Module]:
    """Return what replaces the layers of a bare encoder, by attribute; nothing for an unknown architecture."""
    if not hasattr(base, "config"):
        return {}
    config, kind = base.config, base.config.model_type
    if kind in BERT_TYPES and BertStack.serves(config):
        return {"encoder": BertStack(base.encoder, config, dtype=dtype, first_token=first_token)}
    if kind == "deberta-v2" and DebertaStack.serves(config):
        return {"encoder": DebertaStack(base.encoder, config, dtype=dtype, first_token=first_token)}
    return {}


def replace_children(module: Network, **children: nn.Module) -> Network:
    """Copy a module with some children replaced; share everything else."""
    clone = copy.copy(module)
    clone.__dict__["_modules"] = {**module._modules, **children}
    return clone
