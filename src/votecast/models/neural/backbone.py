"""Backbones of transformers: found by folder or name, small random ones for tests, and errors with a reason.

The families in torch load their encoders and decoders through `Source`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Literal

import torch
import yaml
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)

from votecast.artifacts import check_text_files
from votecast.errors import ArtifactError, ConfigError
from votecast.models.neural.config_limits import check_config, check_weights_suffice, without_kernels
from votecast.models.neural.hub import hub_commit, loading_model, missing_base
from votecast.models.neural.packaged_weights import MINILM, SMOLLM2, minilm_folder, smollm2_folder
from votecast.models.neural.quantization import convert_in_memory
from votecast.models.neural.weight_files import WEIGHTS, weight_files, weights_digest
from votecast.text.tokenization import FastTokenizer, load_tokenizer, tiny_tokenizer
from votecast.types import CLASSES

Kind = Literal["encoder", "classifier", "decoder"]
"""A bare encoder, an encoder with a classification head of three labels, or a bare causal model."""

_LAYER = re.compile(r"(?:(?:[a-z]+|language_model)\.)*layers?\.(\d+)\.")  # no layer of a vision tower
_HEADS = ("classifier", "pooler", "score", "head.")

_TINY = yaml.safe_load((resources.files("votecast.models.neural") / "tiny_models.yaml").read_text("utf-8"))
TINY: dict[str, dict[str, object]] = _TINY["encoders"] | _TINY["decoders"]
"""Architecture of a small random model -> its settings beside the common shape."""
TINY_ENCODERS, TINY_DECODERS = tuple(_TINY["encoders"]), tuple(_TINY["decoders"])


def tiny_config(kind: str, tokenizer: FastTokenizer) -> PretrainedConfig:
    """Return the configuration of a small random model, one of `TINY`, with the tokens of a tokenizer."""
    special = {
        "pad_token_id": tokenizer.pad_id,
        "cls_token_id": tokenizer.cls_id,
        "sep_token_id": tokenizer.sep_id,
        "bos_token_id": tokenizer.cls_id,
        "eos_token_id": tokenizer.sep_id,
    }
    values = _TINY["shape"] | {"vocab_size": len(tokenizer)} | special | TINY[kind]
    config: PretrainedConfig = AutoConfig.for_model(kind, **values)
    return config


@dataclass(frozen=True)
class Source:
    """Where a backbone comes from.

    Args:
        path: A folder or a name on the Hugging Face hub; empty for tiny models.
        revision: Commit, branch or tag on the hub.
        tiny: Architecture of a small random model; empty for all others.
        base: Name, revision, SHA-256 and licence, for judges that do not hold these weights themselves.
        local: Whether a model of the hub is taken from its cache on this machine alone, as judges are loaded.
    """

    path: str
    revision: str | None = None
    tiny: str = ""
    base: dict[str, object] | None = None
    local: bool = False

    @classmethod
    def of(cls, name: str, revision: str | None = None, *, local: bool = False) -> Source:
        """Resolve the setting `model.name`.

        Raises:
            ConfigError: If it is a path that does not exist, or a tiny model of an unknown architecture.
            MissingExtraError: If it is `minilm` or `smollm2` and its package is not installed.
        """
        if name.startswith("tiny:"):
            kind = name.removeprefix("tiny:")
            if kind not in TINY:
                raise ConfigError(f"there is no tiny model {kind!r}; allowed are {', '.join(TINY)}")
            return cls("", tiny=kind)
        if name == "minilm":
            return cls(str(minilm_folder()), base=MINILM.base)
        if name == "smollm2":
            return cls(str(smollm2_folder()), base=SMOLLM2.base)
        folder = Path(name).expanduser()
        if folder.is_dir():
            has_weights = any((folder / file).is_file() for file in WEIGHTS)
            digest = weights_digest(weight_files(folder)) if has_weights else None
            return cls(str(folder), base={"name": name, "revision": None, "sha256": digest, "licence": None})
        if name.count("/") > 1 or name.startswith((".", "~", "/")) or folder.exists():
            raise ConfigError(f"model.name is {name!r}, and there is no such folder; give a folder with weights")
        base: dict[str, object] = {"name": name, "revision": revision, "sha256": None, "licence": None}
        return cls(name, revision, base=base, local=local)

    def pinned(self) -> Source:
        """Return the source at the commit that the hub, or its cache, has now; itself where it is not on the hub.

        Raises:
            ConfigError: If only the cache may be asked, and does not have it.
        """
        if self.tiny or Path(self.path).is_dir():
            return self
        found = hub_commit(self.path, self.revision, local=self.local)
        if self.local and found is None:
            raise ConfigError(missing_base(self.path, self.revision))
        commit = found or self.revision
        return replace(self, revision=commit, base={**(self.base or {}), "revision": commit})

    def tokenizer(self, *, eos_as_padding: bool = False) -> FastTokenizer:
        """Load the tokenizer of the backbone; with `eos_as_padding`, the end of a text pads where no token does.

        Raises:
            ConfigError: If there is no such model, or no tokenizer.
            ArtifactError: If it has tokens that the model does not have.
        """
        if self.tiny:
            return tiny_tokenizer()
        config = self.config()  # an unknown name is reported as that of a model, not of a tokenizer
        with loading_model(self.path, local=self.local):
            found = load_tokenizer(self.path, revision=self.revision, eos_as_padding=eos_as_padding, local=self.local)
        check_vocabulary(config, found.reach, self.path)
        return found

    def config(self) -> PretrainedConfig:
        """Load the configuration, without weights."""
        if self.tiny:
            return tiny_config(self.tiny, tiny_tokenizer())
        with loading_model(self.path, local=self.local):
            if Path(self.path).is_dir():
                check_text_files(Path(self.path))
            check_config(PretrainedConfig.get_config_dict(self.path, **self._options())[0], self.path)
            return without_kernels(AutoConfig.from_pretrained(self.path, **self._options()))

    def load(
        self,
        kind: Kind,
        *,
        dropout: float | None = None,
        options: Mapping[str, object] | None = None,
        labels: Sequence[str] = CLASSES,
        head_given: bool = False,
    ) -> PreTrainedModel:
        """Load the model, in fp32 unless options say otherwise; missing heads are drawn from torch's generator.

        Args:
            kind: Which part of it, under which head.
            dropout: Dropout probability everywhere; None keeps its own.
            options: Further keywords of `from_pretrained`, such as dtype.
            labels: The outputs of a classifier.
            head_given: Whether the head of a classifier must be among the weights.

        Raises:
            ConfigError: If there is no such model, a folder holds no weights, or a required head is missing.
        """
        config = self.config()
        if dropout is not None:
            # architectures name it hidden_dropout_prob, attention_dropout, classifier_dropout ...
            for key, value in vars(config).items():
                if key.endswith(("dropout", "dropout_prob")) and isinstance(value, int | float):
                    setattr(config, key, dropout)
        factory = AutoModelForSequenceClassification if kind == "classifier" else AutoModel
        if kind == "decoder":
            _check_causal(config, self.path or f"tiny:{self.tiny}")
            config = config.get_text_config()
            config.use_cache = False
        if kind == "classifier":
            config.num_labels = len(labels)
            config.id2label, config.label2id = dict(enumerate(labels)), {name: i for i, name in enumerate(labels)}
        keywords = {"dtype": torch.float32} | dict(options or {})
        if self.tiny:
            return convert_in_memory(factory.from_config(config, dtype=torch.float32), keywords)
        folder = Path(self.path)
        if folder.is_dir() and not any((folder / name).is_file() for name in WEIGHTS):
            raise ConfigError(
                f"{folder} holds no weights; allowed are {', '.join(WEIGHTS)} beside its config.json: give the folder "
                "of a model saved with save_pretrained"
            )
        if folder.is_dir():
            size = sum(file.stat().st_size for file in weight_files(folder))
            check_weights_suffice(config, size, self.path)
        # transformers would fail at the first tensor of another shape; all are named below
        keywords |= {"ignore_mismatched_sizes": True, "output_loading_info": True}
        with loading_model(self.path, local=self.local):
            model, found = factory.from_pretrained(self.path, config=config, **keywords, **self._options())
        check_layers(config, found["unexpected_keys"], self.path)
        _check_loaded(self.path, found["missing_keys"], found["mismatched_keys"], len(labels) if head_given else None)
        return model

    def _options(self) -> dict[str, object]:
        # code in a folder or on the hub is never run
        given: dict[str, object] = {"revision": self.revision} if self.revision else {}
        return given | {"local_files_only": self.local, "trust_remote_code": False}


def check_positions(config: PretrainedConfig, max_length: int, name: str) -> None:
    """Raise a ConfigError, stating both numbers, if a model has fewer positions than a sequence tokens."""
    values = config.to_dict()
    if values.get("position_biased_input") is False:
        return  # DeBERTa-v3 has relative positions only
    positions = values.get("max_position_embeddings")
    if not isinstance(positions, int) or positions <= 0:
        return
    if config.model_type in {"roberta", "xlm-roberta", "camembert"}:
        positions -= config.pad_token_id + 1  # their positions begin after that of the padding
    if max_length > positions:
        raise ConfigError(
            f"model.text.max_length is {max_length}, and {name} has {positions} positions; "
            f"set it to at most {positions}"
        )


def check_vocabulary(config: PretrainedConfig, tokens: int, place: str) -> None:
    """Raise an ArtifactError, stating both numbers, if a tokenizer has more tokens than a model."""
    known = config.get_text_config().to_dict().get("vocab_size")
    if isinstance(known, int) and tokens > known:
        raise ArtifactError(
            f"{place}: the tokenizer has {tokens} tokens and the model {known}; "
            "put the tokenizer there with which the model was trained"
        )


def check_layers(config: PretrainedConfig, unexpected: Iterable[str], place: str) -> None:
    """Raise an ArtifactError if weights that a model does not take are layers beyond its last."""
    # transformers would leave them out without a word
    layers = config.get_text_config().num_hidden_layers
    beyond = sorted(name for name in unexpected if (match := _LAYER.match(name)) and int(match[1]) >= layers)
    if beyond:
        raise ArtifactError(
            f"the weights in {place} are not those of its config.json: num_hidden_layers is {layers}, and they have "
            f"{beyond[0]}; give a folder whose config.json and weights were saved together"
        )


def _check_causal(config: PretrainedConfig, name: str) -> None:
    kind = type(config.get_text_config())
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING or kind in MODEL_FOR_MASKED_LM_MAPPING:
        raise ConfigError(
            f"model.name is {name!r}, of the type {config.model_type}, which is no causal language model; allowed are "
            "Llama, Gemma, Qwen, Mistral, SmolLM and others like them; for encoders take the family cross_encoder"
        )


def _check_loaded(
    path: str, missing: Iterable[str], differing: Iterable[tuple[str, tuple[int, ...], object]], outputs: int | None
) -> None:
    """Check that no part of the model is random, but for a head that may be new where `outputs` is None."""
    absent, mismatched = sorted(missing), sorted(differing, key=lambda item: item[0])
    below = sorted(n for n in [*absent, *(n for n, *_ in mismatched)] if not any(word in n for word in _HEADS))
    if below:
        raise ConfigError(
            f"the weights in {path} are not those of its config.json: {len(below)} tensors are missing or of another "
            f"shape, such as {below[0]}; give a folder whose config.json and weights were saved together"
        )
    if outputs is not None and (absent or mismatched):
        wrong = f"{absent[0]} is missing" if absent else f"{mismatched[0][0]} has shape {list(mismatched[0][1])}"
        raise ConfigError(
            f"{path} has no head of {outputs} output{'s' if outputs > 1 else ''}: {wrong}; give a model trained "
            f"with num_labels={outputs}"
        )
