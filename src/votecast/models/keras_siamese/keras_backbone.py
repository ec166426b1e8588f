"""Backbones of KerasHub: found by name, described in JSON, built again."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from votecast.config.extras import need
from votecast.errors import ConfigError
from votecast.models.keras_siamese.keras_preset import loading_preset, resolve_preset
from votecast.models.keras_siamese.settings import Backend

if TYPE_CHECKING:
    from keras_hub.models import Backbone as HubBackbone

_TINY_SHAPE = {"num_layers": 2, "num_heads": 2, "hidden_dim": 32, "intermediate_dim": 64, "max_sequence_length": 512}
TINY: dict[str, tuple[str, dict[str, object]]] = {
    "bert": ("BertBackbone", {}),
    "roberta": ("RobertaBackbone", {}),
    "deberta_v3": ("DebertaV3Backbone", {"bucket_size": 16}),
}
"""Name of a small random backbone -> class of KerasHub, settings beside those all of them share."""


def resolve_precision(precision: str, backend: Backend) -> str:
    """Return the dtype policy of Keras for a setting; `auto` is mixed_float16 on accelerators."""
    if precision != "auto":
        return precision
    if backend == "jax":
        has_accelerator = need("jax").default_backend() != "cpu"
    elif backend == "torch":
        has_accelerator = need("torch").cuda.is_available()
    else:
        has_accelerator = bool(need("tensorflow").config.list_physical_devices("GPU"))
    return "mixed_float16" if has_accelerator else "float32"


@contextmanager
def seeded(keras: ModuleType, seed: int) -> Iterator[None]:
    """Let Keras draw from a seed within this context; the generators of Python, numpy and torch are restored."""
    torch = sys.modules.get("torch") if keras.config.backend() == "torch" else None
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - keras seeds this one
    drawn = torch.get_rng_state() if torch else None
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        if torch:
            torch.set_rng_state(drawn)


class Backbone(BaseModel):
    """All that is needed to build a backbone again, without its weights.

    Keras would store the class as an object to import; a judge folder holds a name and plain values alone.

    Args:
        kind: Its class in KerasHub.
        config: The arguments of the class.
        exact_gelu: Whether its activation is the exact function, where KerasHub's class has an approximation.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="forbid")

    kind: str = Field(alias="class")
    config: dict[str, object]
    exact_gelu: bool = False

    @field_validator("config")
    @classmethod
    def _plain(cls, config: dict[str, object]) -> dict[str, object]:
        if not _is_plain(config):
            raise ValueError("a backbone is described by plain numbers and words, and this one by more")
        return config

    @property
    def key(self) -> str:
        """The description as text: equal for equal backbones."""
        return json.dumps(self.model_dump(by_alias=True), sort_keys=True)

    def build(self, dtype: str) -> HubBackbone:
        """Build the backbone with random weights.

        Raises:
            ConfigError: If KerasHub has no such class, or the class refuses its arguments.
        """
        hub = need("keras_hub")
        kind = getattr(hub.models, self.kind, None)
        if not isinstance(kind, type) or not issubclass(kind, hub.models.Backbone):
            raise ConfigError(f"KerasHub {hub.__version__} has no backbone {self.kind!r}; install the version with it")
        try:
            made = kind(**self.config, name="backbone", dtype=dtype)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"KerasHub cannot build a {self.kind} of {self.config}: {error}") from error
        if self.exact_gelu:
            _set_exact_gelu(made)
        return made

    def check_readable(self, inputs: set[str], *, longest: int, vocabulary: int) -> None:
        """Check that the backbone has these inputs, and room for the longest sequence and for the vocabulary.

        Raises:
            ConfigError: Stating both numbers.
        """
        if not {"token_ids", "padding_mask"} <= inputs <= {"token_ids", "padding_mask", "segment_ids"}:
            raise ConfigError(f"a {self.kind} reads {', '.join(sorted(inputs))}; needed is a backbone that reads text")
        positions, tokens = self.config.get("max_sequence_length"), self.config.get("vocabulary_size")
        if isinstance(positions, int) and longest > positions:
            raise ConfigError(
                f"model.text.max_length is {longest}, and the backbone has {positions} positions; "
                f"set it to at most {positions}"
            )
        if isinstance(tokens, int) and vocabulary > tokens:
            raise ConfigError(
                f"the tokenizer has {vocabulary} tokens, and the backbone knows {tokens}; set model.tokenizer to the "
                "one it was trained with"
            )


def load_backbone(keras: ModuleType, name: str, dtype: str, vocabulary: int) -> tuple[Backbone, HubBackbone]:
    """Load the backbone that `model.name` names, under a dtype policy, and its description.

    Raises:
        ConfigError: If there is no such backbone, it cannot be downloaded, or it is not a text encoder.
    """
    if name.startswith("tiny:"):
        key = name.removeprefix("tiny:").replace("-", "_")
        if key not in TINY:
            allowed = ", ".join(f"tiny:{known}" for known in TINY)
            raise ConfigError(f"there is no small backbone {name!r}; allowed are {allowed}")
        kind, config = TINY[key]
        backbone = Backbone(kind=kind, config=_TINY_SHAPE | config | {"vocabulary_size": vocabulary})
        return backbone, backbone.build(dtype)
    preset = resolve_preset(name)
    with loading_preset(preset):
        made = need("keras_hub").models.Backbone.from_preset(preset, dtype=keras.dtype_policies.get(dtype))
    # KerasHub converts a folder of transformers, whose model may have the exact function
    source = Path(preset, "config.json")
    values = json.loads(source.read_text("utf-8")) if source.is_file() else {}
    exact = "model_type" in values and values.get("hidden_act") == "gelu" and _set_exact_gelu(made)
    config = {key: value for key, value in made.get_config().items() if key not in {"name", "trainable", "dtype"}}
    try:
        return Backbone(kind=type(made).__name__, config=config, exact_gelu=exact), made
    except ValueError as error:
        raise ConfigError(f"a {type(made).__name__} is described by objects that no judge folder holds") from error


def _is_plain(value: object) -> bool:
    """Whether these are numbers, words, lists and mappings, and none of them stands for an object of Keras."""
    if isinstance(value, dict):
        return "class_name" not in value and all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def _set_exact_gelu(backbone: HubBackbone) -> bool:
    """Replace KerasHub's approximation by tanh with the exact activation; return whether there was one."""
    approximate = need("keras_hub.src.utils.keras_utils").gelu_approximate
    layers = [layer for layer in backbone._flatten_layers(include_self=False) if hasattr(layer, "activation")]
    found = [layer for layer in layers if layer.activation is approximate]
    for layer in found:
        layer.activation = need("keras").activations.gelu
    return bool(found)
