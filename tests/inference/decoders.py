"""Small random decoders of every architecture, adapters for them, and sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import peft
import torch
from tests.tolerances import rounding
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from votecast.text.sequences import Sequences

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "vocab_size": 97,
    "pad_token_id": 0,
    "max_position_embeddings": 128,
}
ROUNDING = rounding(width=48, layers=4)
"""Relative error of a decoder of this shape in fp32."""
WINDOWED = {"sliding_window": 5}
OWN: dict[str, dict[str, Any]] = {
    "mistral": WINDOWED,
    "qwen2": {**WINDOWED, "use_sliding_window": True, "max_window_layers": 2},
    "qwen3": {**WINDOWED, "use_sliding_window": True, "max_window_layers": 2},
    "gemma2": {**WINDOWED, "attn_logit_softcapping": 2.0, "query_pre_attn_scalar": 16},
    "gemma3_text": {**WINDOWED, "query_pre_attn_scalar": 16, "sliding_window_pattern": 2},
}


def backbone_of(kind: str, seed: int = 0, **more: Any) -> Any:
    torch.manual_seed(seed)
    name = kind.split("+")[0]
    config = AutoConfig.for_model(name, **(SHAPE | OWN.get(kind, {}) | more))
    model = AutoModel.from_config(config).eval()
    for parameter in model.parameters():  # norms that do something
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.3)
    return model


def rows(lengths: tuple[int, ...] = (3, 17, 1, 8, 8)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(3, 97, mask.shape, generator=generator) * mask
    return ids, mask


def adapted(model: Any, layers: tuple[int, ...] = (2, 3), names: tuple[str, ...] = ("q_proj", "v_proj")) -> Any:
    targets = [f"layers.{i}.self_attn.{name}" for i in layers for name in names]
    torch.manual_seed(2)
    model = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
    return model.train()


def pairs(count: int = 10, seed: int = 0) -> Sequences:
    """Return prompt, A, B of every pair, then prompt, B, A."""
    rng = np.random.default_rng(seed)
    parts = [
        [rng.integers(3, 97, rng.integers(*sides)).tolist() for sides in ((5, 50), (5, 20), (5, 20))]
        for _ in range(count)
    ]
    return Sequences.from_lists([p + a + b for p, a, b in parts] + [p + b + a for p, a, b in parts])


def padded(sequences: Sequences) -> tuple[Tensor, Tensor]:
    found = sequences.padded(np.arange(len(sequences)), pad_id=0)
    return torch.from_numpy(found.ids), torch.from_numpy(found.mask)


class Scorer(nn.Module):
    """Apply a head to padded rows or to a packed stack."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.backbone, self.score = backbone, nn.Linear(32, 3, bias=False)

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        if hasattr(self.backbone, "last_states"):
            return self.score(self.backbone.last_states(ids, mask))
        states = self.backbone(ids, attention_mask=mask, use_cache=False).last_hidden_state
        return self.score(states[torch.arange(len(ids)), mask.sum(1) - 1])
