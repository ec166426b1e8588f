"""Lay out prompt and responses: the columns of the reference systems, or a chat template.

The encoder asks for the layout of a pair or of one response.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from votecast.errors import ConfigError, JudgeError
from votecast.text.sequences import Bools, Ints, Sequences, assemble, offsets_of, per_row, ranges
from votecast.text.settings import TextSettings
from votecast.text.tokenization import Tokenizer

TAGS = ("<prompt>: ", "\n\n<response_a>: ", "\n\n<response_b>: ")
# Spelled as system 4 spells it ("lable"): its checkpoints were trained on these tokens.
QUESTION = (
    "Which is the better response for the prompt? response_a or response_b or tie? \n'n give score for each lable \n\n "
)
LABELS = ("Prompt: ", "\n\nResponse: ")


@dataclass(frozen=True)
class Layout:
    """What surrounds the texts of a sequence.

    Args:
        words: The words before each text.
        opening: Tokens before everything.
        separator: Tokens before each text but the first, for a template without words.
        closing: Tokens after everything.
        types: Segment id of each text and of what follows it.
        lent: 1 where the shares are computed as if there were one token more.
    """

    words: tuple[str, ...]
    opening: tuple[int, ...] = ()
    separator: tuple[int, ...] = ()
    closing: tuple[int, ...] = ()
    types: tuple[int, ...] = (0, 0, 0)
    lent: int = 0

    def frames(self, tokenizer: Tokenizer) -> list[list[int]]:
        """Return the tokens before each text, and after the last."""
        # A space before a text belongs to the text, as when the whole is tokenized as one string.
        words = tokenizer.encode([word.removesuffix(" ") for word in self.words])
        before = [[*self.opening, *words[0]], *([*self.separator, *word] for word in words[1:])]
        return [*before, list(self.closing)]

    def joined(self, texts: Sequence[str]) -> tuple[str, list[int]]:
        r"""Return the whole as one string, and start and end of each text in it.

        Example:
            >>> Layout(LABELS).joined(["Why?", "So."])
            ('Prompt: Why?\n\nResponse: So.', [8, 12, 24, 27])
        """
        pieces = [piece for pair in zip(self.words, texts, strict=True) for piece in pair]
        return "".join(pieces), list(accumulate(map(len, pieces)))


def make_layout(settings: TextSettings, tokenizer: Tokenizer, *, pair: bool) -> Layout:
    """Return the layout of prompt and both responses, or of prompt and one response.

    Raises:
        ConfigError: If the template is for the other kind of sequence.
        JudgeError: If the tokenizer lacks a token that the template needs.
    """
    template = settings.template
    if pair and template in ("chat", "labels"):
        raise ConfigError(
            f"template {template} holds one answer a sequence; for both in one set text.template to segments, tags or "
            "question"
        )
    if not pair and template in ("tags", "question"):
        raise ConfigError(
            f"template {template} holds both answers in a sequence; for one a sequence set text.template to segments, "
            "labels or chat"
        )
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    if template == "segments":
        if cls is None or sep is None:
            names = {"classification token (cls_token)": cls, "separator (sep_token)": sep}
            raise JudgeError(
                f"the tokenizer has no {' and no '.join(name for name, token in names.items() if token is None)}, and "
                "template segments needs one; name it in tokenizer_config.json beside the weights, or set "
                "text.template to tags, question or labels"
            )
        if pair:
            return Layout(("", "", ""), (cls,), (sep,), types=(0, 1, 2), lent=1)
        return Layout(("", ""), (cls,), (sep,), (sep,), types=(0, 1))
    words = {"tags": TAGS, "question": (QUESTION + TAGS[0], *TAGS[1:])}.get(template, LABELS)
    if settings.in_chat:
        opening, closing = _user_turn(tokenizer)
    else:
        first, last = (tokenizer.bos_id if cls is None else cls), (tokenizer.eos_id if sep is None else sep)
        opening = _optional_token(first, settings.bos, "beginning of a text (bos_token)", "text.bos")
        closing = _optional_token(last, settings.eos, "end of a text (eos_token)", "text.eos")
    return Layout(words, opening, (), closing)


def _optional_token(token: int | None, wanted: bool | None, name: str, setting: str) -> tuple[int, ...]:
    if token is None and wanted:
        raise JudgeError(
            f"{setting} is true and the tokenizer has no token for the {name}; name one in tokenizer_config.json, or "
            f"set {setting} to false"
        )
    return () if token is None or wanted is False else (token,)


def _user_turn(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the tokens of a chat template before a user's turn, and between it and the response."""
    rendered = tokenizer.render([(_OPEN, _CLOSE)])
    if rendered is None:
        raise ConfigError(
            "text.in_chat is true, and the tokenizer has no chat template; set it to false, or name the folder of a "
            "model that was made for chats"
        )
    before, _, rest = rendered.partition(_OPEN)
    between, found, _ = rest.partition(_CLOSE)
    if not found:
        raise JudgeError(
            "the chat template of this tokenizer does not hold a user's turn and its answer once and in order; mend "
            "chat_template in tokenizer_config.json, or set text.in_chat to false"
        )
    opening, closing = tokenizer.encode([before, between], specials=True)
    return tuple(opening), tuple(closing)


