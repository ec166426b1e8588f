"""Classifiers trained elsewhere: read without running code from their folders, with outputs in the order a, b, tie.

The import of judges reads folds of one model with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PretrainedConfig, PreTrainedModel

from votecast.artifacts import DAMAGE, digest_of
from votecast.errors import ArtifactError, ConfigError
from votecast.models.neural.backbone import Source, check_layers, check_vocabulary
from votecast.models.neural.hub import loading_model, silence_transformers
from votecast.models.neural.quantization import stored_bits
from votecast.models.neural.weight_files import WEIGHTS, read_weights, weight_files
from votecast.text.tokenization import FastTokenizer, Tokenizer, load_tokenizer
from votecast.types import CLASSES

TOKENIZERS = (
    "tokenizer.json", "spm.model", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model", "vocab.txt",
    "vocab.json",
)  # fmt: skip
"""Files of which a tokenizer has at least one."""

OUTPUTS = (["a", "b"], ["a", "b", "tie"])
"""What the outputs of a classifier may be, sorted."""

_FOLD = re.compile(r"fold[-_]?(\d+)")

# the column names of the LMSYS and WSDM contests, and what teams made of them
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
class ImportedCheckpoint:
    """A model with the outputs a, b and tie, or a and b, in this order.

    Args:
        folder: Where it was read from.
        tokenizer: Its tokenizer.
        labels: Meaning of its outputs in the folder, in their order.
        named: Their names in config.json, where these are clear.
        files: SHA-256 of each file of weights.
    """

    folder: Path
    tokenizer: FastTokenizer
    labels: tuple[str, ...]
    named: tuple[str, ...] | None
    files: dict[str, str]


@dataclass(frozen=True)
class ClassifierCheckpoint(ImportedCheckpoint):
    """A whole classifier.

    Args:
        model: The model of transformers, in fp32.
    """

    model: PreTrainedModel


def find_checkpoints(folder: Path) -> list[Path]:
    """Find the checkpoints below a folder that is none itself, such as `fold_0/best_model`, `fold_1/best_model` ...

    Returns:
        `best_model` in the folder; else those of its sub-folders `fold_0`, `fold_1` ... by number; else the folder.
    """
    if any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        return [folder]
    if (folder / "best_model").is_dir():
        return [folder / "best_model"]
    numbered = [(int(match[1]), path) for path in folder.glob("*") if (match := _FOLD.fullmatch(path.name))]
    return [found for _, path in sorted(numbered) if path.is_dir() for found in find_checkpoints(path)] or [folder]


def read_tokenizer(
    folder: Path, config: PretrainedConfig, given: str | None = None, *, eos_as_padding: bool = False
) -> FastTokenizer | None:
    """Load the tokenizer of a checkpoint: the given one, that of its folder, or that of a folder `tokenizer` beside it.

    Args:
        folder: The checkpoint.
        config: The configuration of its model.
        given: A folder or a name on the hub.
        eos_as_padding: Pad with the end of a text where no token pads.

    Returns:
        The tokenizer; None where none is given or found.

    Raises:
        ConfigError: If it cannot be read.
        ArtifactError: If it has more tokens than the model.
    """
    beside = next((place for place in (folder, folder.parent / "tokenizer") if has_tokenizer(place)), None)
    if given is None and beside is None:
        return None
    place = given or str(beside)
    with loading_model(place):
        found = load_tokenizer(place, eos_as_padding=eos_as_padding)
    check_vocabulary(config, found.reach, place)
    return found


def read_classifier(
    folder: Path, labels: Sequence[str] | None = None, tokenizer: str | None = None
) -> ClassifierCheckpoint:
    """Read a folder that `save_pretrained` of transformers, or its `Trainer`, has written.

    Args:
        folder: Holds config.json, weights (safetensors, or .bin read with `weights_only=True`; whole or in shards)
            and a tokenizer, which may also lie in a folder `tokenizer` beside it. Nothing in it is changed.
        labels: Which of a, b and tie each output is; None takes it from config.json, if its names are clear.
        tokenizer: Folder or hub name of the tokenizer, where it is another.

    Raises:
        ArtifactError: If a part is missing, damaged, unsafe, or does not fit the others.
        ConfigError: If the meaning of the outputs is unknown.
    """
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
    config = Source(str(folder)).config()
    if stored_bits(config) is not None:
        raise ArtifactError(f"{folder} is stored in few bits; give the classifier as it was trained, in 16 or 32 bits")
    order, named = output_order(folder, config, labels)
    files = weight_files(folder)
    known = checked_tokenizer(folder, read_tokenizer(folder, config, tokenizer))
    model = _classifier(folder, config, read_weights(files))
    _reorder_outputs(model, order)
    digests = {file.name: digest_of(file) for file in files}
    return ClassifierCheckpoint(folder, known, order, named, digests, model)


def output_order(
    folder: Path, config: PretrainedConfig, labels: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Return which of a, b and tie each output is, and what config.json says of it, if its names are clear.

    Raises:
        ConfigError: If neither says it.
    """
    named = named_labels(config.id2label)
    order = tuple(labels) if labels is not None else named
    if order is None:
        raise ConfigError(
            f"{folder}: config.json calls the outputs {', '.join(map(repr, config.id2label.values()))}, which does not "
            "say which of its outputs is a, b or tie; pass --labels, such as --labels a,b,tie, in the order of the "
            "outputs"
        )
    if len(order) != config.num_labels and labels is not None:
        raise ConfigError(
            f"{folder} has {config.num_labels} outputs, and --labels names {', '.join(order)}; name each output once, "
            "a,b,tie or a,b in their order"
        )
    return order, named


