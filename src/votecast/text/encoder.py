"""Battles as token ids: tokenized once, laid out in either order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from votecast.data.battles import Battles
from votecast.errors import ConfigError
from votecast.text import templates
from votecast.text.assembly import Slot, assemble, text_of
from votecast.text.chat import Frames, assemble_chat
from votecast.text.columns import Columns, joined_turns, led_turns, read_columns
from votecast.text.cuts import Mask, Room, Table, plan
from votecast.text.marks import middle
from votecast.text.pieces import Counts, Kept, Pieces, per_row
from votecast.text.report import Cut
from votecast.text.sequences import Sequences, offsets_of
from votecast.text.settings import TextSettings
from votecast.text.templates import Layout
from votecast.text.tokenizer import Tokenizer
from votecast.text.tokenizing import Keep, Reading, tokenize_texts
from votecast.text.whole import encode_whole

__all__ = ["Cut", "Encoded", "TextEncoder", "TokenizedBattles"]

_LEAST = 8

Texts = tuple[list[str], list[str], list[str]]


@dataclass(frozen=True)
class TokenizedBattles:
    """Battles as `TextEncoder.tokenize` leaves them: made once, used for both orders and by all folds.

    Args:
        parts: Token ids of prompt, A and B, turn by turn, the same number of turns in each.
        texts: Prompt, A and B as text, where the whole is tokenized as one string.
    """

    parts: tuple[Pieces, Pieces, Pieces]
    texts: Texts | None = None

    def __len__(self) -> int:
        return len(self.parts[0])

    def take(self, indices: ArrayLike) -> TokenizedBattles:
        """The rows at these positions, in this order."""
        rows = np.asarray(indices, np.int64)
        prompt, a, b = self.parts
        texts = None
        if self.texts is not None:
            p, x, y = self.texts
            texts = ([p[row] for row in rows], [x[row] for row in rows], [y[row] for row in rows])
        return TokenizedBattles((prompt.take(rows), a.take(rows), b.take(rows)), texts)


@dataclass(frozen=True)
class Encoded:
    """What a network reads, and what the cut took away.

    Args:
        sequences: One row of token ids a battle.
        cut: Tokens of prompt, A and B kept and before the cut.
    """

    sequences: Sequences
    cut: Cut


class TextEncoder:
    """Template and cut over one tokenizer.

    Args:
        tokenizer: The tokenizer of the backbone.
        settings: Template, cut and budget.

    Raises:
        ConfigError: If `max_length` has no room for texts beside the template.
        JudgeError: If the tokenizer lacks a special token that the template needs.

    Example:
        >>> from votecast.text.tiny import tiny_tokenizer
        >>> text = TextEncoder(tiny_tokenizer(), TextSettings(cut="balanced", max_length=16))
        >>> tokens = text.tokenize(Battles.from_rows([{"prompt": "Why?", "response_a": "A" * 9, "response_b": "No"}]))
        >>> shown, swapped = text.pairs(tokens), text.pairs(tokens, swapped=True)
        >>> shown.sequences.lengths.tolist(), shown.cut.kept.tolist(), swapped.cut.kept.tolist()
        ([16], [[4, 7, 2]], [[4, 7, 2]])
    """

    def __init__(self, tokenizer: Tokenizer, settings: TextSettings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        layouts = (templates.answer_layout, templates.pair_layout)
        pairs = settings.template in ("segments", "tags", "question")
        self._layout = layouts[pairs](settings, tokenizer)
        if settings.template == "chat":
            self._chat = Frames(tokenizer, self._layout.opening, self._layout.closing)
            spent = int(self._chat.costs(3, settings.max_length).max())
        elif settings.whole:
            spent = len(self._layout.opening) + len(self._layout.closing)
        else:
            spent = sum(map(len, self._layout.frames(tokenizer)))
        if settings.max_length - spent < _LEAST:
            raise ConfigError(
                f"text.max_length is {settings.max_length}, and template {settings.template} takes {spent} tokens "
                f"beside the texts with this tokenizer; set it to at least {spent + _LEAST}"
            )

    def tokenize(self, battles: Battles) -> TokenizedBattles:
        """Token ids of every turn, or the texts where the whole is tokenized as one string."""
        columns = read_columns(battles, self.settings)
        if self.settings.whole:
            p, x, y = (joined_turns(texts, columns.rows, self.settings.between) for texts in columns.texts)
            none = np.zeros(len(columns.rows), np.int64)
            empty = Pieces(np.zeros(0, np.int32), none, np.arange(len(none)), none[1:])
            return TokenizedBattles((empty, empty, empty), (p, x, y))
        prompt, a, b = (self._pieces(columns, part) for part in range(3))
        return TokenizedBattles((prompt, a, b))

    def pairs(self, tokens: TokenizedBattles, *, swapped: bool = False) -> Encoded:
        """One sequence a battle with both answers.

        Args:
            tokens: The tokenized battles.
            swapped: B stands first; the cut is still that of prompt, A and B.

        Raises:
            ConfigError: If the template holds one answer a sequence.
        """
        layout = templates.pair_layout(self.settings, self.tokenizer)
        order = (0, 2, 1) if swapped else (0, 1, 2)
        return self._encoded(tokens, layout, [order], 0)

    def answers(self, tokens: TokenizedBattles, side: Literal["a", "b"]) -> Encoded:
        """One sequence a battle with one answer; the cut counts no token of the other.

        Raises:
            ConfigError: If the template holds both answers in a sequence.
        """
        layout = templates.answer_layout(self.settings, self.tokenizer)
        return self._encoded(tokens, layout, [(0, 1), (0, 2)], 0 if side == "a" else 1)

    def _encoded(
        self, tokens: TokenizedBattles, layout: Layout, sides: Sequence[Sequence[int]], wanted: int
    ) -> Encoded:
        side = list(sides[wanted])
        if tokens.texts is not None:
            texts = [tokens.texts[part] for part in side]
            sequences, kept, full = encode_whole(texts, layout, self.tokenizer, self.settings)
            return Encoded(sequences, _cut(kept, full, side))
        parts = [tokens.parts[part] for part in side]
        rows = parts[0].rows
        stays, counts = self._plan(tokens, layout, sides)
        pieces = [self._kept(part, counts[wanted][:, n]) for n, part in enumerate(parts)]
        kept = np.stack([per_row(piece.tokens, rows) for piece in pieces], axis=1)
        full = np.stack([per_row(part.full, rows) for part in parts], axis=1)
        return Encoded(self._sequences(parts, pieces, stays, layout), _cut(kept, full, side))

    def _plan(
        self, tokens: TokenizedBattles, layout: Layout, sides: Sequence[Sequence[int]]
    ) -> tuple[Mask, list[Counts]]:
        table = Table(np.stack([part.lengths for part in tokens.parts], axis=1), tokens.parts[0].rows)
        if self.settings.template == "chat":
            costs = self._chat.costs(int(table.turns.max(initial=1)), self.settings.max_length)
            room = Room(self.settings.max_length, costs, by_turn=True)
        else:
            spent = sum(map(len, layout.frames(self.tokenizer)))
            room = Room(self.settings.max_length - spent, np.zeros(1, np.int64), lent=layout.lent)
        return plan(table, sides, room, self.settings)

    def _kept(self, part: Pieces, counts: Counts) -> Kept:
        none = np.zeros_like(counts)
        if self.settings.cut == "middle":
            return middle(part, counts, self.tokenizer)
        return Kept(none, counts) if self.settings.cut == "left" else Kept(counts, none)

    def _sequences(self, parts: Sequence[Pieces], kept: Sequence[Kept], stays: Mask, layout: Layout) -> Sequences:
        types = self.tokenizer.has_types
        if self.settings.template == "chat":
            return assemble_chat(parts[0], parts[1], kept, stays, self._chat, types=types)
        frames = layout.frames(self.tokenizer)
        slots = [Slot(frames[0], layout.types[0])]
        for number, (part, piece) in enumerate(zip(parts, kept, strict=True)):
            slots.append(Slot(text_of(part, piece), layout.types[number]))
            slots.append(Slot(frames[number + 1], layout.types[number]))
        return assemble(slots, len(parts[0]), types=types)

    def _pieces(self, columns: Columns, part: int) -> Pieces:
        chat = self.settings.template == "chat"
        lead = " " if self._layout.spaced and not chat else ""
        texts = columns.texts[part]
        if not chat:
            texts = led_turns(texts, columns.rows, self.settings.between, lead)
        found = tokenize_texts(self.tokenizer, texts, self._reading)
        hidden = found.hidden + columns.hidden[part]
        return Pieces(found.ids, offsets_of(found.lengths), columns.rows, hidden, found.ends)

    @cached_property
    def _reading(self) -> Reading:
        ends: dict[str, Keep] = {"left": "tail", "middle": "ends"}
        keep = ends.get(self.settings.cut, "head")
        return Reading(keep, self.settings.max_length, spans=keep == "ends", specials=self.settings.raw_cell)


def _cut(kept: Counts, full: Counts, side: Sequence[int]) -> Cut:
    """Put what concerns the parts of a sequence where prompt, A and B stand in a report."""
    cut = Cut(np.zeros((len(kept), 3), np.int64), np.zeros((len(kept), 3), np.int64))
    cut.kept[:, list(side)], cut.full[:, list(side)] = kept, full
    return cut
