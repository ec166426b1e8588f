"""Make small random reward models, and battles for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from votecast.data.battles import Battles
from votecast.models.neural.backbone import tiny_config
from votecast.models.reward.reward_model import RewardModel
from votecast.models.reward.settings import RewardSettings
from votecast.text.tokenization import tiny_tokenizer

TEMPLATE = "{% for message in messages %}{{ '<' + message['role'][0] + '>' + message['content'] + '</>' }}{% endfor %}"
AT_MOST_TWO_TURNS = "{% if messages | length > 4 %}{{ raise_exception('two turns at most') }}{% endif %}" + TEMPLATE
CURSED = "Z"
"""A letter whose embedding is not a number."""


def reward_folder(
    folder: Path,
    *,
    kind: str = "llama",
    outputs: int | None = 1,
    fails_on_letter: bool = False,
    seed: int = 0,
    **tokenizer: Any,
) -> Path:
    """Save a reward or language model and its tokenizer."""
    torch.manual_seed(seed)
    text = tiny_tokenizer(**({"chat_template": TEMPLATE} | tokenizer))
    config = tiny_config(kind, tiny_tokenizer())
    config.num_labels = outputs or 2
    factory = AutoModelForCausalLM if outputs is None else AutoModelForSequenceClassification
    model = factory.from_config(config)
    for parameter in model.parameters():
        parameter.data *= 6 if parameter.ndim > 1 else 1
    if fails_on_letter:
        (token,) = text.encode([CURSED])[0]
        model.get_input_embeddings().weight.data[token] = float("nan")
    model.save_pretrained(folder)
    text.save(folder)
    return folder


def reward_model(folder: Path | str, **settings: Any) -> RewardModel:
    """Return an unfitted reward model."""
    values = {"name": str(folder), "text": {"max_length": 96}} | settings
    return RewardModel(RewardSettings.parse(values), seed=0)


def pairs(*rows: tuple[Any, Any, Any]) -> Battles:
    """Return battles of (prompt, response a, response b)."""
    named = [{"id": str(n), "prompt": p, "response_a": a, "response_b": b} for n, (p, a, b) in enumerate(rows)]
    return Battles.from_rows(named)
