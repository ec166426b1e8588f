"""Checkpoints in the layouts and sizes of the hub, from seeded random bytes, written shard by shard."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from votecast.models.sizing.network_size import PUBLISHED

SHARD = 5_000_000_000
"""Bytes of one file of weights, as on the hub."""
_PIECE = 1 << 24
_TEXT = """the a of to and in is that it for on with as be this are by an or from at not have was can will you your
which what how why when who answer question response prompt because example first second better shorter longer list
code python function return number value table paragraph sentence word letter write read explain compare"""

_BEYOND_SIZES: dict[str, dict[str, Any]] = {
    "deberta-v2": {"pooler_dropout": 0, "pooler_hidden_act": "gelu", "layer_norm_eps": 1e-7, "pad_token_id": 0},
    "gemma2": {
        "architectures": ["Gemma2ForCausalLM"],
        "final_logit_softcapping": 30.0,
        "hidden_activation": "gelu_pytorch_tanh",
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
        "torch_dtype": "bfloat16",
    },
    "llama": {
        "architectures": ["LlamaForCausalLM"],
        "rms_norm_eps": 1e-5,
        "rope_theta": 500_000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
        "tie_word_embeddings": False,
        "bos_token_id": 128_000,
        "eos_token_id": 128_001,
        "torch_dtype": "bfloat16",
    },
    "internlm2": {
        "auto_map": {
            "AutoConfig": "configuration_internlm2.InternLM2Config",
            "AutoModel": "modeling_internlm2.InternLM2ForRewardModel",
        },
        "bias": False,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 1_000_000,
        "rope_scaling": {"type": "dynamic", "factor": 2.0},
        "reward_token_id": 92527,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    },
}


def published_config(name: str) -> dict[str, Any]:
    """Return the config.json of a model on the hub whose sizes votecast knows."""
    sizes = dict(PUBLISHED[name])
    return sizes | _BEYOND_SIZES[sizes["model_type"]]


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return 2 * math.prod(self.shape)


def write_checkpoint(config: dict[str, Any], folder: Path, *, seed: int = 0) -> int:
    """Write config, tokenizer and weights of 16 bits into a new folder; return the bytes of the weights."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2), "utf-8")
    kind = config["model_type"]
    {"gemma2": _gemma_tokenizer, "llama": _llama_tokenizer, "internlm2": _internlm2_tokenizer}.get(
        kind, _deberta_tokenizer
    )(folder, config)
    tensors = _internlm2_tensors(config) if kind == "internlm2" else _transformers_tensors(config)
    rng = np.random.default_rng(seed)
    if kind == "deberta-v2":
        return _write_bin(tensors, folder / "pytorch_model.bin", rng)
    return _write_shards(tensors, folder, rng)


def _transformers_tensors(config: dict[str, Any]) -> list[_Tensor]:
    """Names and shapes of a model of transformers, which is built without memory."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    values = {key: value for key, value in config.items() if key not in ("model_type", "architectures", "torch_dtype")}
    made = AutoConfig.for_model(config["model_type"], **values)
    with torch.device("meta"):
        if config["model_type"] == "deberta-v2":
            state = {f"deberta.{name}": value for name, value in AutoModel.from_config(made).state_dict().items()}
        else:
            model = AutoModelForCausalLM.from_config(made)
            state = model.state_dict()
            if made.tie_word_embeddings:
                state.pop("lm_head.weight")
    return [_Tensor(name, tuple(value.shape)) for name, value in state.items()]


def _internlm2_tensors(config: dict[str, Any]) -> list[_Tensor]:
    """Names and shapes of an InternLM2 reward model, with its packed attention."""
    h, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    packed = (heads + 2 * config["num_key_value_heads"]) * (h // heads)
    found = [_Tensor("model.tok_embeddings.weight", (config["vocab_size"], h))]
    for number in range(config["num_hidden_layers"]):
        shapes = {
            "attention.wqkv": (packed, h),
            "attention.wo": (h, h),
            "feed_forward.w1": (inner, h),
            "feed_forward.w3": (inner, h),
            "feed_forward.w2": (h, inner),
            "attention_norm": (h,),
            "ffn_norm": (h,),
        }
        found += [_Tensor(f"model.layers.{number}.{name}.weight", shape) for name, shape in shapes.items()]
    return [*found, _Tensor("model.norm.weight", (h,)), _Tensor("v_head.weight", (1, h))]


def _pieces(tensor: _Tensor, rng: np.random.Generator, *, half: bool) -> Iterator[NDArray[np.uint16]]:
    """The bits of a tensor in bf16, or fp16 with `half`, a piece at a time: norms are 1, biases 0, the rest small."""
    count = math.prod(tensor.shape)
    one = 0x3C00 if half else 0x3F80
    # random sign and mantissa under a fixed exponent: magnitudes from 1/64 to 1/32
    keep, exponent = map(np.uint16, (0x83FF, 0x2400) if half else (0x807F, 0x3C80))
    for start in range(0, count, _PIECE):
        size = min(_PIECE, count - start)
        if "norm" in tensor.name.lower():
            yield np.full(size, 0 if tensor.name.endswith("bias") else one, np.uint16)
        elif tensor.name.endswith("bias"):
            yield np.zeros(size, np.uint16)
        else:
            yield np.frombuffer(rng.bytes(2 * size), np.uint16) & keep | exponent


def _write_shards(tensors: list[_Tensor], folder: Path, rng: np.random.Generator) -> int:
    shards: list[list[_Tensor]] = [[]]
    for tensor in tensors:
        if shards[-1] and sum(t.size for t in shards[-1]) + tensor.size > SHARD:
            shards.append([])
        shards[-1].append(tensor)
    weight_map, total = {}, 0
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        offset = 0
        for tensor in shard:
            place = [offset, offset + tensor.size]
            header[tensor.name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": place}
            offset, weight_map[tensor.name] = place[1], name
        encoded = json.dumps(header).encode()
        encoded += b" " * (-len(encoded) % 8)
        with (folder / name).open("wb") as file:
            file.write(len(encoded).to_bytes(8, "little") + encoded)
            for tensor in shard:
                for piece in _pieces(tensor, rng, half=False):
                    file.write(piece.tobytes())
        total += offset
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2), "utf-8")
    return total


def _write_bin(tensors: list[_Tensor], path: Path, rng: np.random.Generator) -> int:
    import torch

    state = {}
    for tensor in tensors:
        bits = np.concatenate(list(_pieces(tensor, rng, half=True)))
        state[tensor.name] = torch.from_numpy(bits.view(np.float16)).view(tensor.shape)
    torch.save(state, path)
    return sum(tensor.size for tensor in tensors)


def _sentencepiece(size: int, kind: str, **options: Any) -> bytes:
    """Train a model of sentencepiece on a few words, and fill it up to the vocabulary of the true one."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as pb2

    words, rng, written = _TEXT.split(), np.random.default_rng(0), io.BytesIO()
    lines = (" ".join(rng.choice(words, 12)) for _ in range(2000))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_writer=written,
        model_type=kind,
        vocab_size=400,
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    model = pb2.ModelProto.FromString(  # type: ignore[attr-defined]
        written.getvalue()
    )
    for number in range(size - len(model.pieces)):
        model.pieces.add(piece=f"\u2581filler{number}", score=-1000.0 - number)
    model.trainer_spec.vocab_size = size
    return bytes(model.SerializeToString())


