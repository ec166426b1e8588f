"""Tokenize texts into flat arrays; of very long texts only the ends that truncation can keep.

The encoder calls it with a tokenizer of transformers or the byte tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from votecast.config.extras import need
from votecast.errors import ConfigError, JudgeError
from votecast.text.sequences import Counts

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


SPECIALS = {kind: f"[{kind[:3].upper()}]" for kind in ("pad_token", "cls_token", "sep_token", "eos_token", "unk_token")}


def tiny_tokenizer(**options: Any) -> FastTokenizer:
    """A byte-level tokenizer with 261 tokens: the special ones, then one for each byte.

    Args:
        options: Handed to `PreTrainedTokenizerFast`; `sep_token=None` makes one without a separator.

    Example:
        >>> tokenizer = tiny_tokenizer()
        >>> len(tokenizer), [len(ids) for ids in tokenizer.encode(["abc", "é"])], tokenizer.pad_id
        (261, [3, 2], 0)
    """
    tokenizers, transformers = need("tokenizers"), need("transformers")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: number for number, token in enumerate([*SPECIALS.values(), *letters])}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = tokenizers.decoders.ByteLevel()
    names = ["input_ids", "token_type_ids", "attention_mask"]
    settings = {"tokenizer_object": backend, "model_input_names": names, **SPECIALS, **options}
    return FastTokenizer(transformers.PreTrainedTokenizerFast(**settings))


Keep = Literal["head", "tail", "ends"]

_CHUNK = 2048
_MARGIN = 64
_FIRST, _MOST, _STEP = 8, 512, 4
_WORD = 256


@dataclass(frozen=True)
class Tokenized:
    """Tokens of texts.

    Args:
        ids: Token ids of all texts.
        lengths: Tokens held of each text.
        hidden: Tokens of each text that are not held; an estimate where they were not read.
        ends: Where each token ends in its text, in characters; None if not asked for.
    """

    ids: NDArray[np.int32]
    lengths: Counts
    hidden: Counts
    ends: NDArray[np.int32] | None


@dataclass(frozen=True)
class TokenizeOptions:
    """How to read texts.

    Args:
        keep: The end that a cut keeps: the first tokens, the last, or both.
        limit: The most tokens that a cut keeps at an end.
        spans: Whether to note where each token ends.
        specials: Whether special tokens spelled out in a text count as such.
    """

    keep: Keep
    limit: int
    spans: bool = False
    specials: bool = False


@dataclass(frozen=True)
class _TextEnd:
    """One end of a text, or all of it: its tokens, where they end, and how many characters were read."""

    ids: list[int]
    ends: list[int]
    read: int


def tokenize_texts(tokenizer: Tokenizer, texts: Sequence[str], reading: TokenizeOptions) -> Tokenized:
    """Token ids of texts.

    Of a text of more than 16 characters a token of the limit only half is read at first, four times as much where that
    gives fewer tokens than the limit and a margin of 64, and so on up to 512 characters a token. The tokens held are
    those of the whole text: what a tokenizer makes of a word does not hang on what stands 64 tokens away.
    """
    ids, ends = [], []
    lengths: list[int] = []
    hidden: list[int] = []
    for start in range(0, len(texts), _CHUNK):
        held = [_held(*parts, reading) for parts in _read(tokenizer, texts[start : start + _CHUNK], reading)]
        ids.append(_flat(part.ids for part, _ in held))
        ends.append(_flat(part.ends for part, _ in held))
        lengths.extend(len(part.ids) for part, _ in held)
        hidden.extend(unseen for _, unseen in held)
    empty = np.zeros(0, np.int32)
    return Tokenized(
        np.concatenate([empty, *ids]),
        np.array(lengths, np.int64),
        np.array(hidden, np.int64),
        np.concatenate([empty, *ends]) if reading.spans else None,
    )


def _read(
    tokenizer: Tokenizer, texts: Sequence[str], reading: TokenizeOptions
) -> Iterable[tuple[str, _TextEnd | None, _TextEnd | None]]:
    """Each text with its first and its last part; a text read in whole has one of them."""
    if reading.keep == "tail":
        return zip(texts, [None] * len(texts), _read_end(tokenizer, texts, reading, last=True), strict=True)
    heads = _read_end(tokenizer, texts, reading, last=False)
    tails: list[_TextEnd | None] = [None] * len(texts)
    if reading.keep == "ends":
        long = [n for n, head in enumerate(heads) if head.read < len(texts[n])]
        for n, tail in zip(long, _read_end(tokenizer, [texts[n] for n in long], reading, last=True), strict=True):
            tails[n] = tail
    return zip(texts, heads, tails, strict=True)


def _read_end(tokenizer: Tokenizer, texts: Sequence[str], reading: TokenizeOptions, *, last: bool) -> list[_TextEnd]:
    parts: dict[int, _TextEnd] = {}
    enough = reading.limit + _MARGIN
    size = _FIRST * enough
    while len(parts) < len(texts):
        open_ = [n for n in range(len(texts)) if n not in parts]
        strings = [_end(texts[n], size, last=last) for n in open_]
        for n, string, (ids, ends) in zip(open_, strings, _encode(tokenizer, strings, reading), strict=True):
            if len(string) == len(texts[n]) or len(ids) >= enough or size >= _MOST * enough:
                parts[n] = _TextEnd(ids, ends, len(string))
        size *= _STEP
    return [parts[n] for n in range(len(texts))]


def _end(text: str, size: int, *, last: bool) -> str:
    """One end of a long text, cut between words where it can be."""
    if len(text) <= 2 * size:
        return text
    if last:
        start = len(text) - size
        space = text.find(" ", start, start + _WORD)
        return text[space if space >= 0 else start :]
    space = text.rfind(" ", size - _WORD, size)
    return text[: space if space >= 0 else size]


def _encode(
    tokenizer: Tokenizer, strings: Sequence[str], reading: TokenizeOptions
) -> list[tuple[list[int], list[int]]]:
    if reading.spans:
        return tokenizer.spans(strings, specials=reading.specials)
    return [(ids, []) for ids in tokenizer.encode(strings, specials=reading.specials)]


def _held(text: str, head: _TextEnd | None, tail: _TextEnd | None, reading: TokenizeOptions) -> tuple[_TextEnd, int]:
    """The tokens that a cut could keep, and how many more there are."""
    limit = reading.limit
    seen = [part for part in (head, tail) if part is not None]
    tokens, read = sum(len(part.ids) for part in seen), sum(part.read for part in seen)
    total = tokens if read >= len(text) else round(tokens * len(text) / max(read, 1))
    if head is not None and tail is None and reading.keep == "ends":
        keep = head if len(head.ids) <= 2 * limit else _joined(_first(head, limit), _last(head, limit, 0))
    elif head is not None and tail is not None:
        keep = _joined(_first(head, limit), _last(tail, limit, len(text) - tail.read))
    else:
        keep = _first(head, limit) if head is not None else _last(seen[0], limit, len(text) - read)
    return keep, max(total - len(keep.ids), 0)


def _first(part: _TextEnd, limit: int) -> _TextEnd:
    return part if len(part.ids) <= limit else _TextEnd(part.ids[:limit], part.ends[:limit], part.read)


def _last(part: _TextEnd, limit: int, shift: int) -> _TextEnd:
    return _TextEnd(part.ids[-limit:], [end + shift for end in part.ends[-limit:]], part.read)


def _joined(head: _TextEnd, tail: _TextEnd) -> _TextEnd:
    return _TextEnd(head.ids + tail.ids, head.ends + tail.ends, head.read + tail.read)


def _flat(lists: Iterable[list[int]]) -> NDArray[np.int32]:
    return np.fromiter(chain.from_iterable(lists), np.int32)
