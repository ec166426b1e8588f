"""The few things votecast asks of a tokenizer, and tokenizers of transformers in that shape."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from votecast.config.extras import need
from votecast.errors import ConfigError, JudgeError

_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spm.model",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)
_NO_CLOCK = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"


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
        """Token ids of each text, no special token added; `specials`: those spelled out in the text count as such."""

    def spans(self, texts: Sequence[str], *, specials: bool = False) -> list[tuple[list[int], list[int]]]:
        """As `encode`, each with where its tokens end in the text, in characters."""

    def render(self, turns: Sequence[tuple[str, str]]) -> str | None:
        """A chat of (user, assistant) turns as the tokenizer's template spells it; None without a template."""

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
            specials: Whether a special token spelled out in a text, such as `[SEP]`, becomes that token. In what
                people and models wrote it should not: an answer could end itself and begin the other.
        """
        self._backend.encode_special_tokens = not specials
        return [found.ids for found in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def spans(self, texts: Sequence[str], *, specials: bool = False) -> list[tuple[list[int], list[int]]]:
        """As `encode`, each with where its tokens end in the text, in characters."""
        self._backend.encode_special_tokens = not specials
        found = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [(encoding.ids, [end for _, end in encoding.offsets]) for encoding in found]

    def render(self, turns: Sequence[tuple[str, str]]) -> str | None:
        """A chat as the tokenizer's own template spells it, on a fixed day; None without a template.

        Raises:
            JudgeError: If the template refuses the chat.
        """
        if not self.tokenizer.chat_template:
            return None
        messages = [
            {"role": role, "content": text}
            for turn in turns
            for role, text in zip(("user", "assistant"), turn, strict=True)
        ]
        try:
            template = _NO_CLOCK + self.tokenizer.get_chat_template()
            return str(self.tokenizer.apply_chat_template(messages, tokenize=False, chat_template=template))
        except Exception as error:
            raise JudgeError(
                f"the chat template of this tokenizer cannot be used: {error}; mend chat_template in "
                "tokenizer_config.json, or remove it for ChatML"
            ) from error

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json and tokenizer_config.json; a chat template stays inside the latter."""
        self.tokenizer.save_pretrained(folder, save_jinja_files=False)


def load_tokenizer(
    path_or_name: str | Path, revision: str | None = None, *, eos_as_padding: bool = False
) -> FastTokenizer:
    """Read a tokenizer.

    Args:
        path_or_name: A folder, or a name on the hub.
        revision: Commit, tag or branch of a hub name.
        eos_as_padding: Fill up with the end-of-text token where there is no padding token, as decoders do.

    Raises:
        ConfigError: If there is no tokenizer of that name, or none that can be read.
        JudgeError: If it cannot say which tokens it makes of which characters, or has no padding token.
        MissingExtraError: If transformers is not installed.
    """
    name = str(path_or_name)
    folder = Path(name).expanduser()
    if folder.is_dir() and not any((folder / file).is_file() for file in _FILES):
        raise ConfigError(f"{name} holds no tokenizer; it needs tokenizer.json, or one of {', '.join(_FILES[1:])}")
    found = _from_pretrained(str(folder) if folder.is_dir() else name, revision)
    if not getattr(found, "is_fast", False):
        raise JudgeError(f"the tokenizer of {name} has no fast form; save it with a tokenizer.json")
    if found.pad_token_id is None and eos_as_padding and found.eos_token_id is not None:
        found.pad_token = found.eos_token
    if found.pad_token_id is None:
        raise JudgeError(
            f"the tokenizer of {name} has no padding token (pad_token); name one of its tokens in "
            "tokenizer_config.json beside the weights"
        )
    return FastTokenizer(found)


def _from_pretrained(name: str, revision: str | None) -> Any:
    transformers = need("transformers")
    options = {"revision": revision} if revision else {}
    try:
        return transformers.AutoTokenizer.from_pretrained(name, use_fast=True, trust_remote_code=False, **options)
    except Exception as error:  # damaged files raise whatever the parser beneath raises
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f"no tokenizer could be read from {name}: {lines[0][:300]}; give a folder with tokenizer.json, or the "
            "name of a public model on the Hugging Face hub (which needs the network once)"
        ) from error
