"""The few things votecast asks of a tokenizer, and tokenizers of transformers in that shape."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from votecast.errors import ConfigError, JudgeError
from votecast.extras import need

_CHUNK = 4096


class Tokenizer(Protocol):
    """What a template needs: token ids of texts, the special tokens, and a way to be saved."""

    @property
    def cls_id(self) -> int | None:
        """The token an encoder classifies by."""

    @property
    def sep_id(self) -> int | None:
        """The token between two texts."""

    @property
    def pad_id(self) -> int | None:
        """The token that fills up."""

    @property
    def bos_id(self) -> int | None:
        """The token that opens a text."""

    @property
    def eos_id(self) -> int | None:
        """The token that closes a text."""

    @property
    def has_types(self) -> bool:
        """Whether its models read segment ids."""

    def encode(self, texts: Sequence[str], *, specials: bool = False) -> list[list[int]]:
        """Token ids of each text, no special token added; `specials`: special tokens written in the text count."""

    def save(self, folder: str | Path) -> None:
        """Write its files into a folder."""


class FastTokenizer:
    """A tokenizer of transformers.

    Args:
        tokenizer: A `PreTrainedTokenizerFast`.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self.cls_id: int | None = tokenizer.cls_token_id
        self.sep_id: int | None = tokenizer.sep_token_id
        self.pad_id: int | None = tokenizer.pad_token_id
        self.bos_id: int | None = tokenizer.bos_token_id
        self.eos_id: int | None = tokenizer.eos_token_id
        self.has_types: bool = "token_type_ids" in tokenizer.model_input_names

    def __len__(self) -> int:
        return len(self.tokenizer)

    def encode(self, texts: Sequence[str], *, specials: bool = False) -> list[list[int]]:
        """Token ids of each text, no special token added.

        Args:
            texts: The texts.
            specials: Whether a special token written out in a text, such as `[SEP]`, becomes that token. What people
                and models wrote should not: it would let an answer end itself.
        """
        self._backend.encode_special_tokens = not specials
        out: list[list[int]] = []
        for start in range(0, len(texts), _CHUNK):
            found = self._backend.encode_batch_fast(list(texts[start : start + _CHUNK]), add_special_tokens=False)
            out.extend(encoding.ids for encoding in found)
        return out

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json and tokenizer_config.json; a chat template stays inside the latter."""
        self.tokenizer.save_pretrained(folder, save_jinja_files=False)

    @classmethod
    def load(cls, path_or_name: str | Path, revision: str | None = None) -> Self:
        """Read a tokenizer from a folder or a hub."""
        transformers = need("transformers")
        try:
            found = transformers.AutoTokenizer.from_pretrained(
                str(path_or_name), revision=revision, use_fast=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"no tokenizer could be read from {str(path_or_name)!r}: {error}") from error
        if not getattr(found, "is_fast", False):
            raise JudgeError(f"the tokenizer in {str(path_or_name)!r} has no tokenizer.json; save it as a fast one")
        return cls(found)


def load_tokenizer(path_or_name: str | Path, revision: str | None = None) -> FastTokenizer:
    """Read a tokenizer.

    Args:
        path_or_name: A folder, or a name on the hub.
        revision: Commit, tag or branch of a hub name.

    Raises:
        ConfigError: If there is no tokenizer of that name, or none that can be read.
        JudgeError: If it is not a fast tokenizer.
        MissingExtraError: If transformers is not installed.
    """
    return FastTokenizer.load(path_or_name, revision)
