"""Make tiny random models in the very layout of the hub: the files, names, spellings and precision of each system.

`tests/models/internlm2.py` has the weights of InternLM2 and `keras_hub` writes its own preset.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

SENTENCES = [
    "The river runs north to the sea, and the road follows it.",
    "Why is the sky blue in the day and dark at night?",
    "Name three colours. Red, green and blue are three colours.",
    "Prompt: Two and two?\n\nResponse: Two and two make four.",
]
WIDTHS = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
REMOTE_CODE = 'raise RuntimeError("code of the hub was run")\n'


def deberta_v3(folder: Path, *, seed: int = 0) -> Path:
    """Write microsoft/deberta-v3-large: one fp16 pickle, pretraining heads in it, and spm.model alone."""
    import torch
    from transformers import DebertaV2Config, DebertaV2Model

    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "model_type": "deberta-v2",
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "max_position_embeddings": 512,
        "relative_attention": True,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": "p2c|c2p",
        "layer_norm_eps": 1e-7,
        "max_relative_positions": -1,
        "position_biased_input": False,
        "type_vocab_size": 0,
        "vocab_size": 420,
    } | WIDTHS
    _write(folder, "config.json", config)
    _write(folder, "tokenizer_config.json", {"do_lower_case": False, "vocab_type": "spm"})
    (folder / "spm.model").write_bytes(deberta_pieces())
    torch.manual_seed(seed)
    weights = {
        f"deberta.{name}": value for name, value in DebertaV2Model(DebertaV2Config(**config)).state_dict().items()
    }
    d = config["hidden_size"]
    for head in ("lm_predictions.lm_head", "mask_predictions"):  # of the pretraining: nobody reads them
        weights |= {f"{head}.dense.weight": torch.randn(d, d), f"{head}.dense.bias": torch.zeros(d)}
        weights |= {f"{head}.LayerNorm.weight": torch.ones(d), f"{head}.LayerNorm.bias": torch.zeros(d)}
    torch.save({name: value.half() for name, value in weights.items()}, folder / "pytorch_model.bin")
    return folder


def gemma2(folder: Path, *, seed: int = 0, shard: str = "30KB") -> Path:
    """Write google/gemma-2-9b-it: bf16 shards under an index, tokenizer.json beside tokenizer.model."""
    proto = trained_pieces(
        SENTENCES,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        pad_id=0,
        pad_piece="<pad>",
        eos_id=1,
        eos_piece="<eos>",
        bos_id=2,
        bos_piece="<bos>",
        unk_id=3,
        unk_piece="<unk>",
        user_defined_symbols=["<mask>", "<start_of_turn>", "<end_of_turn>"],
    )
    vocab, merges = _byte_fallback_vocabulary(proto)
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
    config: dict[str, Any] = {
        "architectures": ["Gemma2ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attn_logit_softcapping": 50.0,
        "bos_token_id": 2,
        "cache_implementation": "hybrid",
        "eos_token_id": 1,
        "final_logit_softcapping": 30.0,
        "head_dim": 16,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "initializer_range": 0.02,
        "max_position_embeddings": 8192,
        "model_type": "gemma2",
        "num_key_value_heads": 1,
        "pad_token_id": 0,
        "query_pre_attn_scalar": 16,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "sliding_window": 64,
        "sliding_window_size": 64,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.42.0.dev0",
        "use_cache": True,
        "vocab_size": len(vocab),
    } | WIDTHS
    _write_decoder(folder, config, seed, shard)
    (folder / "tokenizer.model").write_bytes(proto)
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    _write(folder, "special_tokens_map.json", {key: _added(piece) for key, piece in names.items()})
    decoder = {str(vocab[piece]): _added(piece) | {"special": True} for piece in special}
    chat = (
        "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' "
        "else message['role']) + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    )
    settings: dict[str, Any] = {"add_bos_token": True, "add_eos_token": False, "added_tokens_decoder": decoder} | names
    settings |= {"chat_template": chat, "clean_up_tokenization_spaces": False, "sp_model_kwargs": {}}
    settings |= {"model_max_length": int(1e30), "tokenizer_class": "GemmaTokenizer", "use_default_system_prompt": False}
    _write(folder, "tokenizer_config.json", settings)
    replace = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    described = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": vocab[piece], "special": True} | _added(piece) for piece in special],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "post_processor": _first_token("<bos>", 2),
        "decoder": {"type": "Sequence", "decoders": [replace, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": _bpe(vocab, merges) | {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True},
    }
    _write(folder, "tokenizer.json", described)
    return folder


def llama31(folder: Path, *, seed: int = 0, shard: str = "60KB") -> Path:
    """Write meta-llama/Llama-3.1-8B: bf16 shards under an index, a byte-level tokenizer.json and no padding token."""
    from tokenizers import ByteLevelBPETokenizer

    learned = ByteLevelBPETokenizer()
    learned.train_from_iterator(SENTENCES, vocab_size=320, show_progress=False)
    model = json.loads(learned.to_str())["model"]
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|finetune_right_pad_id|>"]
    special += ["<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"]
    ids = {piece: len(model["vocab"]) + place for place, piece in enumerate(special)}
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": ids["<|begin_of_text|>"],
        "eos_token_id": ids["<|end_of_text|>"],
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "max_position_embeddings": 131072,
        "mlp_bias": False,
        "model_type": "llama",
        "num_key_value_heads": 1,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-5,
        "rope_scaling": {
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.43.0.dev0",
        "use_cache": True,
        "vocab_size": len(model["vocab"]) + len(special),
    } | WIDTHS
    _write_decoder(folder, config, seed, shard)
    names = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}
    _write(folder, "special_tokens_map.json", {key: _added(piece) for key, piece in names.items()})
    settings: dict[str, Any] = {
        "added_tokens_decoder": {str(id_): _added(piece) | {"special": True} for piece, id_ in ids.items()}
    }
    settings |= names | {"clean_up_tokenization_spaces": True, "model_input_names": ["input_ids", "attention_mask"]}
    settings |= {"model_max_length": 131072, "tokenizer_class": "PreTrainedTokenizerFast"}
    _write(folder, "tokenizer_config.json", settings)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    split += r"|\s+(?!\S)|\s+"
    first = {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False}
    described = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id_, "special": True} | _added(piece) for piece, id_ in ids.items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [first, level]},
        "post_processor": {
            "type": "Sequence",
            "processors": [
                level | {"use_regex": True},
                _first_token("<|begin_of_text|>", ids["<|begin_of_text|>"]),
            ],
        },
        "decoder": level | {"use_regex": True},
        "model": _bpe(model["vocab"], model["merges"]) | {"ignore_merges": True},
    }
    _write(folder, "tokenizer.json", described)
    return folder


def internlm2_reward(folder: Path, *, seed: int = 0, layout: str = "shards") -> Path:
    """Write internlm/internlm2-20b-reward, with the code beside it that nothing may run.

    Args:
        folder: Where.
        seed: Seed of the weights.
        layout: `shards` for safetensors under an index, `bins` for pickles under one.
    """
    from tests.models.internlm2 import checkpoint

    checkpoint(folder, layout=layout, seed=seed)
    for name in ("configuration", "modeling", "tokenization"):
        (folder / f"{name}_internlm2.py").write_text(REMOTE_CODE)
    (folder / "tokenization_internlm2_fast.py").write_text(REMOTE_CODE)
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    _write(folder, "special_tokens_map.json", names | {"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    _write(folder, "generation_config.json", {"bos_token_id": 1, "eos_token_id": [2, 318], "pad_token_id": 2})
    return folder


def keras_deberta_v3(folder: Path, *, published_by: str = "keras_hub") -> Path:
    """Write the preset deberta_v3_extra_small_en as KerasHub itself saves it, on JAX.

    Args:
        folder: Where.
        published_by: The package that wrote it; those of before 2024 say `keras_nlp`.
    """
    from votecast.models.keras_siamese.keras_preset import start_keras

    start_keras("jax")
    import keras_hub

    tokenizer = keras_hub.models.DebertaV3Tokenizer(proto=deberta_pieces())
    shape = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32, "bucket_size": 16}
    backbone = keras_hub.models.DebertaV3Backbone(vocabulary_size=420, max_sequence_length=512, **shape)
    preprocessor = keras_hub.models.DebertaV3TextClassifierPreprocessor(tokenizer, sequence_length=512)
    task = keras_hub.models.DebertaV3TextClassifier(backbone, num_classes=2, preprocessor=preprocessor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Keras in numpy
        task.save_to_preset(str(folder))
    if published_by != "keras_hub":
        for path in folder.glob("*.json"):
            path.write_text(path.read_text("utf-8").replace("keras_hub", published_by), "utf-8")
    return folder


def kaggle_cache(folder: Path, preset: Path, handle: str) -> Path:
    """Write the cache of kagglehub, as after a download of a preset folder.

    Args:
        folder: Where; KAGGLEHUB_CACHE names it.
        preset: The preset folder.
        handle: OWNER/MODEL/keras/VARIATION/VERSION on Kaggle.
    """
    home, _, version = handle.rpartition("/")
    at = folder / "models" / home
    shutil.copytree(preset, at / version)
    for path in (at / version).rglob("*"):
        if path.is_file():
            marker = at / ".complete" / version / f"{path.relative_to(at / version)}.complete"
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
    return folder


@cache
def deberta_pieces() -> bytes:
    """Return a sentencepiece model with the special pieces of DeBERTa-v3 in their places; it has no mask."""
    pieces = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    return trained_pieces(SENTENCES, pad_id=0, bos_id=1, eos_id=2, unk_id=3, **pieces)


def trained_pieces(sentences: Iterable[str], **options: Any) -> bytes:
    """Train a sentencepiece model of as many pieces as the sentences give, 400 at most."""
    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=out,
        minloglevel=2,
        **{"vocab_size": 400, "hard_vocab_limit": False} | options,
    )
    return out.getvalue()


def _byte_fallback_vocabulary(proto: bytes) -> tuple[dict[str, int], list[list[str]]]:
    """Return pieces and merges of a sentencepiece model of byte pairs, as the hub's tokenizer.json holds them."""
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_proto=proto)
    vocab = {model.id_to_piece(id_): id_ for id_ in range(model.vocab_size())}
    parts = [(piece, cut) for piece in vocab for cut in range(1, len(piece)) if not piece.startswith("<")]
    merges = [[piece[:cut], piece[cut:]] for piece, cut in parts if piece[:cut] in vocab and piece[cut:] in vocab]
    return vocab, sorted(merges, key=lambda pair: vocab["".join(pair)])


