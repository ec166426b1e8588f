"""Make tiny random classifier checkpoints in the layout of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from votecast.models.neural.backbone import tiny_config
from votecast.text.tokenization import tiny_tokenizer

NAMES = {0: "winner_model_a", 1: "winner_model_b", 2: "winner_tie"}


def checkpoint(
    folder: Path,
    *,
    kind: str = "deberta-v2",
    seed: int = 0,
    names: Mapping[int, str] | None = NAMES,
    outputs: int = 3,
    layout: str = "safetensors",
    config: Mapping[str, Any] | None = None,
    **tokenizer: Any,
) -> Path:
    """Save a classifier with large weights and its tokenizer."""
    torch.manual_seed(seed)
    text = tiny_tokenizer(**tokenizer)
    settings = tiny_config(kind, tiny_tokenizer())
    settings.num_labels = outputs
    for key, value in (config or {}).items():
        setattr(settings, key, value)
    if names is not None and outputs == len(names):
        settings.id2label, settings.label2id = dict(names), {name: place for place, name in names.items()}
    model = AutoModelForSequenceClassification.from_config(settings)
    for parameter in model.parameters():
        parameter.data *= 4 if parameter.ndim > 1 else 1
    if layout == "bin":
        folder.mkdir(parents=True)
        model.config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    else:
        model.save_pretrained(folder, max_shard_size="40KB" if layout == "shards" else "1GB")
    text.save(folder)
    return folder
