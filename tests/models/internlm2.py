"""Make a small random InternLM2 reward checkpoint and a numpy reference."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from safetensors.torch import save_file

REWARD = 301
SENTENCES = [
    "The river runs north to the sea, and the road follows it.",
    "Two and two make four, and four and four make eight.",
    "Why is the sky blue in the day and dark at night?",
    "Bread needs flour, water, salt and time.\nThen it needs heat.",
    "Name three colours. Red, green and blue are three colours.",
]
CONFIG = {
    "model_type": "internlm2",
    "architectures": ["InternLM2ForRewardModel"],
    "auto_map": {"AutoModel": "modeling_internlm2.InternLM2ForRewardModel"},
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000,
    "rope_scaling": {"type": "dynamic", "factor": 2.0},
    "bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "reward_token_id": REWARD,
}
CHAT = (
    "{{ bos_token }}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@cache
def sentencepiece_model(*, prefix: bool = False) -> bytes:
    """Return a model of 318 pieces with unused last ones."""
    written = io.BytesIO()
    free = [f"[UNUSED_TOKEN_{n}]" for n in range(2)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 8),
        model_writer=written,
        vocab_size=318,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=prefix,
        user_defined_symbols=free,
        minloglevel=2,
    )
    return written.getvalue()


def tensors(config: dict[str, Any], seed: int = 0) -> dict[str, torch.Tensor]:
    """Return random weights under InternLM2's names."""
    draw = torch.Generator().manual_seed(seed)

    def some(*shape: int, around: float = 0.0) -> torch.Tensor:
        return around + 0.4 * torch.randn(*shape, generator=draw)

    h, m, size = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    heads, pairs = config["num_attention_heads"], config["num_key_value_heads"]
    rows = (heads + 2 * pairs) * h // heads
    found = {"model.tok_embeddings.weight": some(size, h), "model.norm.weight": some(h, around=1.0)}
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        found[f"{at}.attention.wqkv.weight"] = some(rows, h)
        found[f"{at}.attention.wo.weight"] = some(h, h)
        if config["bias"]:
            found[f"{at}.attention.wqkv.bias"], found[f"{at}.attention.wo.bias"] = some(rows), some(h)
        found[f"{at}.feed_forward.w1.weight"], found[f"{at}.feed_forward.w3.weight"] = some(m, h), some(m, h)
        found[f"{at}.feed_forward.w2.weight"] = some(h, m)
        found[f"{at}.attention_norm.weight"], found[f"{at}.ffn_norm.weight"] = some(h, around=1.0), some(h, around=1.0)
    return found | {"v_head.weight": some(1, h)}


def checkpoint(
    folder: Path, *, layout: str = "safetensors", seed: int = 0, template: bool = True, **changed: Any
) -> Path:
    """Return a folder in the published layout."""
    folder.mkdir(parents=True, exist_ok=True)
    config = CONFIG | changed
    (folder / "config.json").write_text(json.dumps(config))
    weights = tensors(config, seed)
    if layout == "bin":
        torch.save(weights, folder / "pytorch_model.bin")
    elif layout in {"shards", "bins"}:
        names = sorted(weights)
        stem, suffix, write = (
            ("model", "safetensors", save_file) if layout == "shards" else ("pytorch_model", "bin", torch.save)
        )
        files = {name: f"{stem}-{1 + (place % 2):05d}-of-00002.{suffix}" for place, name in enumerate(names)}
        for file in set(files.values()):
            write({name: weights[name] for name in names if files[name] == file}, folder / file)
        size = sum(tensor.nbytes for tensor in weights.values())
        index = {"metadata": {"total_size": size}, "weight_map": files}
        (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))
    else:
        save_file(weights, folder / "model.safetensors")
    (folder / "tokenizer.model").write_bytes(sentencepiece_model())
    added = {"318": {"content": "<|im_end|>", "special": True}, "319": {"content": "<|im_start|>", "special": True}}
    settings = {"added_tokens_decoder": added, "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    settings |= {"auto_map": {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | ({"chat_template": CHAT} if template else {})))
    return folder


def reward(weights: dict[str, torch.Tensor], config: dict[str, Any], ids: list[int]) -> float:
    """Compute the reward of one sequence step by step."""
    w = {name.removeprefix("model."): tensor.double().numpy() for name, tensor in weights.items()}
    heads, pairs = config["num_attention_heads"], config["num_key_value_heads"]
    d, each = config["hidden_size"] // heads, heads // pairs
    x = w["tok_embeddings.weight"][ids]
    n = len(ids)
    scaling, base = config["rope_scaling"] or {}, config["rope_theta"]
    place = np.arange(n) / (scaling["factor"] if scaling.get("type") == "linear" else 1.0)
    angles = place[:, None] * base ** (-np.arange(0, d, 2) / d)
    cos, sin = np.cos(angles), np.sin(angles)

    def rotated(v: np.ndarray) -> np.ndarray:
        one, two = v[:, : d // 2], v[:, d // 2 :]
        return np.concatenate([one * cos - two * sin, two * cos + one * sin], axis=1)

    def normed(v: np.ndarray, name: str) -> np.ndarray:
        return v / np.sqrt((v**2).mean(axis=1, keepdims=True) + config["rms_norm_eps"]) * w[f"{name}.weight"]

    def dense(v: np.ndarray, name: str) -> np.ndarray:
        return v @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)

    for layer in range(config["num_hidden_layers"]):
        at = f"layers.{layer}"
        packed = dense(normed(x, f"{at}.attention_norm"), f"{at}.attention.wqkv")
        out = []
        for pair in range(pairs):
            block = packed[:, pair * (each + 2) * d : (pair + 1) * (each + 2) * d]
            key, value = rotated(block[:, each * d : (each + 1) * d]), block[:, (each + 1) * d :]
            for which in range(each):
                scores = rotated(block[:, which * d : (which + 1) * d]) @ key.T / np.sqrt(d)
                scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
                shares = np.exp(scores - scores.max(axis=1, keepdims=True))
                out.append(shares / shares.sum(axis=1, keepdims=True) @ value)
        x = x + dense(np.concatenate(out, axis=1), f"{at}.attention.wo")
        y = normed(x, f"{at}.ffn_norm")
        gate = dense(y, f"{at}.feed_forward.w1")
        x = x + dense(gate / (1 + np.exp(-gate)) * dense(y, f"{at}.feed_forward.w3"), f"{at}.feed_forward.w2")
    return float((normed(x, "norm")[-1] @ w["v_head.weight"].T).item())
