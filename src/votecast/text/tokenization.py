"""Tokenize texts into flat arrays; of very long texts only the ends that truncation can keep.

The encoder calls it with a tokenizer of transformers or the byte tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from votecast.artifacts import check_text_files
from votecast.config.extras import need
from votecast.errors import ConfigError, JudgeError
from votecast.text.sequences import Ints, Sequences, offsets_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_FILES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "spiece.model", "tokenizer.model",
    "sentencepiece.bpe.model",
)  # fmt: skip
# a class of transformers that found no files knows its special tokens alone, and would read every text as unknown
_LEAST_TOKENS = 16
_MOST_GROWTH = 64
# A chat template that prints the date would make predictions depend on the day: this macro hides the function.
_FIXED_DATE = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"


class Tokenizer(Protocol):
    """What templates need: token ids of texts, special tokens, and a way to be saved."""

    @property
    def cls_id(self) -> int | None:
        """Classification token of an encoder."""

    @property
    def sep_id(self) -> int | None:
        """Token between two texts."""

    @property
    def pad_id(self) -> int | None:
        """Padding token."""

    @property
    def bos_id(self) -> int | None:
        """Token at the beginning of a text."""

    @property
    def eos_id(self) -> int | None:
        """Token at the end of a text."""

    @property
    def has_types(self) -> bool:
        """Whether its models read segment ids."""

    def encode(self, texts: Sequence[str], *, specials: bool = False) -> list[list[int]]:
        """Return the token ids of each text without special tokens, except those in the text if `specials`."""

    def spans(self, texts: Sequence[str], *, specials: bool = False) -> list[tuple[list[int], list[int]]]:
        """Return what `encode` does, each with the ends of its tokens in the text, in characters."""

    def render(self, turns: Sequence[tuple[str, str]]) -> str | None:
        """Render a chat of (user, assistant) turns with the chat template; None without one."""

    def save(self, folder: str | Path) -> None:
        """Write its files into a folder."""


class FastTokenizer:
    """A tokenizer of transformers.

    Args:
        tokenizer: The tokenizer of transformers.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
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

    @property
    def reach(self) -> int:
        """One more than the largest id that texts, padding and templates give."""
        # Gemma-3 and others have special tokens beyond the embedding that no text contains
        unused = {id_ for id_, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        unused -= {self.cls_id, self.sep_id, self.pad_id, self.bos_id, self.eos_id}
        vocabulary: dict[str, int] = self.tokenizer.get_vocab()
        return 1 + max(id_ for id_ in vocabulary.values() if id_ not in unused)

    def encode(self, texts: Sequence[str], *, specials: bool = False) -> list[list[int]]:
        """Return the token ids of each text, no special token added.

        Args:
            texts: The texts.
            specials: Whether a special token spelled out in a text, such as `[SEP]`, becomes that token. In prompts
                and responses it should not: a response could end itself and begin the other.
        """
        self._backend.encode_special_tokens = not specials
        with _matching():
            return [found.ids for found in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def spans(self, texts: Sequence[str], *, specials: bool = False) -> list[tuple[list[int], list[int]]]:
        """Return what `encode` does, each with the ends of its tokens in the text, in characters."""
        self._backend.encode_special_tokens = not specials
        with _matching():
            found = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [(encoding.ids, [end for _, end in encoding.offsets]) for encoding in found]

    def render(self, turns: Sequence[tuple[str, str]]) -> str | None:
        """Render a chat with the tokenizer's own template, on a fixed day; None without a template.

        Raises:
            JudgeError: If the template raises.
        """
        if not self.tokenizer.chat_template:
            return None
        messages = [
            {"role": role, "content": text}
            for turn in turns
            for role, text in zip(("user", "assistant"), turn, strict=True)
        ]
        try:
            template = _FIXED_DATE + self.tokenizer.get_chat_template()
            return str(self.tokenizer.apply_chat_template(messages, tokenize=False, chat_template=template))
        except Exception as error:  # a template is a program of its author, and raises what it likes
            raise JudgeError(
                f"the chat template of this tokenizer cannot be used: {error}; mend chat_template in "
                "tokenizer_config.json, or remove it for ChatML"
            ) from error

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json and tokenizer_config.json; a chat template stays inside the latter."""
        self.tokenizer.save_pretrained(folder, save_jinja_files=False)


@contextmanager
def _matching() -> Iterator[None]:
    """Turn the panic of a pattern that takes too long on a text into a JudgeError within this context."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust, which is not an Exception
            raise
        raise JudgeError(
            f"the tokenizer failed on a text: {str(error)[:200]}; a pattern of its tokenizer.json cannot be matched, "
            "take the tokenizer that its model was published with"
        ) from error


def _check_growth(normalizer: object, name: str) -> None:
    """Raise a ConfigError if a normalizer makes texts many times longer, as no published one does."""
    waiting, most = [json.loads(normalizer.__getstate__())] if normalizer is not None else [], 1  # type: ignore[arg-type]
    while waiting:
        part = waiting.pop()
        waiting += part.get("normalizers", [])
        for key in ("content", "prepend"):
            most *= max(len(part.get(key) or ""), 1)
    if most > _MOST_GROWTH:
        raise ConfigError(f"the normalizer of {name} makes texts {most:,} times longer; allowed is {_MOST_GROWTH}")


def load_tokenizer(
    path_or_name: str | Path, revision: str | None = None, *, eos_as_padding: bool = False, local: bool = False
) -> FastTokenizer:
    """Load a tokenizer.

    Args:
        path_or_name: A folder, or a name on the hub.
        revision: Commit, tag or branch of a hub name.
        eos_as_padding: Pad with the end-of-text token where there is no padding token, as decoders do.
        local: Take that of a hub name from the cache on this machine alone.

    Raises:
        ConfigError: If there is no tokenizer of that name, or it cannot be read.
        JudgeError: If it has no fast form, which knows the characters of each token, or no padding token.
        MissingExtraError: If transformers is not installed.
    """
    name = str(path_or_name)
    folder = Path(name).expanduser()
    if folder.is_dir() and not any((folder / file).is_file() for file in _FILES):
        raise ConfigError(f"{name} holds no tokenizer; it needs tokenizer.json, or one of {', '.join(_FILES[1:])}")
    transformers = need("transformers")
    source = str(folder) if folder.is_dir() else name
    if folder.is_dir():
        check_text_files(folder)
    options: dict[str, object] = {"local_files_only": local} | ({"revision": revision} if revision else {})
    try:
        found = transformers.AutoTokenizer.from_pretrained(source, use_fast=True, trust_remote_code=False, **options)
    except Exception as error:  # damaged files raise whatever the parser beneath raises
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f"no tokenizer could be read from {source}: {lines[0][:300]}; give a folder with tokenizer.json, or the "
            "name of a public model on the Hugging Face hub (which needs the network once)"
        ) from error
    if not isinstance(found, transformers.PreTrainedTokenizerFast):
        raise JudgeError(f"the tokenizer of {name} has no fast form; save it with a tokenizer.json")
    _check_growth(found.backend_tokenizer.normalizer, name)
    if len(found) < _LEAST_TOKENS:
        raise ConfigError(
            f"the tokenizer of {name} has {len(found)} tokens: its files are missing; it needs tokenizer.json, or one "
            f"of {', '.join(_FILES[1:])}"
        )
    if found.pad_token_id is None and eos_as_padding and found.eos_token_id is not None:
        found.pad_token = found.eos_token
    if found.pad_token_id is None:
        raise JudgeError(
            f"the tokenizer of {name} has no padding token (pad_token); name one of its tokens in "
            "tokenizer_config.json beside the weights"
        )
    return FastTokenizer(found)


SPECIALS = {kind: f"[{kind[:3].upper()}]" for kind in ("pad_token", "cls_token", "sep_token", "eos_token", "unk_token")}


def tiny_tokenizer(**options: object) -> FastTokenizer:
    """Make a byte-level tokenizer with 261 tokens: the special ones, then one for each byte.

    Args:
        options: Options of `PreTrainedTokenizerFast`; `sep_token=None` makes one without a separator.

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
_Encode = Callable[[Sequence[str]], list[tuple[list[int], list[int]]]]
_End = tuple[list[int], list[int], int]
"""The tokens of one end of a text (or of all of it), their ends, and the number of characters read."""

_TEXTS_AT_ONCE = 2048
_MARGIN = 64
# Characters read for each token of the limit: at first, at most, and the growth between two tries.
_FIRST, _MOST, _STEP = 8, 512, 4
_LONGEST_WORD = 256


def tokenize_texts(
    tokenizer: Tokenizer, texts: Sequence[str], *, keep: Keep, limit: int, spans: bool = False, specials: bool = False
) -> tuple[Sequences, Ints, NDArray[np.int32] | None]:
    """Tokenize n texts, of very long ones only the ends.

    Of a text of more than 16 characters a token of the limit only half is read at first, four times as much where that
    gives fewer tokens than the limit and a margin of 64, and so on up to 512 characters a token. The tokens held are
    those of the whole text: the tokens of a word do not depend on text 64 tokens away.

    Args:
        tokenizer: The tokenizer.
        texts: The texts.
        keep: The end that truncation keeps: the first tokens, the last, or both.
        limit: The most tokens that truncation keeps at an end.
        spans: Whether the ends of the tokens are needed.
        specials: Whether special tokens spelled out in a text count as such.

    Returns:
        Tokens held, one row a text; tokens of each text that are not held, an estimate where they were not read, shape
        (n,); and the end of each token in its text, in characters, None without `spans`.
    """

    def _encode(strings: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        if spans:
            return tokenizer.spans(strings, specials=specials)
        return [(ids, []) for ids in tokenizer.encode(strings, specials=specials)]

    ids, ends = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    lengths: list[int] = []
    hidden: list[int] = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        part = texts[start : start + _TEXTS_AT_ONCE]
        first = _read_ends(_encode, part, limit, last=keep == "tail")
        second: dict[int, _End] = {}
        if keep == "ends":
            long = [n for n, (_, _, read) in enumerate(first) if read < len(part[n])]
            second = dict(zip(long, _read_ends(_encode, [part[n] for n in long], limit, last=True), strict=True))
        held = [_select(text, first[n], second.get(n), keep, limit) for n, text in enumerate(part)]
        ids.append(np.fromiter(chain.from_iterable(tokens for tokens, _, _ in held), np.int32))
        ends.append(np.fromiter(chain.from_iterable(places for _, places, _ in held), np.int32))
        lengths.extend(len(tokens) for tokens, _, _ in held)
        hidden.extend(unseen for _, _, unseen in held)
    tokens = Sequences(np.concatenate(ids), offsets_of(np.array(lengths, np.int64)))
    return tokens, np.array(hidden, np.int64), np.concatenate(ends) if spans else None


def _read_ends(encode: _Encode, texts: Sequence[str], limit: int, *, last: bool) -> list[_End]:
    """Tokenize one end of each text, more of it until there are enough tokens."""
    found: dict[int, _End] = {}
    enough = limit + _MARGIN
    size = _FIRST * enough
    while len(found) < len(texts):
        todo = [n for n in range(len(texts)) if n not in found]
        strings = []
        for text in (texts[n] for n in todo):
            if len(text) <= 2 * size:
                strings.append(text)
            elif last:  # cut between words where that is possible
                start = len(text) - size
                space = text.find(" ", start, start + _LONGEST_WORD)
                strings.append(text[space if space >= 0 else start :])
            else:
                space = text.rfind(" ", size - _LONGEST_WORD, size)
                strings.append(text[: space if space >= 0 else size])
        for n, string, (ids, ends) in zip(todo, strings, encode(strings), strict=True):
            if len(string) == len(texts[n]) or len(ids) >= enough or size >= _MOST * enough:
                found[n] = (ids, ends, len(string))
        size *= _STEP
    return [found[n] for n in range(len(texts))]


def _select(text: str, first: _End, second: _End | None, keep: Keep, limit: int) -> tuple[list[int], list[int], int]:
    """Return the tokens that truncation could keep, their ends, and the number of the other tokens."""
    total, read = len(first[0]), first[2]
    if second is not None:
        total, read = total + len(second[0]), read + second[2]
    elif keep == "ends" and total <= 2 * limit:
        return first[0], first[1], 0
    if read < len(text):
        total = round(total * len(text) / max(read, 1))
    ids, ends = ([], []) if keep == "tail" else (first[0][:limit], first[1][:limit])
    if keep != "head":
        last_ids, last_ends, last_read = second or first
        shift = len(text) - last_read
        ids, ends = ids + last_ids[-limit:], ends + [end + shift for end in last_ends[-limit:]]
    return ids, ends, max(total - len(ids), 0)
