"""InternLM2 reward checkpoints, read into the Llama classes of transformers; no code from their folders runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import LlamaConfig, LlamaModel

from votecast.config.machine import fitting_in_memory
from votecast.errors import ArtifactError, ConfigError
from votecast.inference.devices import MORE_MEMORY
from votecast.models.neural.hub import silence_transformers
from votecast.models.neural.weight_files import read_weights, weight_files
from votecast.training.mixed_precision import bitsandbytes

KIND, CLASS, REWARD_TOKEN = "internlm2", "InternLM2ForRewardModel", 92527

_HEAD = "v_head.weight"
# weights of 4 bits have constants beside them, such as weight.absmax
_LAYER = re.compile(r"(layers\.\d+)\.(.+?)\.((?:weight|bias)(?:\..+)?)")
# names of InternLM2 -> names of Llama; the attention is packed into one tensor and split apart
_RENAMED = {
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w3": "mlp.up_proj",
    "feed_forward.w2": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_PACKED = "attention.wqkv"
_SHARED = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act",
    "max_position_embeddings", "initializer_range", "rms_norm_eps", "pad_token_id", "bos_token_id", "eos_token_id",
)  # fmt: skip


def read_config(folder: Path) -> dict[str, Any]:
    """Read the config.json of a folder; if it is missing or damaged, raise an ArtifactError."""
    try:
        values = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{folder}/config.json cannot be read: {error}; give the folder of a model") from error
    if not isinstance(values, dict):
        raise ArtifactError(f"{folder}/config.json holds {type(values).__name__}, not settings; copy the folder again")
    return values


def is_internlm2(values: Mapping[str, Any]) -> bool:
    """Return whether a config.json is that of an InternLM2 model.

    Example:
        >>> is_internlm2({"model_type": "internlm2"}), is_internlm2({"model_type": "llama"})
        (True, False)
    """
    return values.get("model_type") == KIND


def llama_config(values: Mapping[str, Any]) -> LlamaConfig:
    """Return the configuration of the same architecture as Llama.

    Raises:
        ConfigError: If it is not the reward model, or has a setting that Llama does not have.
    """
    classes = values.get("architectures") or []
    if CLASS not in classes:
        raise ConfigError(
            f"this InternLM2 checkpoint is of the class {', '.join(map(str, classes)) or 'nothing'}; votecast reads "
            f"{CLASS} (internlm2-1_8b-reward, -7b-reward, -20b-reward)"
        )
    if dict(values.get("quantization_config") or {}).get("load_in_8bit"):
        raise ConfigError(
            "this InternLM2 checkpoint is stored in 8 bits; allowed are the original weights, which model.weights int8 "
            "or nf4 holds in 8 or 4 bits, and checkpoints stored in 4 bits by bitsandbytes"
        )
    heads, hidden = int(values["num_attention_heads"]), int(values["hidden_size"])
    key_value = int(values.get("num_key_value_heads") or heads)
    if hidden % heads or heads % key_value:
        raise ConfigError(
            f"config.json has hidden_size {hidden}, num_attention_heads {heads} and num_key_value_heads {key_value}; "
            "each must be a multiple of the next"
        )
    rope = {"rope_theta": float(values.get("rope_theta", 10000.0)), "rope_type": "default"}
    if scaling := values.get("rope_scaling"):
        kind = scaling.get("type") or scaling.get("rope_type")
        if kind not in ("linear", "dynamic") or not isinstance(scaling.get("factor"), int | float):
            raise ConfigError(
                f"rope_scaling is {dict(scaling)}; InternLM2 has the types linear and dynamic, with a factor"
            )
        rope |= {"rope_type": kind, "factor": float(scaling["factor"])}
    return LlamaConfig(
        num_key_value_heads=key_value,
        rope_parameters=rope,
        attention_bias=bool(values.get("bias", False)),
        mlp_bias=False,
        tie_word_embeddings=False,
        use_cache=False,
        **{name: values[name] for name in _SHARED if values.get(name) is not None},
        **{name: values[name] for name in ("quantization_config",) if values.get(name) is not None},
    )


def llama_weights(tensors: Mapping[str, Tensor], config: LlamaConfig) -> tuple[dict[str, Any], Tensor]:
    """Rename the weights to Llama's names; return them, and those of the head.

    Raises:
        ArtifactError: If the head is missing, or a tensor is unknown or of another shape.
    """
    if _HEAD not in tensors:
        raise ArtifactError(f"this InternLM2 checkpoint has no {_HEAD}; give one of a reward model")
    found: dict[str, Any] = {}
    for full, tensor in tensors.items():
        name, place = full.removeprefix("model."), _LAYER.fullmatch(full.removeprefix("model."))
        if full == _HEAD or name.endswith("rotary_emb.inv_freq"):
            continue
        if name in ("tok_embeddings.weight", "norm.weight"):
            found[name.replace("tok_embeddings", "embed_tokens")] = tensor
        elif place is not None and place[2] in _RENAMED:
            found[f"{place[1]}.{_RENAMED[place[2]]}.{place[3]}"] = tensor
        elif place is not None and place[2] == _PACKED:
            if "." in place[3]:  # a constant, read with its weight
                continue
            constants = {key: value for key, value in tensors.items() if key.startswith(f"{full}.")}
            parts = _split_four_bits(tensor, constants, config) if constants else _split(tensor, config)
            for which, part in zip("qkv", parts, strict=True):
                at = f"{place[1]}.self_attn.{which}_proj.{place[3]}"
                found |= {f"{at}{key}": value for key, value in part.items()}
        else:
            raise ArtifactError(
                f"it holds {name}, which InternLM2 does not have; give a checkpoint of that architecture"
            )
    return found, tensors[_HEAD]


def read_reward(folder: Path, options: Mapping[str, Any]) -> tuple[LlamaModel, Tensor]:
    """Read a checkpoint.

    Args:
        folder: Holds config.json and weights: safetensors, or .bin read with `weights_only=True`, whole or in shards.
        options: Keywords of `from_pretrained`, such as dtype.

    Returns:
        The bare Llama model, and the head from its last state to the reward, shape (1, h).

    Raises:
        ConfigError: If it is not a reward model.
        ArtifactError: If weights are missing, damaged, or do not fit config.json.
    """
    try:
        config = llama_config(read_config(folder))
        weights, head = llama_weights(read_weights(weight_files(folder)), config)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder}/config.json does not describe InternLM2: {error!r}; copy it again") from error
    except (ArtifactError, ConfigError) as error:
        raise type(error)(f"{folder}: {error}") from error
    if head.shape != (1, config.hidden_size):
        raise ArtifactError(f"{folder}: {_HEAD} has shape {tuple(head.shape)}; expected is (1, {config.hidden_size})")
    checks = {"ignore_mismatched_sizes": True}  # they are named below, all at once
    try:
        with silence_transformers(), fitting_in_memory(f"the weights in {folder}", MORE_MEMORY):
            model, loaded = LlamaModel.from_pretrained(
                None, config=config, state_dict=weights, output_loading_info=True, **checks, **options
            )
    except (RuntimeError, ValueError, KeyError) as error:
        raise ArtifactError(f"{folder}: the weights do not fit config.json: {str(error).strip()[:300]}") from error
    wrong = sorted(loaded["missing_keys"]) + sorted(str(name) for name, *_ in loaded["mismatched_keys"])
    wrong += sorted(loaded["unexpected_keys"])
    if wrong:
        raise ArtifactError(
            f"{folder}: {len(wrong)} weights are missing, of another shape or too many ({', '.join(wrong[:3])}); take "
            "config.json and weights from one model"
        )
    return model.eval(), head.float()


class _Part:
    """Rows of a tensor, copied when they are read: transformers reads one weight after the other."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def __getitem__(self, _: object) -> Tensor:
        return self._tensor.contiguous()

    def is_floating_point(self) -> bool:
        """Return whether the tensor holds floating-point numbers."""
        return self._tensor.is_floating_point()


