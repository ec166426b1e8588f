"""Lay out prompt and responses: the columns of the reference systems, or a chat template.

The encoder asks for the layout of a pair or of one response.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from votecast.errors import ConfigError, JudgeError
from votecast.text.sequences import (
    Counts,
    Kept,
    Pieces,
    Sequences,
    Stretches,
    kept_stretches,
    offsets_of,
    per_row,
    ranges,
)
from votecast.text.settings import TextSettings
from votecast.text.tokenization import Tokenizer

TAGS = ("<prompt>: ", "\n\n<response_a>: ", "\n\n<response_b>: ")
QUESTION = (
    "Which is the better response for the prompt? response_a or response_b or tie? \n'n give score for each lable \n\n "
)
LABELS = ("Prompt: ", "\n\nResponse: ")


@dataclass(frozen=True)
class Layout:
    """What stands around the texts of a sequence.

    Args:
        words: The words before each text.
        opening: Tokens before everything.
        inside: Tokens before each text but the first, in place of words; empty where words stand.
        closing: Tokens after everything.
        types: Segment id of each text and of what follows it.
        lent: One where the shares are worked out as if there were one token more, as system 1 does.
    """

    words: tuple[str, ...]
    opening: tuple[int, ...] = ()
    inside: tuple[int, ...] = ()
    closing: tuple[int, ...] = ()
    types: tuple[int, ...] = (0, 0, 0)
    lent: int = 0

    def frames(self, tokenizer: Tokenizer) -> list[list[int]]:
        """Tokens before each text, and after the last.

        A space before a text belongs to the text, as it does when the whole is tokenized as one string.
        """
        words = tokenizer.encode([word.removesuffix(" ") for word in self.words])
        before = [[*self.opening, *words[0]], *([*self.inside, *word] for word in words[1:])]
        return [*before, list(self.closing)]

    @property
    def spaced(self) -> bool:
        """Whether a space stands before each text."""
        return self.words[0].endswith(" ")

    def joined(self, texts: Sequence[str]) -> tuple[str, list[int]]:
        r"""The whole as one string, and where each text starts and ends in it.

        Example:
            >>> Layout(LABELS).joined(["Why?", "So."])
            ('Prompt: Why?\n\nResponse: So.', [8, 12, 24, 27])
        """
        pieces = [piece for pair in zip(self.words, texts, strict=True) for piece in pair]
        lengths = [0]
        for piece in pieces:
            lengths.append(lengths[-1] + len(piece))
        return "".join(pieces), [edge for pair in list(pairwise(lengths))[1::2] for edge in pair]


def pair_layout(settings: TextSettings, tokenizer: Tokenizer) -> Layout:
    """The layout of prompt and both answers.

    Raises:
        ConfigError: If the template holds one answer.
        JudgeError: If the tokenizer lacks a token that the template needs.
    """
    if settings.template == "segments":
        cls, sep = _segment_tokens(tokenizer)
        return Layout(("", "", ""), (cls,), (sep,), types=(0, 1, 2), lent=1)
    if settings.template in ("chat", "labels"):
        raise ConfigError(
            f"template {settings.template} holds one answer a sequence; for both in one set text.template to "
            "segments, tags or question"
        )
    opening, closing = _ends(settings, tokenizer)
    words = TAGS if settings.template == "tags" else (QUESTION + TAGS[0], *TAGS[1:])
    return Layout(words, opening, (), closing)


def answer_layout(settings: TextSettings, tokenizer: Tokenizer) -> Layout:
    """The layout of prompt and one answer.

    Raises:
        ConfigError: If the template holds both answers.
        JudgeError: If the tokenizer lacks a token that the template needs.
    """
    if settings.template == "segments":
        cls, sep = _segment_tokens(tokenizer)
        return Layout(("", ""), (cls,), (sep,), (sep,), types=(0, 1))
    if settings.template in ("tags", "question"):
        raise ConfigError(
            f"template {settings.template} holds both answers in a sequence; for one a sequence set text.template to "
            "segments, labels or chat"
        )
    opening, closing = _ends(settings, tokenizer)
    return Layout(LABELS, opening, (), closing)


def _segment_tokens(tokenizer: Tokenizer) -> tuple[int, int]:
    names = {"classification token (cls_token)": tokenizer.cls_id, "separator (sep_token)": tokenizer.sep_id}
    missing = [name for name, token in names.items() if token is None]
    if missing or tokenizer.cls_id is None or tokenizer.sep_id is None:
        raise JudgeError(
            f"the tokenizer has no {' and no '.join(missing)}, and template segments needs one; name it in "
            "tokenizer_config.json beside the weights, or set text.template to tags, question or labels"
        )
    return tokenizer.cls_id, tokenizer.sep_id


def _ends(settings: TextSettings, tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens that open and close a sequence."""
    if settings.in_chat:
        return _user_turn(tokenizer)
    first = tokenizer.cls_id if tokenizer.cls_id is not None else tokenizer.bos_id
    last = tokenizer.sep_id if tokenizer.sep_id is not None else tokenizer.eos_id
    return (
        _token(first, settings.bos, "beginning of a text (bos_token)", "text.bos"),
        _token(last, settings.eos, "end of a text (eos_token)", "text.eos"),
    )