def _deberta_tokenizer(folder: Path, config: dict[str, Any]) -> None:  # noqa: ARG001 - one signature for all
    specials = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]"}
    proto = _sentencepiece(128_000, "unigram", **specials, eos_piece="[SEP]", unk_piece="[UNK]")
    (folder / "spm.model").write_bytes(proto)
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}', "utf-8")


def _internlm2_tokenizer(folder: Path, config: dict[str, Any]) -> None:
    proto = _sentencepiece(config["vocab_size"], "bpe", unk_id=0, bos_id=1, eos_id=2)
    (folder / "tokenizer.model").write_bytes(proto)
    names = ("<|plugin|>", "<|interpreter|>", "<|action_end|>", "<|action_start|>", "<|im_end|>", "<|im_start|>")
    added = {str(92538 + place): {"content": name, "special": True} for place, name in enumerate(names)}
    added["92527"] = {"content": "<|reward|>", "special": True}
    values = {"tokenizer_class": "InternLM2Tokenizer", "added_tokens_decoder": added}
    values |= {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(values, indent=2), "utf-8")
    for name in ("configuration_internlm2.py", "modeling_internlm2.py", "tokenization_internlm2.py"):
        (folder / name).write_text("raise SystemExit('code of a checkpoint was run')\n", "utf-8")


def _fast_tokenizer(folder: Path, size: int, specials: list[str], *, byte_level: bool, **settings: Any) -> None:
    """Write tokenizer.json of a byte-pair encoder whose vocabulary is filled up to a size."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    words, rng = _TEXT.split(), np.random.default_rng(0)
    tokenizer = Tokenizer(models.BPE(byte_fallback=not byte_level, unk_token=None if byte_level else "<unk>"))
    if byte_level:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet, first = pre_tokenizers.ByteLevel.alphabet(), []
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
        alphabet, first = [], [*specials, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=first, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator((" ".join(rng.choice(words, 12)) for _ in range(2000)), trainer)
    values = json.loads(tokenizer.to_str())
    vocabulary = values["model"]["vocab"]
    filled = size - (len(specials) if byte_level else 0)
    vocabulary |= {f"\u2581filler{number}": number for number in range(len(vocabulary), filled)}
    places = {name: filled + place if byte_level else vocabulary[name] for place, name in enumerate(specials)}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    values["added_tokens"] = [
        {"id": place, "content": name, "special": True, **flags} for name, place in places.items()
    ]
    (folder / "tokenizer.json").write_text(json.dumps(values), "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), "utf-8")


def _gemma_tokenizer(folder: Path, config: dict[str, Any]) -> None:
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    named = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    settings = {"tokenizer_class": "GemmaTokenizer", **named}
    _fast_tokenizer(folder, config["vocab_size"], specials, byte_level=False, **settings)


def _llama_tokenizer(folder: Path, config: dict[str, Any]) -> None:
    specials = ["<|begin_of_text|>", "<|end_of_text|>", *(f"<|reserved_special_token_{n}|>" for n in range(254))]
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": specials[0], "eos_token": specials[1]}
    _fast_tokenizer(folder, config["vocab_size"], specials, byte_level=True, **settings)
