"""Chats: the frames around the turns, and how they are put together (system 2)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from votecast.errors import JudgeError
from votecast.text.pieces import Counts, Kept, Pieces, Stretches, kept_stretches, per_row
from votecast.text.sequences import Sequences, offsets_of, ranges
from votecast.text.tokenizer import Tokenizer

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
