"""Check what a config.json says of a network by arithmetic, before a parser or an allocation believes it.

Whoever loads a checkpoint of transformers calls it: the configuration is written by others, and a network of 10^9
layers is one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from transformers import PretrainedConfig

from votecast.errors import ConfigError

LIMITS: Final = {
    r"(num|n)_(\w+_)?layers?": (0, 1000),
    r"(num|n)_(\w+_)?heads?": (1, 4096),
    r"(\w+_)?vocab_size": (0, 2**23),
    r"(\w+_)?(hidden|intermediate|embedding)_(size|dim)|d_model|d_ff|n_embd|n_inner|ffn_dim|head_dim": (1, 2**18),
    r"max_position_embeddings|n_positions|n_ctx": (-1, 2**24),
    r"num_(\w+_)?labels": (0, 100_000),
    r"num_(\w+_)?experts|num_hidden_groups": (0, 10_000),
}
"""Pattern of a key -> least and most of its integers; the largest published models are far below."""

_DTYPE = re.compile(r"(torch\.)?b?float\d+\w*|auto")
_DEPTH = 20


def check_config(values: Mapping[str, Any], place: str) -> None:
    """Raise a ConfigError if a config.json describes a network that no computer holds, or types that are none.

    Args:
        values: What config.json holds.
        place: Folder or name of the model, for messages.

    Example:
        >>> check_config({"model_type": "bert", "num_hidden_layers": 1_000_000}, "somewhere")
        Traceback (most recent call last):
            ...
        votecast.errors.ConfigError: config.json of somewhere: num_hidden_layers is 1000000; allowed is 0 to 1000
    """
    for key, value in _numbers("", values, 0):
        for pattern, (least, most) in LIMITS.items():
            if re.fullmatch(pattern, key) and not least <= value <= most:
                raise ConfigError(f"config.json of {place}: {key} is {value}; allowed is {least} to {most}")
    for key in ("dtype", "torch_dtype"):
        given = values.get(key)
        for name in given.values() if isinstance(given, dict) else (given,):
            if name is not None and not (isinstance(name, str) and _DTYPE.fullmatch(name)):
                raise ConfigError(f"config.json of {place}: {key} is {name!r}; allowed are types such as bfloat16")


def _numbers(key: str, value: object, depth: int) -> Iterator[tuple[str, int]]:
    """Yield every integer with the key it stands under; those of a list stand under the key of the list."""
    if depth > _DEPTH:
        return
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _numbers(str(name), each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from _numbers(key, each, depth + 1)
    elif type(value) is int:
        yield key, value


def without_kernels(config: PretrainedConfig) -> PretrainedConfig:
    """Return a configuration that leaves the choice of attention to transformers: its file may name a hub's kernel."""
    parts = (getattr(config, name, None) for name in config.sub_configs)
    for part in (config, *(part for part in parts if isinstance(part, PretrainedConfig))):
        part._attn_implementation = part._experts_implementation = None
    return config


def check_weights_suffice(config: PretrainedConfig, size: int, place: str) -> None:
    """Raise a ConfigError if weights of so many bytes cannot hold a network of this configuration, in 4 bits even.

    transformers would fill whatever is missing or of another shape with random numbers first.
    """
    text = config.get_text_config()
    found = {
        name: value
        for name in ("vocab_size", "hidden_size", "embedding_size", "intermediate_size", "num_hidden_layers")
        if isinstance(value := getattr(text, name, None), int)
    }
    hidden = found.get("hidden_size", 0)
    embedding = min(hidden, found.get("embedding_size", hidden), getattr(text, "word_embed_proj_dim", hidden))
    matrices = {
        "vocab_size": found.get("vocab_size", 0) * embedding,
        "num_hidden_layers": found.get("num_hidden_layers", 0) * hidden,
        "intermediate_size": found.get("intermediate_size", 0) * hidden,
    }
    name, most = max(matrices.items(), key=lambda item: item[1])
    if most > 2 * size:
        raise ConfigError(
            f"the weights in {place} are not those of its config.json: {name} is {found[name]:,} and hidden_size "
            f"{hidden:,}, and they have {size:,} bytes; give a folder whose config.json and weights were saved together"
        )