def _write_decoder(folder: Path, config: dict[str, Any], seed: int, shard: str) -> None:
    """Write random weights in shards, the config in the spelling of the hub, and the settings of generation."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    values = {key: value for key, value in config.items() if key not in {"model_type", "torch_dtype"}}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(config["model_type"], **values))
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=shard)
    _write(folder, "config.json", config)
    generation = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id") if key in config}
    _write(folder, "generation_config.json", {"_from_model_config": True} | generation)


def _bpe(vocab: dict[str, int], merges: list[Any]) -> dict[str, Any]:
    joined = [pair if isinstance(pair, str) else " ".join(pair) for pair in merges]  # lists came later
    nothing = dict.fromkeys(("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"))
    flags = {"fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    return {"type": "BPE"} | nothing | flags | {"vocab": vocab, "merges": joined}


def _first_token(piece: str, id_: int) -> dict[str, Any]:
    def text(name: str, type_id: int) -> list[dict[str, Any]]:
        return [{"SpecialToken": {"id": piece, "type_id": type_id}}, {"Sequence": {"id": name, "type_id": type_id}}]

    special = {piece: {"id": piece, "ids": [id_], "tokens": [piece]}}
    return {"type": "TemplateProcessing", "single": text("A", 0), "pair": text("A", 0) + text("B", 1)} | {
        "special_tokens": special
    }


def _added(piece: str) -> dict[str, Any]:
    return {"content": piece, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}


def _write(folder: Path, name: str, values: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")


SYSTEMS = {
    "deberta_v3_large": deberta_v3,
    "gemma2_9b_qlora": gemma2,
    "llama31_8b_lora": llama31,
    "internlm2_reward": internlm2_reward,
    "siamese_keras": keras_deberta_v3,
}
"""Recipe -> what writes a folder like that of its model on the hub."""

if __name__ == "__main__":  # python -m tests.hub_folders SYSTEM FOLDER
    SYSTEMS[sys.argv[1]](Path(sys.argv[2]))