def _split(tensor: Tensor, config: LlamaConfig) -> list[dict[str, Any]]:
    parts = split_packed(tensor, config.num_attention_heads, config.num_key_value_heads)
    return [{"": _Part(part)} for part in parts]


def _split_four_bits(tensor: Tensor, constants: Mapping[str, Tensor], config: LlamaConfig) -> list[dict[str, Any]]:
    """Split a packed projection in 4 bits without rounding it again: queries, keys and values with their constants.

    Constants that are quantized themselves are written out: their blocks go across the rows of several heads.
    """
    functional = bitsandbytes().functional
    named = {key.rpartition("weight.")[2]: value for key, value in constants.items()}
    state = functional.QuantState.from_dict(named, tensor.device)
    rows, width = state.shape
    if width % state.blocksize:
        raise ArtifactError(
            f"it is stored in 4 bits in blocks of {state.blocksize}, which its rows of {width} weights do not fill; "
            "give the original, and set model.weights to nf4"
        )
    scales = state.absmax
    if state.nested:
        scales = functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
    heads = config.num_attention_heads, config.num_key_value_heads
    found: list[dict[str, Any]] = []
    # both lie row by row, (rows, bytes) and (rows, blocks)
    pairs = zip(split_packed(tensor.view(rows, -1), *heads), split_packed(scales.view(rows, -1), *heads), strict=True)
    for bits, own in pairs:
        part = functional.QuantState(
            own.flatten().float(), (len(bits), width), state.code, state.blocksize, state.quant_type, state.dtype
        )
        described = {f".{name}": value for name, value in part.as_dict(packed=True).items()}
        found.append({"": bits.reshape(-1, 1)} | described)
    return found


def split_packed(tensor: Tensor, heads: int, key_value_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split a packed projection: for each key/value head its queries, then key, then value.

    Args:
        tensor: Weight of shape (rows, h) or bias of shape (rows,), with rows = (heads + 2 key_value_heads) d.
        heads: Query heads.
        key_value_heads: Heads of keys and of values.

    Example:
        >>> import torch
        >>> [part.tolist() for part in split_packed(torch.arange(8), heads=4, key_value_heads=2)]
        [[0, 1, 4, 5], [2, 6], [3, 7]]
    """
    rows, together = tensor.shape[0], heads + 2 * key_value_heads
    if rows % together:
        raise ArtifactError(f"{_PACKED} has {rows} rows, which {heads} heads and {key_value_heads} pairs cannot share")
    grouped = tensor.view(key_value_heads, heads // key_value_heads + 2, rows // together, *tensor.shape[1:])
    queries, keys, values = grouped[:, :-2], grouped[:, -2], grouped[:, -1]
    return tuple(part.reshape(-1, *tensor.shape[1:]) for part in (queries, keys, values))  # type: ignore[return-value]
