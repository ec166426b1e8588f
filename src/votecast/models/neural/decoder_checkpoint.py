"""Decoders trained elsewhere: adapters of peft on their base, and whole sequence classifiers.

The import of judges reads them; no code from their folders runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from votecast.artifacts import digest_of
from votecast.errors import ArtifactError, ConfigError
from votecast.models.neural.adapters import Tensors
from votecast.models.neural.backbone import Source
from votecast.models.neural.classifier_checkpoint import check_tokenizer, check_vocabulary, has_tokenizer, named_labels
from votecast.models.neural.hub import silence_transformers
from votecast.models.neural.peft_checkpoint import HEAD, is_peft_checkpoint, read_peft_checkpoint
from votecast.models.neural.quantization import stored_bits
from votecast.models.neural.weight_files import read_weights, weight_files
from votecast.text.tokenization import FastTokenizer, load_tokenizer
from votecast.types import CLASSES

_HELD = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class DecoderCheckpoint:
    """A causal model with a head whose outputs are a, b and tie, in this order.

    Args:
        folder: Where it was read from.
        name: The setting `model.name`: the base of an adapter, or the folder itself.
        weights: Precision of the weights.
        adapter: The settings of its adapter; None where all its weights are its own.
        tensors: Adapter and head, or the head alone, by the names of the network.
        tokenizer: Its tokenizer.
        brings_tokenizer: Whether the folder holds it.
        kind: The architecture.
        labels: Meaning of its outputs in the folder, in their order.
        named: Their names in config.json, where these are clear.
        files: SHA-256 of each file of weights.
    """

    folder: Path
    name: str
    weights: str
    adapter: dict[str, Any] | None
    tensors: Tensors
    tokenizer: FastTokenizer
    brings_tokenizer: bool
    kind: str
    labels: tuple[str, ...]
    named: tuple[str, ...] | None
    files: dict[str, str]


def read_decoder(folder: Path, labels: Sequence[str] | None = None, *, base: str | None = None) -> DecoderCheckpoint:
    """Read a folder that peft, or `save_pretrained` of a sequence classifier of transformers, has written.

    Args:
        folder: An adapter with its head, or a whole model, plain or in the 4 or 8 bits of bitsandbytes. Nothing in it
            is changed.
        labels: Which of a, b and tie each output is; None takes it from config.json, if its names are clear.
        base: The model under an adapter; None takes what the adapter says.

    Raises:
        ArtifactError: If a part is missing, damaged, unsafe, or does not fit the others.
        ConfigError: If the meaning of the outputs is unknown.
        JudgeError: If the tokenizer has no padding token, and none for the end of a text.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{folder} is not a folder; give an adapter that peft saved, or a model with its tokenizer")
    if (folder / "members").is_dir():
        raise ArtifactError(f"{folder} is a judge of votecast already; it needs no import")
    return _read_adapter(folder, labels, base) if is_peft_checkpoint(folder) else _read_whole(folder, labels, base)


def _read_adapter(folder: Path, labels: Sequence[str] | None, base: str | None) -> DecoderCheckpoint:
    found = read_peft_checkpoint(folder)
    name = base or found.base
    if name is None:
        raise ArtifactError(f"{folder} does not name its base model; pass --base with the model it was trained on")
    try:
        source = Source.of(name)
        config = source.config()
    except ConfigError as error:
        raise ArtifactError(
            f"{folder} is an adapter for {name!r}, which is not found: {error}; pass --base with its folder"
        ) from error
    text = config.get_text_config()
    head = found.tensors[HEAD]
    if head.shape[1] != text.hidden_size:
        raise ArtifactError(
            f"{folder} is an adapter for another base: its head reads {head.shape[1]} numbers, and {name} gives "
            f"{text.hidden_size}; pass --base with the model it was trained on"
        )
    own = Source(str(folder)).config() if (folder / "config.json").is_file() else config
    named = named_labels(own.id2label)
    order = _order(folder, labels, named)
    brings = has_tokenizer(folder)
    tokenizer = _tokenizer(folder) if brings else source.tokenizer(eos_as_padding=True)
    check_vocabulary(folder, tokenizer, text.vocab_size)
    return DecoderCheckpoint(
        folder,
        name,
        _held(config),
        found.settings(text.num_hidden_layers),
        found.tensors | {HEAD: _in_order(head, order)},
        tokenizer,
        brings,
        f"{config.model_type}, LoRA of rank {found.rank} beside {len(found.modules)} layers",
        order,
        named,
        found.files,
    )


def _read_whole(folder: Path, labels: Sequence[str] | None, base: str | None) -> DecoderCheckpoint:
    if base is not None:
        raise ConfigError(f"{folder} holds no adapter (adapter_config.json), and needs no base; drop --base")
    if not (folder / "config.json").is_file():
        raise ArtifactError(
            f"{folder} has neither adapter_config.json nor config.json; give a folder of peft's save_pretrained, or of "
            "a sequence classifier's"
        )
    config = Source(str(folder)).config()
    files = weight_files(folder)
    head = _head(folder, files)
    named = named_labels(config.id2label)
    order = _order(folder, labels, named)
    check_tokenizer(folder)
    tokenizer = _tokenizer(folder)
    check_vocabulary(folder, tokenizer, config.get_text_config().vocab_size)
    held = _held(config)
    return DecoderCheckpoint(
        folder,
        str(folder),
        "fp32" if held == "fp16" else held,
        None,
        {HEAD: _in_order(head, order)},
        tokenizer,
        True,
        f"{config.model_type}, whole",
        order,
        named,
        {file.name: digest_of(file) for file in files},
    )


def _head(folder: Path, files: Sequence[Path]) -> torch.Tensor:
    found = [value for file in files for value in _tensors_named(file, HEAD)]
    if not found:
        raise ArtifactError(
            f"{folder} has no head ({HEAD}), which would be random; give the folder of a model that was trained and "
            "saved as a sequence classifier"
        )
    if found[0].ndim != 2 or len(found[0]) != len(CLASSES):
        raise ArtifactError(
            f"{folder}: the head has shape {tuple(found[0].shape)}; a judge has three outputs, a, b and tie: give "
            "checkpoints that were trained with num_labels=3"
        )
    return found[0].float()


def _tensors_named(file: Path, name: str) -> list[torch.Tensor]:
    """The tensor of a name in a file of weights, if it exists; files of safetensors are not read whole."""
    if file.suffix != ".safetensors":
        return [value for key, value in read_weights([file]).items() if key == name]
    try:
        with safe_open(file, framework="pt") as opened:
            return [opened.get_tensor(name)] if name in opened.keys() else []  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{file} is damaged: {type(error).__name__}: {error}; copy it again") from error


def _order(folder: Path, labels: Sequence[str] | None, named: tuple[str, ...] | None) -> tuple[str, ...]:
    order = tuple(labels) if labels is not None else named
    if order is None:
        raise ConfigError(
            f"{folder} does not say which of its outputs is a, b or tie; pass --labels, such as --labels a,b,tie, in "
            "the order of the outputs"
        )
    return order


def _in_order(head: torch.Tensor, labels: Sequence[str]) -> torch.Tensor:
    return head[[list(labels).index(name) for name in CLASSES]].contiguous()


def _held(config: Any) -> str:
    bits = stored_bits(config)
    if bits is not None:
        return {4: "nf4", 8: "int8"}[bits]
    return _HELD.get(str(getattr(config, "dtype", None)).removeprefix("torch."), "fp32")


def _tokenizer(folder: Path) -> FastTokenizer:
    with silence_transformers():
        return load_tokenizer(folder, eos_as_padding=True)
