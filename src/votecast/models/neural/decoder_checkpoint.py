"""Decoders trained elsewhere: adapters of peft on their base, and whole sequence classifiers.

The import of judges reads them; no code from their folders runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import PretrainedConfig

from votecast.artifacts import digest_of
from votecast.errors import ArtifactError, ConfigError
from votecast.models.neural.adapters import Tensors
from votecast.models.neural.backbone import Source
from votecast.models.neural.classifier_checkpoint import (
    ImportedCheckpoint,
    checked_tokenizer,
    output_order,
    read_tokenizer,
)
from votecast.models.neural.peft_checkpoint import HEAD, check_head, is_peft_checkpoint, read_peft_checkpoint
from votecast.models.neural.quantization import stored_bits
from votecast.models.neural.weight_files import read_weights, weight_files
from votecast.training.mixed_precision import DTYPES
from votecast.types import CLASSES


@dataclass(frozen=True)
class DecoderCheckpoint(ImportedCheckpoint):
    """A causal model with a head.

    Args:
        name: The setting `model.name`: the base of an adapter, or the folder itself.
        weights: Precision of the weights.
        adapter: The settings of its adapter; None where all its weights are its own.
        tensors: Adapter and head, or the head alone, by the names of the network.
        brings_tokenizer: Whether the folder holds its tokenizer.
        kind: The architecture.
    """

    name: str
    weights: str
    adapter: dict[str, object] | None
    tensors: Tensors
    brings_tokenizer: bool
    kind: str


def read_decoder(
    folder: Path, labels: Sequence[str] | None = None, *, base: str | None = None, tokenizer: str | None = None
) -> DecoderCheckpoint:
    """Read a folder that peft, or `save_pretrained` of a sequence classifier of transformers, has written.

    Args:
        folder: An adapter with its head, or a whole model, plain or in the 4 or 8 bits of bitsandbytes. Nothing in it
            is changed.
        labels: Which of a, b and tie each output is; None takes it from config.json, if its names are clear.
        base: The model under an adapter; None takes what the adapter says.
        tokenizer: Folder or hub name of the tokenizer; None takes that of the folder, of a folder `tokenizer` beside
            it, or of the base.

    Raises:
        ArtifactError: If a part is missing, damaged, unsafe, or does not fit the others.
        ConfigError: If the meaning of the outputs is unknown.
        JudgeError: If the tokenizer has no padding token, and none for the end of a text.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{folder} is not a folder; give an adapter that peft saved, or a model with its tokenizer")
    if (folder / "members").is_dir():
        raise ArtifactError(f"{folder} is a judge of votecast already; it needs no import")
    read = _read_adapter if is_peft_checkpoint(folder) else _read_whole
    return read(folder, labels, base, tokenizer)


def _read_adapter(
    folder: Path, labels: Sequence[str] | None, base: str | None, tokenizer: str | None
) -> DecoderCheckpoint:
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
    text, head = config.get_text_config(), found.tensors[HEAD]  # head: (3, h), or (2, h)
    if head.shape[1] != text.hidden_size:
        raise ArtifactError(
            f"{folder} is an adapter for another base: its head reads {head.shape[1]} numbers, and {name} gives "
            f"{text.hidden_size}; pass --base with the model it was trained on"
        )
    own = Source(str(folder)).config() if (folder / "config.json").is_file() else config
    own.num_labels = len(head) if own is config else own.num_labels  # a base knows no head
    order, named = output_order(folder, own, labels)
    known = read_tokenizer(folder, config, tokenizer, eos_as_padding=True)
    return DecoderCheckpoint(
        folder,
        known or source.tokenizer(eos_as_padding=True),
        order,
        named,
        found.files,
        name=name,
        weights=_precision_of(config),
        adapter=found.settings(text.num_hidden_layers),
        tensors=found.tensors | {HEAD: _in_order(folder, head, order)},
        brings_tokenizer=known is not None,
        kind=f"{config.model_type}, LoRA of rank {found.rank} beside {len(found.modules)} layers",
    )


def _read_whole(
    folder: Path, labels: Sequence[str] | None, base: str | None, tokenizer: str | None
) -> DecoderCheckpoint:
    if base is not None:
        raise ConfigError(f"{folder} holds no adapter (adapter_config.json), and needs no base; drop --base")
    if not (folder / "config.json").is_file():
        raise ArtifactError(
            f"{folder} has neither adapter_config.json nor config.json; give a folder of peft's save_pretrained, or of "
            "a sequence classifier's"
        )
    source = Source(str(folder))
    config, files = source.config(), weight_files(folder)
    head = _read_head(folder, files)
    order, named = output_order(folder, config, labels)
    known = checked_tokenizer(folder, read_tokenizer(folder, config, tokenizer, eos_as_padding=True))
    held = _precision_of(config)
    return DecoderCheckpoint(
        folder,
        known,
        order,
        named,
        {file.name: digest_of(file) for file in files},
        name=str(folder),
        weights="fp32" if held == "fp16" else held,  # without adapter there is no training in fp16
        adapter=None,
        tensors={HEAD: _in_order(folder, head, order)},
        brings_tokenizer=True,
        kind=f"{config.model_type}, whole",
    )


def _read_head(folder: Path, files: Sequence[Path]) -> torch.Tensor:
    """The head among some files of weights; those of safetensors are not read whole."""
    found: torch.Tensor | None = None
    for file in files:
        if file.suffix != ".safetensors":
            found = read_weights([file]).get(HEAD, found)
            continue
        try:
            with safe_open(file, framework="pt") as opened:
                found = opened.get_tensor(HEAD) if HEAD in opened.keys() else found  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError) as error:
            raise ArtifactError(f"{file} is damaged: {type(error).__name__}: {error}; copy it again") from error
    if found is None:
        raise ArtifactError(
            f"{folder} has no head ({HEAD}), which would be random; give the folder of a model that was trained and "
            "saved as a sequence classifier"
        )
    check_head(folder, found)
    return found.float()


def _in_order(folder: Path, head: torch.Tensor, labels: Sequence[str]) -> torch.Tensor:
    if len(head) != len(labels):
        raise ArtifactError(
            f"{folder}: the head has {len(head)} outputs, and config.json names {', '.join(labels)}; give config.json "
            "and weights of one model"
        )
    return head[[list(labels).index(name) for name in CLASSES[: len(labels)]]].contiguous()


def _precision_of(config: PretrainedConfig) -> str:
    bits = stored_bits(config)
    if bits is not None:
        return {4: "nf4", 8: "int8"}[bits]
    return next((name for name, dtype in DTYPES.items() if config.dtype in (dtype, str(dtype).split(".")[1])), "fp32")