def named_labels(names: Mapping[int, str]) -> tuple[str, ...] | None:
    """Return which of a, b and tie each output is, if its name is clear.

    Example:
        >>> named_labels({0: "winner_model_b", 1: "winner_model_a", 2: "winner_tie"})
        ('b', 'a', 'tie')
        >>> named_labels({0: "model_a", 1: "model_b"})
        ('a', 'b')
        >>> named_labels({0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}) is None
        True
    """
    found = [_SPELLINGS.get(str(names[place]).strip().lower(), "") for place in sorted(names)]
    return tuple(found) if sorted(found) in OUTPUTS else None


def _classifier(folder: Path, config: PretrainedConfig, tensors: dict[str, torch.Tensor]) -> PreTrainedModel:
    """The classifier of a configuration with these weights; none of them is random."""
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ArtifactError(f"{folder}: transformers has no sequence classifier of the type {config.model_type!r}")
    kind = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    try:
        with silence_transformers():
            model, found = kind.from_pretrained(
                None, config=config, state_dict=tensors, dtype=torch.float32, output_loading_info=True
            )
    except (*DAMAGE, AssertionError, ImportError, RuntimeError) as error:
        raise ArtifactError(f"{folder}: the weights do not fit config.json: {str(error).strip()[:300]}") from error
    check_layers(config, found["unexpected_keys"], str(folder))
    if missing := sorted(found["missing_keys"]):
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ArtifactError(
            f"{folder}: {len(missing)} weights are missing ({shown}) and would be random; give the folder of a model "
            "that was trained and saved as a sequence classifier"
        )
    return model.eval()


def _reorder_outputs(model: PreTrainedModel, labels: Sequence[str]) -> None:
    """Reorder the outputs of a classifier, as they are named by `labels` now, to a, b and tie, or a and b."""
    # BERT, DeBERTa and ModernBERT have `classifier`; RoBERTa, XLM-R and Electra a `classifier.out_proj`
    last = model.classifier if hasattr(model, "classifier") else torch.nn.Identity()
    last = last.out_proj if hasattr(last, "out_proj") else last
    if not isinstance(last, torch.nn.Linear) or last.out_features != len(labels):
        raise ArtifactError(
            f"{type(model).__name__} has no linear layer `classifier` or `classifier.out_proj`; "
            "allowed are BERT, DeBERTa, ModernBERT, RoBERTa, XLM-R, Electra and models built like them"
        )
    names = CLASSES[: len(labels)]
    rows = [list(labels).index(name) for name in names]
    with torch.no_grad():
        last.weight.copy_(last.weight[rows])
        if last.bias is not None:
            last.bias.copy_(last.bias[rows])
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: place for place, name in enumerate(names)}


def has_tokenizer(folder: Path) -> bool:
    """Return whether a folder holds the files of a tokenizer."""
    return any((folder / name).is_file() for name in TOKENIZERS)


def checked_tokenizer(folder: Path, found: FastTokenizer | None) -> FastTokenizer:
    """Return the tokenizer of a checkpoint; an ArtifactError, naming the files that are allowed, if there is none."""
    if found is None:
        raise ArtifactError(
            f"{folder} has no tokenizer; allowed are {', '.join(TOKENIZERS)}, there or in a folder tokenizer beside: "
            "pass --tokenizer with its folder, or put the files there that tokenizer.save_pretrained writes"
        )
    return found


def check_folds_match(
    first: ClassifierCheckpoint, other: ClassifierCheckpoint, between: Sequence[ClassifierCheckpoint] = ()
) -> None:
    """Check that the first and the last member are folds of one model, and that none occurs twice.

    Raises:
        ArtifactError: If their tokenizers or architectures differ, or the weights are those of another member.
    """
    if other is first:
        return
    shapes, expected = ({n: value.shape for n, value in each.model.state_dict().items()} for each in (other, first))
    if first.model.config.model_type != other.model.config.model_type or shapes != expected:
        raise ArtifactError(
            f"{other.folder} is another architecture ({architecture(other)}) than {first.folder} "
            f"({architecture(first)}); the members of a judge are folds of one model: import them apart"
        )
    if tokenizer_key(first.tokenizer) != tokenizer_key(other.tokenizer):
        raise ArtifactError(
            f"{other.folder} has another tokenizer than {first.folder}; texts are tokenized once for all members: "
            "import them apart"
        )
    # one fold named twice would count twice in the mean
    for earlier in (first, *between):
        if sorted(earlier.files.values()) == sorted(other.files.values()):
            raise ArtifactError(f"{earlier.folder} and {other.folder} hold the same weights; name each fold once")


def architecture(checkpoint: ClassifierCheckpoint) -> str:
    """Return the class of a model and its size, for messages."""
    weights = sum(tensor.numel() for tensor in checkpoint.model.parameters())
    return f"{type(checkpoint.model).__name__}, {weights:,} weights"


def tokenizer_key(known: Tokenizer) -> tuple[object, ...]:
    """Return a key that is equal for two tokenizers that give the same ids for every text."""
    assert isinstance(known, FastTokenizer)
    return known.tokenizer.backend_tokenizer.to_str(), known.cls_id, known.sep_id, known.pad_id, known.has_types
