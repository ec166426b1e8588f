"""Tokenizers of KerasHub's presets, with where each token ends in the text, which KerasHub's own do not return."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Self

from votecast.config.extras import need
from votecast.errors import ArtifactError, ConfigError, MissingExtraError
from votecast.models.keras_siamese.keras_preset import preset_file, resolve_preset
from votecast.models.keras_siamese.settings import Backend
from votecast.text.tokenization import FastTokenizer, load_tokenizer, tiny_tokenizer

MODEL_NAME, FACTS_NAME = "sentencepiece.model", "sentencepiece.json"

Asset = Callable[[str], Path]
"""From the name of a file of the preset to its path."""


@dataclass(frozen=True)
class SpecialPieces:
    """The pieces that open, close and pad a sequence, and how ids are counted.

    XLM-RoBERTa adds a shift to every id; its own are then 0 for `cls`, 1 for `pad`, 2 for `sep`, 3 for the unknown.
    """

    cls: str = "[CLS]"
    sep: str = "[SEP]"
    pad: str = "[PAD]"
    shift: int = 0


class SentencePieceTokenizer:
    """A tokenizer of sentencepiece, from the content of its model file; no words of a text become special tokens.

    Raises:
        ConfigError: If this is no model of sentencepiece, or it lacks a special token.
    """

    has_types = False

    def __init__(self, proto: bytes, special: SpecialPieces) -> None:
        self._proto, self.special = proto, special
        try:
            self._model = need("sentencepiece").SentencePieceProcessor(model_proto=proto)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ConfigError(f"this is no model of sentencepiece: {error}; set model.tokenizer to another") from error
        pieces = (special.cls, special.sep, special.pad)
        ids = [0, 2, 1] if special.shift else [int(self._model.piece_to_id(piece)) for piece in pieces]
        absent = [piece for piece, id_ in zip(pieces, ids, strict=True) if id_ == self._model.unk_id()]
        if absent and not special.shift:
            raise ConfigError(f"the sentencepiece model has no {absent[0]!r}; set model.tokenizer to another")
        self.cls_id, self.sep_id, self.pad_id = ids
        self.bos_id, self.eos_id = self.cls_id, self.sep_id

    def __len__(self) -> int:
        return int(self._model.vocab_size()) + self.special.shift

    def encode(self, texts: Sequence[str], *, specials: bool = False) -> list[list[int]]:  # noqa: ARG002 - protocol
        """Return token ids of each text without special tokens."""
        return [self._shifted(ids) for ids in self._model.encode(list(texts), out_type=int)]

    def spans(self, texts: Sequence[str], *, specials: bool = False) -> list[tuple[list[int], list[int]]]:  # noqa: ARG002
        """Return the same as `encode`, each with the ends of its tokens in the text, in characters.

        Raises:
            MissingExtraError: If sentencepiece is older than 0.2.2.
        """
        try:
            found = self._model.encode(list(texts), return_type="offset_mapping")
        except (TypeError, ValueError) as error:
            raise MissingExtraError(
                f"this sentencepiece does not return where tokens end ({error}); install a newer one with: "
                "pip install 'sentencepiece>=0.2.2'"
            ) from error
        return [(self._shifted(row["ids"]), [end for _, end in row["offsets"]]) for row in found]

    def render(self, turns: Sequence[tuple[str, str]]) -> str | None:  # noqa: ARG002 - protocol
        """Return None: there is no chat template."""
        return None

    def save(self, folder: str | Path) -> None:
        """Write its files into a folder."""
        Path(folder, MODEL_NAME).write_bytes(self._proto)
        Path(folder, FACTS_NAME).write_text(json.dumps(asdict(self.special)) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; a missing or damaged file is an ArtifactError."""
        try:
            special = SpecialPieces(**json.loads((folder / FACTS_NAME).read_text("utf-8")))
            return cls((folder / MODEL_NAME).read_bytes(), special)
        except (OSError, ValueError, TypeError, ConfigError) as error:
            raise ArtifactError(f"the tokenizer in {folder} is damaged: {error}; train the judge again") from error

    def _shifted(self, ids: list[int]) -> list[int]:
        if not self.special.shift:
            return ids
        unknown = int(self._model.unk_id())
        return [3 if i == unknown else i + self.special.shift for i in ids]


