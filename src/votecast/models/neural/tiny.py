"""Small random models of each architecture: for trying a recipe in a minute and for tests, without any download."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, PretrainedConfig

from votecast.text.tokenization import FastTokenizer

_SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 1026,
}

_CAUSAL = {"num_key_value_heads": 1, "head_dim": 16}

TINY: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {"type_vocab_size": 1},
    "xlm-roberta": {"type_vocab_size": 1},
    "electra": {"embedding_size": 32},
    "deberta-v2": {
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": ["p2c", "c2p"],
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "position_buckets": 16,
        "max_relative_positions": -1,
        "type_vocab_size": 0,
        "pooler_hidden_size": 32,
    },
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 32, "reference_compile": False},
    "llama": _CAUSAL,
    "mistral": _CAUSAL | {"sliding_window": None},
    "qwen2": {"num_key_value_heads": 1},
    "qwen3": _CAUSAL,
    "gemma2": _CAUSAL | {"query_pre_attn_scalar": 16, "sliding_window": 32, "attn_logit_softcapping": 5.0},
    "gemma3_text": _CAUSAL | {"query_pre_attn_scalar": 16, "sliding_window": 32},
}
"""Architecture -> settings of its small form, beside the common shape."""

DECODERS = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text")
"""Those of `TINY` that are causal; the others are encoders."""

ENCODERS = tuple(kind for kind in TINY if kind not in DECODERS)


def tiny_config(kind: str, tokenizer: FastTokenizer) -> PretrainedConfig:
    """The configuration of a small model for a tokenizer.

    Args:
        kind: One of `TINY`.
        tokenizer: Gives the number of tokens and the special ones.
    """
    special = {
        "pad_token_id": tokenizer.pad_id,
        "cls_token_id": tokenizer.cls_id,
        "sep_token_id": tokenizer.sep_id,
        "bos_token_id": tokenizer.cls_id,
        "eos_token_id": tokenizer.sep_id,
    }
    config: PretrainedConfig = AutoConfig.for_model(
        kind, **(_SHAPE | {"vocab_size": len(tokenizer)} | special | TINY[kind])
    )
    return config
