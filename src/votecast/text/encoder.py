"""Turn battles into token ids: tokenized once, laid out in either order.

Neural models prepare their rows with `TextEncoder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.cells import json_cell
from votecast.errors import ConfigError
from votecast.text.character_tokenizer import CHARACTERS_A_TOKEN
from votecast.text.sequences import Ints, Sequences, Slot, TurnTokens, assemble, offsets_of, per_row
from votecast.text.settings import TextSettings
from votecast.text.templates import ChatFrames, Layout, assemble_chat, make_layout
from votecast.text.tokenization import Keep, Tokenizer, tokenize_texts
from votecast.text.truncation import Room, TruncationReport, keep_ends, plan_truncation

Texts = tuple[list[str], list[str], list[str]]
_MIN_TEXT = 8  # tokens of a sequence that must be left for texts


def read_columns(battles: Battles, settings: TextSettings) -> tuple[Texts, Ints, Ints]:
    """Read the turns of battles; None is empty, and shorter lists of turns are filled up with empty ones.

    Returns:
        The turns of prompt, A and B, all rows one after the other; the first turn of each row, and the end of the last,
        shape (n + 1,); and roughly the tokens dropped from each turn or behind it, shape (3, turns).
    """
    texts: Texts = ([], [], [])
    turns: list[int] = []
    dropped: list[tuple[int, ...]] = []
    for cells in zip(*(battles.column(name).to_pylist() for name in TEXT_COLUMNS), strict=True):
        if settings.raw_cell:
            row = [tuple(json_cell(cell) for cell in cells)]
        else:
            most = 1 if settings.only_first else max(1, *map(len, cells))
            filled = [[turn or "" for turn in cell[:most]] + [""] * (most - len(cell)) for cell in cells]
            row = list(zip(*filled, strict=True))
        lost: tuple[int, ...] = (0, 0, 0)
        if settings.characters is not None:
            row, lost = _limit_characters(row, *settings.characters)
        turns.append(len(row))
        dropped.extend([(0, 0, 0)] * (len(row) - 1) + [lost])
        for column, text in zip(texts, zip(*row, strict=True), strict=True):
            column.extend(text)
    characters = np.array(dropped, np.int64).reshape(-1, 3).T
    return texts, offsets_of(np.array(turns, np.int64)), -(-characters // CHARACTERS_A_TOKEN)


def _limit_characters(
    row: list[tuple[str, ...]], most: int, most_prompt: int, most_answer: int
) -> tuple[list[tuple[str, ...]], tuple[int, ...]]:
    """Drop late turns as system 2 does until all texts fit; cut a single turn that is too long.

    Returns:
        The turns that stay, and the characters lost of prompt, A and B.
    """
    used = np.cumsum([sum(map(len, turn)) for turn in row])
    kept = row[: int(np.searchsorted(used, most, side="right"))]
    if not kept:
        prompt, a, b = row[0]
        kept = [(prompt[:most_prompt], a[:most_answer], b[:most_answer])]
    lost = [sum(len(turn[part]) for turn in row) - sum(len(turn[part]) for turn in kept) for part in range(3)]
    return kept, tuple(lost)


def led_turns(texts: Sequence[str], rows: Ints, joint: str, lead: str) -> list[str]:
    """Put the lead before the first turn of each row that holds text, and the joint before the others.

    Example:
        >>> led_turns(["", "a", "", "b"], np.array([0, 4]), "/", " ")
        ['', ' a', '', '/b']
    """
    out = []
    for start, stop in pairwise(rows.tolist()):
        before = lead
        for text in texts[start:stop]:
            out.append(before + text if text else "")
            before = joint if text else before
    return out


def encode_whole(
    texts: Sequence[Sequence[str]], layout: Layout, tokenizer: Tokenizer, settings: TextSettings
) -> tuple[Sequences, Ints, Ints]:
    """Join the texts of each row to one string, tokenize and truncate it.

    Special tokens spelled out in a text count as such: the reference systems tokenize so.

    Args:
        texts: The texts of each part, one a row.
        layout: What surrounds them.
        tokenizer: The tokenizer.
        settings: Truncation and budget.

    Returns:
        The sequences, and the tokens of each part kept and before truncation, shape (n, parts). A token belongs to the
        part in which it ends. Of a part that was not read to its end the number of tokens is an estimate.
    """
    room = settings.max_length - len(layout.opening) - len(layout.closing)
    joined = [layout.joined(row) for row in zip(*texts, strict=True)]
    n = len(joined)
    tail = settings.cut == "left"
    body, hidden, ends = tokenize_texts(
        tokenizer, [text for text, _ in joined], keep="tail" if tail else "head", limit=room, spans=True, specials=True
    )
    assert ends is not None
    edges = np.array([edge for _, edge in joined], np.int64).reshape(n, len(texts), 2)
    start, stop = edges[:, :, 0], edges[:, :, 1]  # (n, parts)
    row = np.repeat(np.arange(n), body.lengths)
    inside = (ends[:, None] > start[row]) & (ends[:, None] <= stop[row])  # (tokens, parts)
    kept = np.stack([np.bincount(row[mask], minlength=n) for mask in inside.T], axis=1).astype(np.int64)

    # Hidden tokens are given to the parts by the characters of each beyond the last (before the first) token held.
    places = np.append(ends.astype(np.int64), 0)
    at = np.minimum(body.offsets[:-1], len(places) - 1) if tail else np.maximum(body.offsets[1:] - 1, 0)
    edge = np.clip(np.where(body.lengths > 0, places[at], 0)[:, None], start, stop)
    gone = edge - start if tail else stop - edge
    shares = gone / np.maximum(gone.sum(axis=1, keepdims=True), 1)
    unseen = np.ceil(shares * hidden[:, None] - 1e-9).astype(np.int64)
    slots: list[Slot] = [(layout.opening, 0), (body, 0), (layout.closing, 0)]
    return assemble(slots, n, types=tokenizer.has_types), kept, kept + unseen


@dataclass(frozen=True)
class TokenizedBattles:
    """Battles as `TextEncoder.tokenize` leaves them: made once, used for both orders and by all folds.

    Args:
        parts: Tokens of prompt, A and B, the same number of turns in each.
        texts: Prompt, A and B as text, where the whole is tokenized as one string.
    """

    parts: tuple[TurnTokens, TurnTokens, TurnTokens]
    texts: Texts | None = None

    def __len__(self) -> int:
        return len(self.parts[0])

    def take(self, indices: ArrayLike) -> TokenizedBattles:
        """Return the rows at these positions, in this order."""
        rows = np.asarray(indices, np.int64)
        prompt, a, b = self.parts
        texts = None
        if self.texts is not None:
            p, x, y = self.texts
            texts = ([p[row] for row in rows], [x[row] for row in rows], [y[row] for row in rows])
        return TokenizedBattles((prompt.take(rows), a.take(rows), b.take(rows)), texts)


@dataclass(frozen=True)
class Encoded:
    """What a network reads, and what truncation removed.

    Args:
        sequences: One row of token ids a battle.
        cut: Tokens of prompt, A and B kept and before truncation.
    """

    sequences: Sequences
    cut: TruncationReport


class TextEncoder:
    """Template and truncation over one tokenizer.

    Args:
        tokenizer: The tokenizer of the backbone.
        settings: Template, truncation and budget.

    Raises:
        ConfigError: If `max_length` has no room for texts beside the template.
        JudgeError: If the tokenizer lacks a special token that the template needs.

    Example:
        >>> from votecast.text.tokenization import tiny_tokenizer
        >>> text = TextEncoder(tiny_tokenizer(), TextSettings(cut="balanced", max_length=16))
        >>> tokens = text.tokenize(Battles.from_rows([{"prompt": "Why?", "response_a": "A" * 9, "response_b": "No"}]))
        >>> shown, swapped = text.pairs(tokens), text.pairs(tokens, swapped=True)
        >>> shown.sequences.lengths.tolist(), shown.cut.kept.tolist(), swapped.cut.kept.tolist()
        ([16], [[4, 7, 2]], [[4, 7, 2]])
    """

    def __init__(self, tokenizer: Tokenizer, settings: TextSettings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        layout = make_layout(settings, tokenizer, pair=settings.template in ("segments", "tags", "question"))
        self._chat: ChatFrames | None = None
        if settings.template == "chat":
            self._chat = ChatFrames(tokenizer, layout.opening, layout.closing)
            spent = int(self._chat.costs(3, settings.max_length).max())
        elif settings.whole:
            spent = len(layout.opening) + len(layout.closing)
        else:
            spent = sum(map(len, layout.frames(tokenizer)))
        # A space in the template before each text is tokenized with the text.
        self._lead = " " if layout.words[0].endswith(" ") else ""
        if settings.max_length - spent < _MIN_TEXT:
            raise ConfigError(
                f"text.max_length is {settings.max_length}, and template {settings.template} takes {spent} tokens "
                f"beside the texts with this tokenizer; set it to at least {spent + _MIN_TEXT}"
            )

    def tokenize(self, battles: Battles) -> TokenizedBattles:
        """Tokenize every turn, or keep the texts where the whole is tokenized as one string."""
        settings, most = self.settings, self.settings.max_length
        columns, rows, dropped = read_columns(battles, settings)
        if settings.whole:
            bounds = list(pairwise(rows.tolist()))
            p, x, y = ([settings.between.join(texts[start:stop]) for start, stop in bounds] for texts in columns)
            n = len(battles)
            empty = TurnTokens(Sequences.from_lists([[]] * n), np.arange(n + 1), np.zeros(n, np.int64))
            return TokenizedBattles((empty, empty, empty), (p, x, y))
        keep: Keep = "tail" if settings.cut == "left" else "ends" if settings.cut == "middle" else "head"
        parts = []
        for texts, lost in zip(columns, dropped, strict=True):
            led = texts if self._chat is not None else led_turns(texts, rows, settings.between, self._lead)
            tokens, hidden, places = tokenize_texts(
                self.tokenizer, led, keep=keep, limit=most, spans=keep == "ends", specials=settings.raw_cell
            )
            parts.append(TurnTokens(tokens, rows, hidden + lost, places))
        return TokenizedBattles((parts[0], parts[1], parts[2]))

    def pairs(self, tokens: TokenizedBattles, *, swapped: bool = False) -> Encoded:
        """Encode one sequence a battle with both responses.

        Args:
            tokens: The tokenized battles.
            swapped: B comes first; the truncation report is still that of prompt, A and B.

        Raises:
            ConfigError: If the template holds one response a sequence.
        """
        layout = make_layout(self.settings, self.tokenizer, pair=True)
        return self._encode(tokens, layout, [(0, 2, 1) if swapped else (0, 1, 2)], 0)

    def answers(self, tokens: TokenizedBattles, side: Literal["a", "b"]) -> Encoded:
        """Encode one sequence a battle with one response; the truncation report counts no token of the other.

        Raises:
            ConfigError: If the template holds both responses in a sequence.
        """
        layout = make_layout(self.settings, self.tokenizer, pair=False)
        return self._encode(tokens, layout, [(0, 1), (0, 2)], 0 if side == "a" else 1)

    def _encode(self, tokens: TokenizedBattles, layout: Layout, sides: list[tuple[int, ...]], wanted: int) -> Encoded:
        """Encode the wanted one of the sequences of a battle, given as the parts in each."""
        side = list(sides[wanted])
        n = len(tokens)
        cut = TruncationReport(np.zeros((n, 3), np.int64), np.zeros((n, 3), np.int64))
        if tokens.texts is not None:
            texts = [tokens.texts[part] for part in side]
            sequences, kept, full = encode_whole(texts, layout, self.tokenizer, self.settings)
            cut.kept[:, side], cut.full[:, side] = kept, full
            return Encoded(sequences, cut)
        rows, most = tokens.parts[0].rows, self.settings.max_length
        # A chat pays for the frames of each turn; the other templates have the same frames in every sequence.
        if self._chat is not None:
            frames = []
            room = Room(most, self._chat.costs(int(np.diff(rows).max(initial=1)), most))
        else:
            frames = layout.frames(self.tokenizer)
            room = Room(most - sum(map(len, frames)), lent=layout.lent)
        needs = np.stack([part.tokens.lengths for part in tokens.parts], axis=1)  # (turns, 3)
        stays, counts = plan_truncation(needs, rows, sides, room, self.settings)
        texts_kept: list[Sequences] = []  # one row a turn
        for number, part in enumerate(side):
            turns, count = tokens.parts[part], counts[wanted][:, number]
            starts, stops = turns.tokens.offsets[:-1], turns.tokens.offsets[1:]
            if self.settings.cut == "middle":
                text, count = keep_ends(turns, count, self.tokenizer)  # the mark between the ends does not count
            else:
                text = turns.tokens.spans(stops - count if self.settings.cut == "left" else starts, count)
            texts_kept.append(text)
            cut.kept[:, part], cut.full[:, part] = per_row(count, rows), per_row(turns.full, rows)
        types = self.tokenizer.has_types
        if self._chat is not None:
            return Encoded(assemble_chat(texts_kept[0], texts_kept[1], rows, stays, self._chat, types=types), cut)
        # The turns of a row lie end to end: the offsets of its first turns are those of the joined texts.
        slots: list[Slot] = [(frames[0], layout.types[0])]
        for text, frame, segment in zip(texts_kept, frames[1:], layout.types, strict=False):
            slots += [(Sequences(text.ids, text.offsets[rows]), segment), (frame, segment)]
        return Encoded(assemble(slots, n, types=types), cut)
