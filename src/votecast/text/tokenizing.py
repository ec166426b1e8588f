"""From texts to flat arrays of token ids; of a text far too long only the ends that a cut can keep are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from votecast.text.pieces import Counts
from votecast.text.tokenizer import Tokenizer

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
class Reading:
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
class _Part:
    """One end of a text, or all of it: its tokens, where they end, and how many characters were read."""

    ids: list[int]
    ends: list[int]
    read: int


def tokenize_texts(tokenizer: Tokenizer, texts: Sequence[str], reading: Reading) -> Tokenized:
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
    tokenizer: Tokenizer, texts: Sequence[str], reading: Reading
) -> Iterable[tuple[str, _Part | None, _Part | None]]:
    """Each text with its first and its last part; a text read in whole has one of them."""
    if reading.keep == "tail":
        return zip(texts, [None] * len(texts), _read_end(tokenizer, texts, reading, last=True), strict=True)
    heads = _read_end(tokenizer, texts, reading, last=False)
    tails: list[_Part | None] = [None] * len(texts)
    if reading.keep == "ends":
        long = [n for n, head in enumerate(heads) if head.read < len(texts[n])]
        for n, tail in zip(long, _read_end(tokenizer, [texts[n] for n in long], reading, last=True), strict=True):
            tails[n] = tail
    return zip(texts, heads, tails, strict=True)


def _read_end(tokenizer: Tokenizer, texts: Sequence[str], reading: Reading, *, last: bool) -> list[_Part]:
    parts: dict[int, _Part] = {}
    enough = reading.limit + _MARGIN
    size = _FIRST * enough
    while len(parts) < len(texts):
        open_ = [n for n in range(len(texts)) if n not in parts]
        strings = [_end(texts[n], size, last=last) for n in open_]
        for n, string, (ids, ends) in zip(open_, strings, _encode(tokenizer, strings, reading), strict=True):
            if len(string) == len(texts[n]) or len(ids) >= enough or size >= _MOST * enough:
                parts[n] = _Part(ids, ends, len(string))
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


def _encode(tokenizer: Tokenizer, strings: Sequence[str], reading: Reading) -> list[tuple[list[int], list[int]]]:
    if reading.spans:
        return tokenizer.spans(strings, specials=reading.specials)
    return [(ids, []) for ids in tokenizer.encode(strings, specials=reading.specials)]


def _held(text: str, head: _Part | None, tail: _Part | None, reading: Reading) -> tuple[_Part, int]:
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


def _first(part: _Part, limit: int) -> _Part:
    return part if len(part.ids) <= limit else _Part(part.ids[:limit], part.ends[:limit], part.read)


def _last(part: _Part, limit: int, shift: int) -> _Part:
    return _Part(part.ids[-limit:], [end + shift for end in part.ends[-limit:]], part.read)


def _joined(head: _Part, tail: _Part) -> _Part:
    return _Part(head.ids + tail.ids, head.ends + tail.ends, head.read + tail.read)


def _flat(lists: Iterable[list[int]]) -> NDArray[np.int32]:
    return np.fromiter(chain.from_iterable(lists), np.int32)