KerasTokenizer = FastTokenizer | SentencePieceTokenizer


def find_tokenizer(name: str, tokenizer: str | None, backend: Backend) -> KerasTokenizer:
    """Load the tokenizer of a backbone.

    Args:
        name: The setting `model.name`.
        tokenizer: The setting `model.tokenizer`: a tokenizer in the layout of transformers, which comes first.
        backend: The setting `model.backend`, on which KerasHub is started if it has to download.

    Raises:
        ConfigError: If there is none that can be read without TensorFlow, or it cannot be downloaded.
        MissingExtraError: If transformers is not installed.

    Example:
        >>> len(find_tokenizer("tiny:bert", None, "jax"))
        261
    """
    if tokenizer is not None:
        return load_tokenizer(tokenizer)
    if name.startswith("tiny:"):
        return tiny_tokenizer()
    preset = resolve_preset(name)
    if Path(preset, "tokenizer_config.json").is_file():
        return load_tokenizer(preset)
    try:
        found = json.loads(preset_file(preset, "tokenizer.json", backend).read_text("utf-8"))
        kind, config = str(found["class_name"]), dict(found["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"the preset {preset!r} has no tokenizer.json that can be read ({error}); name a folder with a tokenizer "
            "in model.tokenizer"
        ) from error
    if kind not in READERS:
        raise ConfigError(
            f"the preset {preset!r} has a {kind}, which is not known without TensorFlow; known are "
            f"{', '.join(READERS)}: set model.tokenizer to a folder with the same in the layout of transformers"
        )
    try:
        return READERS[kind](config, lambda file: preset_file(preset, f"assets/tokenizer/{file}", backend))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"the {kind} of the preset {preset!r} cannot be read: {error}; set model.tokenizer to a folder with the "
            "same tokenizer in the layout of transformers"
        ) from error


def stored_tokenizer(folder: Path) -> KerasTokenizer:
    """Load the tokenizer of a judge folder."""
    return SentencePieceTokenizer.load(folder) if (folder / MODEL_NAME).is_file() else load_tokenizer(folder)


def _word_pieces(config: Mapping[str, object], asset: Asset) -> FastTokenizer:
    pieces = asset("vocabulary.txt").read_text("utf-8").removesuffix("\n").split("\n")
    made = need("transformers").BertTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        do_lower_case=bool(config.get("lowercase", False)),
        strip_accents=bool(config.get("strip_accents", False)),
        tokenize_chinese_chars=bool(config.get("split_on_cjk", True)),
    )
    return FastTokenizer(made)


def _byte_pairs(config: Mapping[str, object], asset: Asset) -> FastTokenizer:
    lines = asset("merges.txt").read_text("utf-8").split("\n")
    made = need("transformers").RobertaTokenizer(
        vocab=json.loads(asset("vocabulary.json").read_text("utf-8")),
        merges=[tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")],
        add_prefix_space=bool(config.get("add_prefix_space", False)),
    )
    return FastTokenizer(made)


def _pieces(_: Mapping[str, object], asset: Asset, special: SpecialPieces) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(asset("vocabulary.spm").read_bytes(), special)


READERS: dict[str, Callable[[Mapping[str, object], Asset], KerasTokenizer]] = {
    "AlbertTokenizer": partial(_pieces, special=SpecialPieces(pad="<pad>")),
    "BertTokenizer": _word_pieces,
    "DebertaV3Tokenizer": partial(_pieces, special=SpecialPieces()),
    "DistilBertTokenizer": _word_pieces,
    "ElectraTokenizer": _word_pieces,
    "RobertaTokenizer": _byte_pairs,
    "XLMRobertaTokenizer": partial(_pieces, special=SpecialPieces(cls="<s>", sep="</s>", pad="<pad>", shift=1)),
}
"""Tokenizer of KerasHub -> reader of its vocabulary with the same ids, but for a few letters such as a sharp s."""