# Placeholders of the texts in a rendered chat: private-use characters, which no template writes.
_OPEN, _CLOSE = "\ue000", "\ue001"
_PLACE = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")


def chatml(turns: Sequence[tuple[str, str]]) -> str:
    r"""Render a chat in ChatML, for tokenizers without a chat template.

    Example:
        >>> chatml([("Why?", "So.")])
        '<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>\n'
    """
    return "".join(
        f"<|im_start|>{role}\n{text}<|im_end|>\n"
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    )


class ChatFrames:
    """Tokens that a chat template puts around the texts, by number of turns.

    Args:
        tokenizer: The tokenizer, with or without a chat template.
        opening: Tokens before everything, where the template does not write them itself.
        closing: Tokens after everything, where the template does not write them itself.
    """

    def __init__(self, tokenizer: Tokenizer, opening: Sequence[int] = (), closing: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._opening, self._closing = list(opening), list(closing)
        self._known: list[list[list[int]]] = [[[]]]

    def costs(self, turns: int, most: int) -> Ints:
        """Return the tokens of the frames of 0, 1, ... turns, up to `turns` or the first that cost over `most`."""
        sizes = [sum(map(len, frames)) for frames in self._known]
        while len(sizes) <= turns and (len(sizes) <= 3 or sizes[-1] <= most):
            self._known.append(self._render(len(sizes)))
            sizes.append(sum(map(len, self._known[-1])))
        return np.array(sizes[: turns + 1], np.int64)

    def of(self, turns: int) -> list[list[int]]:
        """Return the tokens before the first text, between each and the next, and after the last: 2 turns + 1 lists."""
        return self._known[turns]

    def _render(self, turns: int) -> list[list[int]]:
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
    user: Sequences, assistant: Sequences, rows: Ints, stays: Bools, frames: ChatFrames, *, types: bool
) -> Sequences:
    """Lay out one chat a row: frame, user turn, frame, assistant turn, ..., closing frame.

    Args:
        user: Tokens kept of the user's turns, one row a turn.
        assistant: Tokens kept of the assistant's turns, one row a turn.
        rows: First turn of each chat, and the end of the last, shape (n + 1,).
        stays: Which turns stay, shape (turns,); the frames of the others go.
        frames: The frames.
        types: Whether the model reads segment ids; they are 0.
    """
    turns = per_row(stays, rows)  # (n,)
    kinds = np.unique(turns)
    # All frames of all numbers of turns in one pool, and an empty one at its end.
    pool = Sequences.from_lists([*(frame for kind in kinds for frame in frames.of(int(kind))), []])
    base = offsets_of(2 * kinds + 1)[np.searchsorted(kinds, turns)]
    number = ranges(np.zeros_like(turns), turns)
    before = np.repeat(base, turns) + 2 * number
    last = number == np.repeat(turns, turns) - 1
    after = np.where(last, before + 2, len(pool) - 1)  # only the last turn has a frame after it
    shown = np.flatnonzero(stays)
    slots = [pool.take(before), user.take(shown), pool.take(before + 1), assistant.take(shown), pool.take(after)]
    by_turn = assemble([(slot, 0) for slot in slots], len(shown), types=types)
    return Sequences(by_turn.ids, by_turn.offsets[offsets_of(turns)], by_turn.types)
