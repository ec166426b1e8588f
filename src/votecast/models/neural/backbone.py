"""Backbones of transformers: found by name, built small for tests, refused with a reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PretrainedConfig,
)

from votecast.errors import ConfigError, JudgeError
from votecast.models.neural import minilm, smollm2
from votecast.models.neural.quantized import in_memory
from votecast.models.neural.quiet import quietly
from votecast.models.neural.tiny import TINY, tiny_config
from votecast.models.neural.weights import WEIGHTS, digest_of, weight_files
from votecast.text.tokenization import FastTokenizer, load_tokenizer, tiny_tokenizer

Kind = Literal["encoder", "classifier", "decoder"]
"""A bare encoder, an encoder with a classification head of three labels, or a bare causal model."""

LABELS = ("a", "b", "tie")
_HEADS = ("classifier", "pooler", "score", "head.")


@dataclass(frozen=True)
class Source:
    """Where a backbone comes from.

    Args:
        path: A folder or a hub name; empty for tiny models.
        revision: Commit, branch or tag on the hub.
        tiny: Architecture of a small random model; empty for all others.
        base: Name, revision, SHA-256 and licence, for judges that do not hold these weights themselves.
    """

    path: str
    revision: str | None = None
    tiny: str = ""
    base: dict[str, Any] | None = None

    @classmethod
    def of(cls, name: str, revision: str | None = None) -> Source:
        """Resolve the setting `model.name`.

        Raises:
            ConfigError: If it is a path where nothing lies, or a tiny model of an unknown architecture.
            MissingExtraError: If it is `minilm` or `smollm2` and its package is not installed.
        """
        if name.startswith("tiny:"):
            kind = name.removeprefix("tiny:")
            if kind not in TINY:
                raise ConfigError(f"there is no tiny model {kind!r}; allowed are {', '.join(TINY)}")
            return cls("", tiny=kind)
        if name == minilm.NAME:
            return cls(
                str(minilm.minilm_folder()),
                base={
                    "name": minilm.HUB_NAME,
                    "revision": None,
                    "sha256": minilm.SHA256,
                    "licence": minilm.LICENCE,
                },
            )
        if name == smollm2.NAME:
            return cls(str(smollm2.smollm2_folder()), base=smollm2.BASE)
        folder = Path(name).expanduser()
        if folder.is_dir():
            return cls(str(folder), base=_base(name, None, folder))
        if name.count("/") > 1 or name.startswith((".", "~", "/")) or folder.exists():
            raise ConfigError(f"model.name is {name!r}, and there is no such folder; give a folder with weights")
        return cls(name, revision, base=_base(name, revision, None))

    def tokenizer(self, *, eos_as_padding: bool = False) -> FastTokenizer:
        """The tokenizer that belongs to it; decoders may fill up with the end of a text."""
        if self.tiny:
            return tiny_tokenizer()
        self.config()  # a name that nobody knows is told once, and as a model
        with quietly():
            return load_tokenizer(self.path, revision=self.revision, eos_as_padding=eos_as_padding)

    def config(self) -> PretrainedConfig:
        """Its configuration, without weights."""
        if self.tiny:
            return tiny_config(self.tiny, tiny_tokenizer())
        return _guarded(self, lambda: AutoConfig.from_pretrained(self.path, **self._options()))

    def load(
        self,
        kind: Kind,
        *,
        dropout: float | None = None,
        options: Mapping[str, Any] | None = None,
        labels: Sequence[str] = LABELS,
        head_given: bool = False,
    ) -> Any:
        """The model, in fp32 unless options say otherwise; what it does not hold is drawn from torch's generator.

        Args:
            kind: Which part of it, under which head.
            dropout: Dropout probability everywhere; None keeps its own.
            options: Further keywords of `from_pretrained`, such as dtype.
            labels: The outputs of a classifier.
            head_given: Whether the head of a classifier must be among the weights.

        Raises:
            ConfigError: If there is no such model, a folder holds no weights, or the head is not there.
        """
        config = self.config()
        _set_dropout(config, dropout)
        factory = AutoModelForSequenceClassification if kind == "classifier" else AutoModel
        if kind == "decoder":
            _check_causal(config, self.path or f"tiny:{self.tiny}")
            config = config.get_text_config()
            config.use_cache = False
        if kind == "classifier":
            config.num_labels = len(labels)
            config.id2label, config.label2id = dict(enumerate(labels)), {name: i for i, name in enumerate(labels)}
        keywords = {"dtype": "float32"} | dict(options or {})
        if self.tiny:
            return in_memory(factory.from_config(config, dtype="float32"), keywords)
        if Path(self.path).is_dir():
            _check_weights_present(Path(self.path))
        model, found = _guarded(
            self,
            lambda: factory.from_pretrained(
                self.path,
                config=config,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **keywords,
                **self._options(),
            ),
        )
        _refuse_random(self.path, found)
        if head_given:
            _refuse_random_head(self.path, found, len(labels))
        return model

    def _options(self) -> dict[str, Any]:
        return (
            {"revision": self.revision, "trust_remote_code": False} if self.revision else {"trust_remote_code": False}
        )


def check_positions(config: Any, max_length: int, name: str) -> None:
    """Refuse sequences that are longer than what the model has positions for.

    Raises:
        ConfigError: Stating both numbers.
    """
    if getattr(config, "position_biased_input", True) is False:
        return  # DeBERTa-v3 knows relative positions only
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return
    if config.model_type in {"roberta", "xlm-roberta", "camembert"}:
        positions -= config.pad_token_id + 1
    if max_length > positions:
        raise ConfigError(
            f"model.text.max_length is {max_length}, and {name} has {positions} positions; "
            f"set it to at most {positions}"
        )


def _check_causal(config: Any, name: str) -> None:
    kind = type(config.get_text_config())
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING or kind in MODEL_FOR_MASKED_LM_MAPPING:
        raise ConfigError(
            f"model.name is {name!r}, of the type {config.model_type}, which is no causal language model; allowed are "
            "Llama, Gemma, Qwen, Mistral, SmolLM and others like them; for encoders take the family cross_encoder"
        )


def _base(name: str, revision: str | None, folder: Path | None) -> dict[str, Any]:
    holds_weights = folder is not None and any((folder / file).is_file() for file in WEIGHTS)
    known = digest_of(weight_files(folder)) if folder is not None and holds_weights else None
    return {"name": name, "revision": revision, "sha256": known, "licence": None}


def _set_dropout(config: Any, dropout: float | None) -> None:
    if dropout is None:
        return
    for key in vars(config):
        if key.endswith(("dropout", "dropout_prob")) and isinstance(getattr(config, key), int | float):
            setattr(config, key, dropout)


def _check_weights_present(folder: Path) -> None:
    names = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
    if not any((folder / name).is_file() for name in names):
        raise ConfigError(
            f"{folder} holds no weights; allowed are {', '.join(names)} beside its config.json: give the folder of a "
            "model saved with save_pretrained"
        )


def _refuse_random(path: str, found: dict[str, Any]) -> None:
    """A head may be new; an encoder of which a part is missing would forecast from random numbers."""
    absent = [*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])]
    absent = sorted(name for name in absent if not any(word in name for word in _HEADS))
    if absent:
        raise ConfigError(
            f"the weights in {path} are not those of its config.json: {len(absent)} tensors are missing or of another "
            f"shape, such as {absent[0]}; give a folder whose config.json and weights were saved together"
        )


def _refuse_random_head(path: str, found: dict[str, Any], outputs: int) -> None:
    absent = sorted(found["missing_keys"])
    shapes = [f"{name} has shape {list(shape)}" for name, shape, *_ in sorted(found["mismatched_keys"])]
    if absent or shapes:
        wrong = f"{absent[0]} is missing" if absent else shapes[0]
        raise ConfigError(
            f"{path} has no head of {outputs} output{'s' if outputs > 1 else ''}: {wrong}; give a model trained "
            f"with num_labels={outputs}"
        )


def _guarded(source: Source, load: Callable[[], Any]) -> Any:
    try:
        with quietly():
            return load()
    except (OSError, ValueError, KeyError) as error:
        offline = " (offline: HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise ConfigError(
            f"the model {source.path!r} cannot be loaded{offline}: {_first_line(error)}; give a folder with "
            "config.json and weights, or the name of a public model on the Hugging Face hub"
        ) from error
    except RuntimeError as error:
        raise JudgeError(f"the weights of {source.path!r} do not fit its config.json: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
