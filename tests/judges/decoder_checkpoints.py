"""Make tiny decoder checkpoints: bases, peft adapters, classifiers in 4 bits."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from transformers import AutoModelForSequenceClassification, BitsAndBytesConfig

from votecast.models.neural.backbone import tiny_config
from votecast.text.tokenization import tiny_tokenizer


def base(folder: Path, *, kind: str = "llama", seed: int = 0, **config: Any) -> Path:
    """Save a causal model with a random three-label head and tokenizer."""
    torch.manual_seed(seed)
    settings = tiny_config(kind, tiny_tokenizer())
    for key, value in ({"num_labels": 3} | config).items():
        setattr(settings, key, value)
    model = AutoModelForSequenceClassification.from_config(settings)
    for parameter in model.parameters():
        parameter.data *= 4 if parameter.ndim > 1 else 1
    model.save_pretrained(folder)
    tiny_tokenizer().save(folder)
    return folder


def adapter(folder: Path, base: Path, *, seed: int = 1, tokenizer: bool = False, outputs: int = 3, **lora: Any) -> Path:
    """Save a peft adapter with all numbers changed."""
    torch.manual_seed(seed)
    config = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.05, "target_modules": ["q_proj", "v_proj"]}
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(model, LoraConfig(**config | {"task_type": TaskType.SEQ_CLS} | lora))
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.15 if "lora_" in name else 0.3)
        adapted.save_pretrained(folder)
    if tokenizer:
        tiny_tokenizer().save(folder)
    return folder


def in_four_bits(folder: Path, whole: Path) -> Path:
    """Save a quantised classifier with an unquantised head."""
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.float32,
        llm_int8_skip_modules=["score"],
    )
    model = AutoModelForSequenceClassification.from_pretrained(
        whole, quantization_config=quantization, dtype=torch.float32
    )
    model.save_pretrained(folder)
    tiny_tokenizer().save(folder)
    return folder


def as_gemma_recipe(
    rows: list[dict[str, str]], *, base: Path, adapter: Path | None = None, length: int, labels: int = 3
) -> np.ndarray:
    """Return probabilities of transformers and peft on the Gemma template."""
    tokenizer = tiny_tokenizer()
    options = {} if "4bit" in base.name else {"num_labels": labels}
    model: Any = AutoModelForSequenceClassification.from_pretrained(base, **options)
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # its kernel for wide layers takes no rows of 32 numbers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = (model if adapter is None else PeftModel.from_pretrained(model, adapter)).eval()
    found = []
    for row in rows:
        text = f"<prompt>: {row['prompt']}\n\n<response_a>: {row['response_a']}\n\n<response_b>: {row['response_b']}"
        inner = tokenizer.encode([text])[0][: length - 2]
        ids = torch.tensor([[tokenizer.cls_id, *inner, tokenizer.sep_id]])
        with torch.no_grad():
            found.append(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].double().softmax(-1))
    return torch.stack(found).numpy()
