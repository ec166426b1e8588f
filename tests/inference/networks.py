"""Small random networks of every architecture, and sequences for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tests.tolerances import rounding
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from votecast.text.sequences import Sequences

SHAPE = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 130,
    "pad_token_id": 0,
    "num_labels": 3,
    "initializer_range": 0.3,
}
ROUNDING = rounding(width=48, layers=3)
"""Relative error of a network of this shape in fp32."""
DEBERTA = {
    "relative_attention": True,
    "position_biased_input": False,
    "norm_rel_ebd": "layer_norm",
    "type_vocab_size": 0,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", {}),
    "bert, tanh": ("bert", {"hidden_act": "gelu_new"}),
    "bert, eager": ("bert", {"attn_implementation": "eager"}),
    "roberta": ("roberta", {}),
    "xlm-roberta": ("xlm-roberta", {}),
    "camembert": ("camembert", {}),
    "electra": ("electra", {"embedding_size": 16}),
    "deberta-v3": (
        "deberta-v2",
        DEBERTA | {"pos_att_type": ["p2c", "c2p"], "share_att_key": True, "position_buckets": 8},
    ),
    "deberta-v2, conv": (
        "deberta-v2",
        DEBERTA | {"pos_att_type": ["c2p"], "conv_kernel_size": 3, "max_relative_positions": 12},
    ),
    "deberta-v2, p2c": ("deberta-v2", DEBERTA | {"pos_att_type": ["p2c"], "norm_rel_ebd": "none"}),
    "deberta-v2, absolute": ("deberta-v2", {}),
}
UNKNOWN = {
    "modernbert": ("modernbert", {"global_attn_every_n_layers": 2, "local_attention": 8}),
    "bert, relu": ("bert", {"hidden_act": "relu"}),
    "distilbert": ("distilbert", {"dim": 32, "n_heads": 4, "n_layers": 2, "hidden_dim": 48}),
}


class Network(nn.Module):
    def __init__(self, backbone: Any, pooling: str | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        if pooling:
            self.pooling = pooling

    def encode(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor | None = None) -> torch.Tensor:
        out = self.backbone(ids, attention_mask=mask, **({} if types is None else {"token_type_ids": types}))
        if "logits" in out:
            return out.logits
        states = out.last_hidden_state
        if self.pooling == "cls":
            return states[:, 0]
        return (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)


def network_of(kind: str, pooling: str | None = None) -> Network:
    torch.manual_seed(3)
    model_type, more = (KINDS | UNKNOWN)[kind]
    implementation = {"attn_implementation": "eager"} if "attn_implementation" in more else {}
    config = AutoConfig.for_model(model_type, **{k: v for k, v in (SHAPE | more).items() if k not in implementation})
    factory = AutoModel if pooling else AutoModelForSequenceClassification
    network = Network(factory.from_config(config, **implementation), pooling)
    for name, parameter in network.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter, std=0.3)
    return network.eval()


def batch(widths: tuple[int, ...] = (40, 40, 33, 7, 1)) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, 60, (len(widths), max(widths)), generator=torch.Generator().manual_seed(5))
    mask = (torch.arange(max(widths)) < torch.tensor(widths)[:, None]).long()
    return ids * mask, mask


def sequences(lengths: tuple[int, ...] = (9, 3, 40, 17, 40, 1, 22, 5), seed: int = 0) -> Sequences:
    rng = np.random.default_rng(seed)
    return Sequences.from_lists([rng.integers(5, 60, length).tolist() for length in lengths])
