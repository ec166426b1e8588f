"""Tokenizers of sentencepiece as KerasHub's presets hold them: the model file itself, read without TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from votecast.config.extras import need
from votecast.errors import ArtifactError, ConfigError, MissingExtraError

MODEL_NAME, FACTS_NAME = "sentencepiece.model", "sentencepiece.json"


@dataclass(frozen=True)
class Special:
    """Pieces with a meaning, and how ids are counted.

    Args:
        cls: Piece that opens a sequence.
        sep: Piece that closes it.
        pad: Piece that fills up.
        shift: Added to every id, as XLM-RoBERTa does; its own ids are then 0 for `cls`, 1 for `pad`, 2 for `sep`, and 3
            for what is unknown.
    """

    cls: str = "[CLS]"
    sep: str = "[SEP]"
    pad: str = "[PAD]"
    shift: int = 0


class SentencePieceTokenizer:
    """A tokenizer of sentencepiece.

    Args:
        proto: What its model file holds.
        special: Its special tokens.

    Raises:
        ConfigError: If this is no model of sentencepiece, or it lacks a special token.
    """

    has_types = False

    def __init__(self, proto: bytes, special: Special) -> None:
        self._proto, self.special = proto, special
        try:
            self._model = need("sentencepiece").SentencePieceProcessor(model_proto=proto)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ConfigError(f"this is no model of sentencepiece: {error}; set model.tokenizer to another") from error
        named = (special.cls, special.sep, special.pad)
        self.cls_id, self.sep_id, self.pad_id = (0, 2, 1) if special.shift else map(self._id, named)
        self.bos_id, self.eos_id = self.cls_id, self.sep_id

    def __len__(self) -> int:
        return int(self._model.vocab_size()) + self.special.shift

    def encode(self, texts: Sequence[str], *, specials: bool = False) -> list[list[int]]:  # noqa: ARG002 - protocol
        """Token ids of each text, no special token added: no words of a text are taken for special ones."""
        return [self._shifted(ids) for ids in self._model.encode(list(texts), out_type=int)]

    def spans(self, texts: Sequence[str], *, specials: bool = False) -> list[tuple[list[int], list[int]]]:  # noqa: ARG002
        """As `encode`, each with where its tokens end in the text, in characters.

        Raises:
            MissingExtraError: If sentencepiece is older than 0.2.2.
        """
        try:
            found = self._model.encode(list(texts), return_type="offset_mapping")
        except (TypeError, ValueError) as error:
            raise MissingExtraError(
                f"this sentencepiece does not say where tokens end ({error}); install a newer one with: "
                "pip install 'sentencepiece>=0.2.2'"
            ) from error
        return [(self._shifted(row["ids"]), [end for _, end in row["offsets"]]) for row in found]

    def render(self, turns: Sequence[tuple[str, str]]) -> str | None:  # noqa: ARG002 - protocol
        """No chat template comes with it."""
        return None

    def save(self, folder: str | Path) -> None:
        """Write its files into a folder."""
        Path(folder, MODEL_NAME).write_bytes(self._proto)
        Path(folder, FACTS_NAME).write_text(json.dumps(asdict(self.special)) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ArtifactError: If a file is absent or damaged.
        """
        try:
            special = Special(**json.loads((folder / FACTS_NAME).read_text("utf-8")))
            return cls((folder / MODEL_NAME).read_bytes(), special)
        except (OSError, ValueError, TypeError, ConfigError) as error:
            raise ArtifactError(f"the tokenizer in {folder} is damaged: {error}; train the judge again") from error

    def _shifted(self, ids: list[int]) -> list[int]:
        if not self.special.shift:
            return ids
        unknown = int(self._model.unk_id())
        return [3 if i == unknown else i + self.special.shift for i in ids]

    def _id(self, piece: str) -> int:
        found = int(self._model.piece_to_id(piece))
        if found == self._model.unk_id():
            raise ConfigError(f"the sentencepiece model has no {piece!r}; set model.tokenizer to another")
        return found
