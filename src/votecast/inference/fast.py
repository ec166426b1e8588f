"""Replace the layers of a trained network by passes for prediction alone: same weights, same results.

The engine calls `fast_network` once per device.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar, cast

import torch
from torch import nn

from votecast.inference.decoder_pass import DecoderStack
from votecast.inference.encoder_passes import TYPES as BERT_TYPES
from votecast.inference.encoder_passes import BertStack, DebertaStack, ModernBertLayer, modernbert_layers
from votecast.inference.layers import is_spread

N = TypeVar("N")


def fast_network(
    network: N, *, dtype: torch.dtype = torch.float32, last_layer_only: bool = True, shared_prefixes: bool = True
) -> N:
    """Replace the layers of a network by a pass that only predicts; return an unknown one as it is.

    Embeddings and head are shared with the network; the weights of the stack are copied as they are now.

    Args:
        network: A network with a `backbone` of transformers.
        dtype: What the stack computes with.
        last_layer_only: Compute in the last layer only the tokens that are read.
        shared_prefixes: Compute common prefixes of a causal model once, where that pays.
    """
    backbone = getattr(network, "backbone", None)
    if not isinstance(network, nn.Module) or not isinstance(backbone, nn.Module) or is_spread(backbone):
        return network
    if hasattr(network, "score") and DecoderStack.serves(backbone):
        causal = DecoderStack(backbone, dtype=dtype, last_only=last_layer_only, sharing=shared_prefixes)
        return cast("N", with_children(network, backbone=causal))
    base = getattr(backbone, "base_model", backbone)
    stack = _stack(base, dtype=dtype, first_token=last_layer_only and reads_first_token(network, backbone))
    if stack is None:
        return network
    where = next(name for name, module in [("", backbone), *backbone.named_children()] if module is base)
    swapped = with_children(base, **stack)
    outer = with_children(backbone, **{where: swapped}) if where else swapped
    return cast("N", with_children(network, backbone=outer))


def reads_first_token(network: Any, backbone: Any) -> bool:
    """Return whether only the first token of the last layer is read."""
    pooling = getattr(network, "pooling", None)
    if pooling is not None:
        return bool(pooling == "cls")
    if not type(backbone).__name__.endswith("ForSequenceClassification"):
        return False
    config = backbone.config
    return bool(config.model_type != "modernbert" or config.classifier_pooling == "cls")


def _stack(base: Any, *, dtype: torch.dtype, first_token: bool) -> dict[str, nn.Module] | None:
    config = getattr(base, "config", None)
    kind = getattr(config, "model_type", None)
    if kind in BERT_TYPES and BertStack.serves(config):
        return {"encoder": BertStack(base.encoder, config, dtype=dtype, first_token=first_token)}
    if kind == "deberta-v2" and DebertaStack.serves(config):
        return {"encoder": DebertaStack(base.encoder, config, dtype=dtype, first_token=first_token)}
    if kind == "modernbert" and ModernBertLayer.serves(config):
        return {"layers": modernbert_layers(base.layers, config, dtype=dtype, first_token=first_token)}
    return None


def with_children(module: Any, **children: nn.Module) -> Any:
    """Copy a module with some children replaced; share everything else."""
    clone = copy.copy(module)
    clone.__dict__["_modules"] = {**module._modules, **children}
    return clone