def _user_turn(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What a chat template writes before a user's turn, and between it and the answer that it awaits."""
    user, answer = "\ue000", "\ue001"
    rendered = tokenizer.render([(user, answer)])
    if rendered is None:
        raise ConfigError(
            "text.in_chat is true, and the tokenizer has no chat template; set it to false, or name the folder of a "
            "model that was made for chats"
        )
    before, _, rest = rendered.partition(user)
    between, found, _ = rest.partition(answer)
    if not found:
        raise JudgeError(
            "the chat template of this tokenizer does not hold a user's turn and its answer once and in order; mend "
            "chat_template in tokenizer_config.json, or set text.in_chat to false"
        )
    opening, closing = tokenizer.encode([before, between], specials=True)
    return tuple(opening), tuple(closing)


def _token(token: int | None, wanted: bool | None, name: str, setting: str) -> tuple[int, ...]:
    if token is None and wanted:
        raise JudgeError(
            f"{setting} is true and the tokenizer has no token for the {name}; name one in tokenizer_config.json, or "
            f"set {setting} to false"
        )
    return () if token is None or wanted is False else (token,)


_OPEN, _CLOSE = "\ue000", "\ue001"
_PLACE = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")


def chatml(turns: Sequence[tuple[str, str]]) -> str:
    r"""A chat in ChatML, which stands in where a tokenizer has no template of its own.

    Example:
        >>> chatml([("Why?", "So.")])
        '<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>\n'
    """
    return "".join(
        f"<|im_start|>{role}\n{text}<|im_end|>\n"
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    )


class Frames:
    """What a chat template puts around texts, by number of turns.

    Args:
        tokenizer: The tokenizer, with or without a template of its own.
        opening: Tokens before everything that the template does not write itself.
        closing: Tokens after everything that the template does not write itself.
    """

    def __init__(self, tokenizer: Tokenizer, opening: Sequence[int] = (), closing: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._opening, self._closing = list(opening), list(closing)
        self._known: list[list[list[int]]] = [[[]]]

    def costs(self, turns: int, most: int) -> NDArray[np.int64]:
        """Tokens of the frames of 0, 1, ... turns, up to the number that is asked for or costs too much."""
        while len(self._known) <= turns and (len(self._known) <= 3 or _size(self._known[-1]) <= most):
            self._known.append(self._of(len(self._known)))
        return np.array([_size(frames) for frames in self._known[: turns + 1]], np.int64)

    def of(self, turns: int) -> list[list[int]]:
        """Tokens before the first text, between each and the next, and after the last: 2 turns + 1 lists."""
        return self._known[turns]

    def _of(self, turns: int) -> list[list[int]]:
        places = [(f"{_OPEN}{2 * turn}{_CLOSE}", f"{_OPEN}{2 * turn + 1}{_CLOSE}") for turn in range(turns)]
        rendered = self._tokenizer.render(places)
        parts = _PLACE.split(chatml(places) if rendered is None else rendered)
        if parts[1::2] != [str(number) for number in range(2 * turns)]:
            raise JudgeError(
                "the chat template of this tokenizer does not hold every turn once and in order, as scoring needs; "
                "mend chat_template in tokenizer_config.json, or remove it for ChatML"
            )
        frames = self._tokenizer.encode(parts[::2], specials=True)
        opening = [] if frames[0][: len(self._opening)] == self._opening else self._opening
        closing = [] if self._closing and frames[-1][-len(self._closing) :] == self._closing else self._closing
        return [[*opening, *frames[0]], *frames[1:-1], [*frames[-1], *closing]]


def assemble_chat(
    prompt: Pieces, answer: Pieces, kept: Sequence[Kept], stays: NDArray[np.bool_], frames: Frames, *, types: bool
) -> Sequences:
    """One chat a row: frame, user turn, frame, assistant turn, ..., closing frame.

    Args:
        prompt: The user's turns.
        answer: The assistant's turns.
        kept: What stays of both.
        stays: Which turns stay; the frames of the others go.
        frames: The frames.
        types: Whether the model has segment ids; they are 0.
    """
    before, between, after = _frame_stretches(per_row(stays.astype(np.int64), prompt.rows), frames)
    texts = [_chosen(kept_stretches(part, kept[n]), stays) for n, part in enumerate((prompt, answer))]
    table = Stretches.side_by_side([before, texts[0], between, texts[1], after])
    rows = offsets_of(per_row(stays.astype(np.int64), prompt.rows))
    ids = table.ids
    return Sequences(
        ids, offsets_of(per_row(table.lengths.sum(axis=1), rows)), np.zeros(len(ids), np.int8) if types else None
    )


def _frame_stretches(turns: Counts, frames: Frames) -> tuple[Stretches, Stretches, Stretches]:
    """The frames before the user's turn, before the assistant's, and after the last, for every turn of every row."""
    kinds = np.unique(turns)
    lists = [frame for kind in kinds for frame in frames.of(int(kind))]
    pool = Sequences.from_lists(lists)
    base = offsets_of(2 * kinds + 1)[:-1][np.searchsorted(kinds, turns)]
    number = ranges(np.zeros(len(turns), np.int64), turns)
    first = np.repeat(base, turns) + 2 * number
    last = number == np.repeat(turns, turns) - 1
    columns = [(first, None), (first + 1, None), (first + 2, last)]
    return tuple(_column(pool, which, shown) for which, shown in columns)  # type: ignore[return-value]


def _column(pool: Sequences, which: NDArray[np.int64], shown: NDArray[np.bool_] | None) -> Stretches:
    which = np.minimum(which, len(pool) - 1)
    lengths = pool.lengths[which] if shown is None else pool.lengths[which] * shown
    return Stretches(pool.ids, pool.offsets[:-1][which][:, None], lengths[:, None])


def _chosen(table: Stretches, stays: NDArray[np.bool_]) -> Stretches:
    return Stretches(table.pool, table.starts[stays], table.lengths[stays])


def _size(frames: Sequence[Sequence[int]]) -> int:
    return sum(map(len, frames))


def mark(characters: int) -> str:
    """What stands where the middle of a text was.

    Example:
        >>> mark(1204)
        ' (… 1204 characters) '
    """
    return f" (… {characters} characters) "


def middle(pieces: Pieces, budget: Counts, tokenizer: Tokenizer) -> Kept:
    """Keep both ends of every turn that is too long, the first end one token more where it does not come out even.

    Where there is no room for the mark and a token on both sides of it, the first tokens stay, without a mark.

    Args:
        pieces: The turns, with the ends of their tokens.
        budget: Tokens for each turn, mark included.
        tokenizer: Makes tokens of the mark.
    """
    head, tail = np.minimum(budget, pieces.lengths), np.zeros_like(budget)
    cut = np.flatnonzero((budget < pieces.full) & (budget > 0))
    room, start, stop = budget[cut], pieces.offsets[:-1][cut], pieces.offsets[1:][cut]
    reserved = np.zeros(len(cut), np.int64)
    while True:
        texts = np.maximum(room - reserved, 0)
        marked = texts >= 2
        first = np.where(marked, (texts + 1) // 2, head[cut])
        last = np.where(marked, texts // 2, 0)
        marks = _marks(_missing(pieces, start + first, stop - last), tokenizer)
        longer = marked & (marks.lengths > reserved)
        if not longer.any():
            break
        reserved = np.where(longer, marks.lengths, reserved)
    head[cut], tail[cut] = first, last
    lengths = np.zeros(len(budget), np.int64)
    lengths[cut] = np.where(marked, marks.lengths, 0)
    return Kept(head, tail, Sequences(marks.take(np.flatnonzero(marked)).ids, offsets_of(lengths)))


def _missing(pieces: Pieces, first: NDArray[np.int64], stop: NDArray[np.int64]) -> Counts:
    """Characters between the token before `first` and the one before `stop`, the first token kept of the end."""
    assert pieces.ends is not None
    return pieces.ends[stop - 1].astype(np.int64) - pieces.ends[first - 1]


def _marks(characters: Counts, tokenizer: Tokenizer) -> Sequences:
    unique, which = np.unique(characters, return_inverse=True)
    encoded = tokenizer.encode([mark(int(count)) for count in unique])
    return Sequences.from_lists(encoded).take(which)
