"""Where a reward model comes from: one-label classifiers of transformers, InternLM2 checkpoints, bare causal models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import PretrainedConfig

from votecast.config.extras import need
from votecast.errors import ArtifactError, ConfigError
from votecast.models.neural.backbone import Source
from votecast.models.neural.internlm2 import is_reward, llama_config, read_config, read_reward
from votecast.models.neural.internlm2_tokenizer import InternLM2Tokenizer
from votecast.models.neural.quiet import quietly
from votecast.models.neural.weights import digest_of, weight_files
from votecast.text.tokenization import Tokenizer

REWARD = ("reward",)
"""The output of a reward model."""

_NEEDED = ("*.json", "*.safetensors", "*.bin", "tokenizer.model")
_TINY_INTERNLM2 = "tiny:internlm2"


@dataclass(frozen=True)
class Scored:
    """A model that rewards.

    Args:
        backbone: A bare causal model where there is a head, else a whole classifier of one label.
        head: From the last state to the reward, shape (1, h); None inside a classifier.
    """

    backbone: Any
    head: Tensor | None


@dataclass(frozen=True)
class InternLM2(Source):
    """The folder of an InternLM2 reward checkpoint."""

    def config(self) -> PretrainedConfig:
        """Its configuration in the words of Llama."""
        return llama_config(read_config(Path(self.path)))

    def internlm2_tokenizer(self) -> InternLM2Tokenizer:
        """Its tokenizer, read without the code beside it."""
        return InternLM2Tokenizer.load(Path(self.path), read_config(Path(self.path)))


def reward_source(name: str, revision: str | None = None) -> Source:
    """Resolve the setting `model.name`; the hash of its weights goes with it, however many files they are.

    Raises:
        ConfigError: If there is no such model, or it is an InternLM2 model that gives no rewards.
        ArtifactError: If its files cannot be read.
    """
    source = Source.of("tiny:llama" if name == _TINY_INTERNLM2 else name, revision)
    if source.tiny:
        return source
    folder = Path(source.path)
    if folder.is_dir():
        values = read_config(folder) if (folder / "config.json").is_file() else {}
        source = source if (source.base or {}).get("sha256") else replace(source, base=_hashed(source, folder))
    else:
        values = _hub_config(source)
        commit = values.get("_commit_hash") or revision
        source = replace(source, revision=commit, base=(source.base or {}) | {"revision": commit})
        if is_reward(values):
            folder = _downloaded(source)
    if not is_reward(values):
        return source
    llama_config(values)  # another class of InternLM2 is told before anything is read
    return InternLM2(str(folder), source.revision, base=source.base)


def tokenizer_of(source: Source) -> Tokenizer:
    """The tokenizer that belongs to a reward model; the end of a text fills up where it has no padding token."""
    if isinstance(source, InternLM2):
        return source.internlm2_tokenizer()
    return source.tokenizer(eos_as_padding=True)


def load_scored(source: Source, options: Mapping[str, Any], *, dropout: float | None, head_given: bool) -> Scored:
    """Load a reward model.

    Args:
        source: Where it comes from.
        options: Keywords of `from_pretrained`, such as dtype.
        dropout: Dropout probability everywhere; None keeps its own.
        head_given: Whether its head must be among the weights; else one that is not is drawn at random.

    Raises:
        ConfigError: If there is no such model, or its head is none of one output.
        ArtifactError: If its files are damaged.
    """
    if isinstance(source, InternLM2):
        found = read_reward(Path(source.path), options)
        return Scored(found.backbone, found.head)
    if quantization := options.get("quantization_config"):
        quantization.llm_int8_skip_modules = ["score", "classifier"]
    try:
        model = source.load("classifier", dropout=dropout, options=options, labels=REWARD, head_given=head_given)
    except ConfigError as error:
        hint = "; or set model.adapter, which trains a head on votes" if "no head of 1 output" in str(error) else ""
        raise ConfigError(f"{error}{hint}") from error
    model.config.use_cache = False
    head: Any = getattr(model, "score", None)
    if not isinstance(head, nn.Linear) or getattr(head, "bias", None) is not None:
        return Scored(model, None)
    if (spread := getattr(model, "hf_device_map", None)) is not None:
        model.base_model.hf_device_map = spread
    return Scored(model.base_model, head.weight.detach().float().cpu())


def _hashed(source: Source, folder: Path) -> dict[str, Any]:
    return dict(source.base or {}) | {"sha256": digest_of(weight_files(folder))}


def _hub_config(source: Source) -> dict[str, Any]:
    """What config.json of a name on the hub says; nothing where it cannot be had, which loading will tell."""
    try:
        with quietly():
            values, _ = PretrainedConfig.get_config_dict(source.path, revision=source.revision)
    except (OSError, ValueError):
        return {}
    return dict(values)


def _downloaded(source: Source) -> Path:
    hub = need("huggingface_hub")
    try:
        with quietly():
            return Path(hub.snapshot_download(source.path, revision=source.revision, allow_patterns=list(_NEEDED)))
    except (OSError, ValueError) as error:
        offline = " (offline: HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise ArtifactError(
            f"the model {source.path!r} cannot be fetched{offline}: {str(error).strip().splitlines()[0][:300]}; give a "
            "folder with its files"
        ) from error
