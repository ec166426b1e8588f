"""Classifiers trained elsewhere: read without running anything that lies in their folders, and put into one order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PretrainedConfig

from votecast.errors import ArtifactError, ConfigError
from votecast.models.neural.backbone import LABELS, Source
from votecast.models.neural.minilm import sha256_of
from votecast.models.neural.quiet import quietly
from votecast.models.neural.weights import WEIGHTS, read_weights, weight_files
from votecast.text.tokenization import FastTokenizer

TOKENIZERS = (
    "tokenizer.json",
    "spm.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spiece.model",
    "vocab.txt",
    "vocab.json",
)
"""Files of which a tokenizer needs one."""

_SPELLINGS = {
    name: outcome
    for outcome, names in {
        "a": ("a", "model_a", "response_a", "winner_a", "winner_model_a"),
        "b": ("b", "model_b", "response_b", "winner_b", "winner_model_b"),
        "tie": ("tie", "winner_tie"),
    }.items()
    for name in names
}


@dataclass(frozen=True)
class Checkpoint:
    """A classifier with the outputs a, b and tie, in this order.

    Args:
        folder: Where it was read from.
        model: The model of transformers, in fp32.
        tokenizer: Its tokenizer.
        labels: What its outputs stood for in the folder.
        named: What its config.json calls them, where that is clear.
        files: SHA-256 of each file of weights.
    """

    folder: Path
    model: Any
    tokenizer: FastTokenizer
    labels: tuple[str, ...]
    named: tuple[str, ...] | None
    files: dict[str, str]


def read_checkpoint(folder: Path, labels: Sequence[str] | None = None) -> Checkpoint:
    """Read a folder that `save_pretrained` of transformers, or its `Trainer`, has written.

    Args:
        folder: Holds config.json, weights (safetensors, or .bin read with `weights_only=True`; whole or in shards)
            and a tokenizer. Nothing in it is changed.
        labels: Which of a, b and tie each output is; None takes it from config.json, if its names are clear.

    Raises:
        ArtifactError: If a part is absent, damaged, unsafe, or does not fit the others.
        ConfigError: If it is not known what the outputs are.
    """
    config = _config(folder)
    named = named_labels(config.id2label)
    order = tuple(labels) if labels is not None else named
    if order is None:
        raise ConfigError(
            f"{folder}: config.json calls the outputs {', '.join(map(repr, config.id2label.values()))}, which does not "
            "say which of them is a, b or tie; pass --labels, such as --labels a,b,tie, in the order of the outputs"
        )
    _check_tokenizer_present(folder)
    files = weight_files(folder)
    model = classifier(folder, config, read_weights(files))
    tokenizer = Source(str(folder)).tokenizer()
    if len(tokenizer) > (tokens := model.get_input_embeddings().num_embeddings):
        raise ArtifactError(
            f"{folder}: the tokenizer has {len(tokenizer)} tokens and the model {tokens}; "
            "put the tokenizer there with which the model was trained"
        )
    in_order(model, order)
    return Checkpoint(folder, model, tokenizer, order, named, {file.name: sha256_of(file) for file in files})


def named_labels(names: Mapping[int, str]) -> tuple[str, ...] | None:
    """Which of a, b and tie each output is, if its name says so.

    Example:
        >>> named_labels({0: "winner_model_b", 1: "winner_model_a", 2: "winner_tie"})
        ('b', 'a', 'tie')
        >>> named_labels({0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}) is None
        True
    """
    found = [_SPELLINGS.get(str(names[place]).strip().lower(), "") for place in sorted(names)]
    return tuple(found) if sorted(found) == sorted(LABELS) else None


def classifier(folder: Path, config: PretrainedConfig, tensors: dict[str, torch.Tensor]) -> Any:
    """The classifier of a configuration with these weights; nothing in it is drawn at random.

    Raises:
        ArtifactError: If it is no classifier of three outputs, or weights are absent or of other shapes.
    """
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ArtifactError(f"{folder}: transformers has no sequence classifier of the type {config.model_type!r}")
    if config.num_labels != len(LABELS):
        raise ArtifactError(
            f"{folder} has {config.num_labels} outputs; a judge has three, a, b and tie: "
            "give checkpoints that were trained with num_labels=3"
        )
    kind = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    try:
        with quietly():
            model, found = kind.from_pretrained(
                None, config=config, state_dict=tensors, dtype=torch.float32, output_loading_info=True
            )
    except (RuntimeError, ValueError, KeyError) as error:
        raise ArtifactError(f"{folder}: the weights do not fit config.json: {str(error).strip()[:300]}") from error
    if missing := sorted(found["missing_keys"]):
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ArtifactError(
            f"{folder}: {len(missing)} weights are missing ({shown}) and would be random; give the folder of a model "
            "that was trained and saved as a sequence classifier"
        )
    return model.eval()


def in_order(model: Any, labels: Sequence[str]) -> None:
    """Let the outputs of a classifier be a, b and tie, in this order.

    Args:
        model: A sequence classifier of transformers, whose last linear layer is `classifier` (BERT, DeBERTa,
            ModernBERT) or `classifier.out_proj` (RoBERTa, XLM-R, Electra).
        labels: What its outputs are now.

    Raises:
        ArtifactError: If it has neither.
    """
    last = getattr(model, "classifier", None)
    last = getattr(last, "out_proj", last)
    if not isinstance(last, torch.nn.Linear) or last.out_features != len(LABELS):
        raise ArtifactError(
            f"{type(model).__name__} has no linear layer `classifier` or `classifier.out_proj`; "
            "allowed are BERT, DeBERTa, ModernBERT, RoBERTa, XLM-R, Electra and models built like them"
        )
    rows = [list(labels).index(name) for name in LABELS]
    with torch.no_grad():
        last.weight.copy_(last.weight[rows])
        if last.bias is not None:
            last.bias.copy_(last.bias[rows])
    model.config.id2label = dict(enumerate(LABELS))
    model.config.label2id = {name: place for place, name in enumerate(LABELS)}


def _config(folder: Path) -> PretrainedConfig:
    if not folder.is_dir():
        raise ArtifactError(f"{folder} is not a folder; give folders with config.json, weights and a tokenizer")
    if (folder / "adapter_config.json").is_file() and not any((folder / name).is_file() for name in WEIGHTS):
        raise ArtifactError(f"{folder} holds an adapter only; merge it into its model (merge_and_unload) and save that")
    if not (folder / "config.json").is_file():
        raise ArtifactError(f"{folder} has no config.json; give the folder of a model saved with save_pretrained")
    if (folder / "members").is_dir():
        raise ArtifactError(
            f"{folder} is a judge of votecast already; to take a member out of it, give {folder}/members/0"
        )
    return Source(str(folder)).config()


def _check_tokenizer_present(folder: Path) -> None:
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise ArtifactError(
            f"{folder} has no tokenizer; allowed are {', '.join(TOKENIZERS)}: put the files there that "
            "tokenizer.save_pretrained writes"
        )
