"""Tokenizers of KerasHub's presets, read without TensorFlow, which KerasHub's own preprocessors need."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from votecast.config.extras import need
from votecast.errors import ConfigError
from votecast.models.keras_siamese.backbones import folder_of
from votecast.models.keras_siamese.sentencepiece import MODEL_NAME, SentencePieceTokenizer, Special
from votecast.text.tokenization import FastTokenizer, load_tokenizer, tiny_tokenizer

KerasTokenizer = FastTokenizer | SentencePieceTokenizer
Config = dict[str, Any]
Asset = Callable[[str], Path]
"""Where a file of the preset lies, by its name."""

_CONFIG, _ASSETS = "tokenizer.json", "assets/tokenizer"


def find_tokenizer(name: str, tokenizer: str | None) -> KerasTokenizer:
    """The tokenizer of a backbone.

    Args:
        name: The setting `model.name`.
        tokenizer: The setting `model.tokenizer`: a tokenizer in the layout of transformers, which comes first.

    Raises:
        ConfigError: If there is none that can be read without TensorFlow.
        MissingExtraError: If transformers is not installed, or a preset has to be downloaded without kagglehub.

    Example:
        >>> len(find_tokenizer("tiny:bert", None))
        261
    """
    if tokenizer is not None:
        return load_tokenizer(tokenizer)
    if name.startswith("tiny:"):
        return tiny_tokenizer()
    where = folder_of(name)
    if Path(where, "tokenizer_config.json").is_file():
        return load_tokenizer(where)
    return _read(where, _preset_config(where))


def stored_tokenizer(folder: Path) -> KerasTokenizer:
    """The tokenizer that lies in a judge folder."""
    return SentencePieceTokenizer.load(folder) if (folder / MODEL_NAME).is_file() else load_tokenizer(folder)


def _preset_config(where: str) -> dict[str, Any]:
    try:
        found = json.loads(_file(where, _CONFIG).read_text("utf-8"))
        return {"class_name": str(found["class_name"]), "config": dict(found["config"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"the preset {where!r} has no {_CONFIG} that can be read ({error}); name a folder with a tokenizer in "
            "model.tokenizer"
        ) from error


def _read(where: str, found: dict[str, Any]) -> KerasTokenizer:
    kind, config = found["class_name"], found["config"]
    if kind not in READERS:
        raise ConfigError(
            f"the preset {where!r} has a {kind}, which is not known without TensorFlow; known are "
            f"{', '.join(READERS)}: set model.tokenizer to a folder with the same in the layout of transformers"
        )
    try:
        return READERS[kind](config, lambda name: _file(where, f"{_ASSETS}/{name}"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"the {kind} of the preset {where!r} cannot be read: {error}; set model.tokenizer to a folder with the "
            "same tokenizer in the layout of transformers"
        ) from error


def _word_pieces(config: Config, asset: Asset) -> FastTokenizer:
    pieces = asset("vocabulary.txt").read_text("utf-8").removesuffix("\n").split("\n")
    made = need("transformers").BertTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        do_lower_case=bool(config.get("lowercase", False)),
        strip_accents=bool(config.get("strip_accents", False)),
        tokenize_chinese_chars=bool(config.get("split_on_cjk", True)),
    )
    return FastTokenizer(made)


def _byte_pairs(config: Config, asset: Asset) -> FastTokenizer:
    lines = asset("merges.txt").read_text("utf-8").split("\n")
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    made = need("transformers").RobertaTokenizer(
        vocab=json.loads(asset("vocabulary.json").read_text("utf-8")),
        merges=merges,
        add_prefix_space=bool(config.get("add_prefix_space", False)),
    )
    return FastTokenizer(made)


def _pieces(special: Special) -> Callable[[Config, Asset], SentencePieceTokenizer]:
    return lambda config, asset: SentencePieceTokenizer(asset("vocabulary.spm").read_bytes(), special)  # noqa: ARG005


READERS: dict[str, Callable[[Config, Asset], KerasTokenizer]] = {
    "AlbertTokenizer": _pieces(Special(pad="<pad>")),
    "BertTokenizer": _word_pieces,
    "DebertaV3Tokenizer": _pieces(Special()),
    "DistilBertTokenizer": _word_pieces,
    "ElectraTokenizer": _word_pieces,
    "RobertaTokenizer": _byte_pairs,
    "XLMRobertaTokenizer": _pieces(Special(cls="<s>", sep="</s>", pad="<pad>", shift=1)),
}
"""Tokenizer of KerasHub -> what reads its vocabulary to the same ids, a few letters such as a German sharp s aside."""


def _file(where: str, path: str) -> Path:
    if Path(where).is_dir():
        return Path(where) / path
    try:
        return Path(need("keras_hub.src.utils.preset_utils").get_file(where, path))
    except ImportError as error:
        raise ConfigError(
            f"the preset {where!r} has to be downloaded: {error}; or set model.name to a local preset folder"
        ) from error
