"""Battles as token ids: tokenized once, laid out in either order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.errors import ConfigError, JudgeError
from votecast.text.assembly import Slot, assemble, text_of
from votecast.text.pieces import Pieces
from votecast.text.report import Cut
from votecast.text.sequences import Sequences
from votecast.text.settings import TextSettings
from votecast.text.sharing import Counts, balanced, heads, in_shares, stacked
from votecast.text.tokenizer import Tokenizer

__all__ = ["Cut", "Encoded", "TextEncoder", "TokenizedBattles"]


@dataclass(frozen=True)
class TokenizedBattles:
    """Token ids of battles, turn by turn: made once, used for both orders and by all folds."""

    prompt: Pieces
    a: Pieces
    b: Pieces

    def __len__(self) -> int:
        return len(self.prompt)

    def take(self, indices: ArrayLike) -> TokenizedBattles:
        """The rows at these positions, in this order."""
        rows = np.asarray(indices, np.int64)
        return TokenizedBattles(self.prompt.take(rows), self.a.take(rows), self.b.take(rows))


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
        JudgeError: If the tokenizer has not the special tokens that the template needs.
    """

    def __init__(self, tokenizer: Tokenizer, settings: TextSettings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        if settings.template != "segments" or settings.cut not in ("shares", "balanced"):
            raise ConfigError(f"template {settings.template!r} with cut {settings.cut!r} is not built yet")
        self._cls = _needed(tokenizer.cls_id, "classification token (cls_token)")
        self._sep = _needed(tokenizer.sep_id, "separator (sep_token)")

    def tokenize(self, battles: Battles) -> TokenizedBattles:
        """Token ids of every turn."""
        return TokenizedBattles(*(self._pieces(battles.column(name).to_pylist()) for name in TEXT_COLUMNS))

    def pairs(self, tokens: TokenizedBattles, *, swapped: bool = False) -> Encoded:
        """One sequence a battle with both answers.

        Args:
            tokens: The tokenized battles.
            swapped: B stands first; the cut is still that of prompt, A and B.
        """
        parts = [tokens.prompt, tokens.b, tokens.a] if swapped else [tokens.prompt, tokens.a, tokens.b]
        needs, slack = stacked(parts), self.settings.max_length - 3
        if self.settings.cut == "shares":
            kept = in_shares(needs, slack + 1, self.settings.prompt_share or 0.25)
            kept[:, 2] -= kept.sum(axis=1) > slack
        else:
            kept = balanced(needs, np.full(len(needs), slack), self.settings.prompt_share or 0.2)
        p, x, y = self._texts(parts, kept)
        sep = [self._sep]
        slots = [Slot([self._cls]), Slot(p), Slot(sep), Slot(x, 1), Slot(sep, 1), Slot(y, 2)]
        order = [0, 2, 1] if swapped else [0, 1, 2]
        return Encoded(self._assemble(slots, len(tokens)), Cut(kept[:, order], needs[:, order]))

    def answers(self, tokens: TokenizedBattles, side: Literal["a", "b"]) -> Encoded:
        """One sequence a battle with one answer; the cut counts no token for the other."""
        parts = [tokens.prompt, tokens.a if side == "a" else tokens.b]
        needs, slack = stacked(parts), self.settings.max_length - 3
        if self.settings.cut == "shares":
            kept = in_shares(needs, slack, self.settings.prompt_share or 0.25)
        else:
            kept = balanced(needs, np.full(len(needs), slack), self.settings.prompt_share or 0.2)
        p, x = self._texts(parts, kept)
        slots = [Slot([self._cls]), Slot(p), Slot([self._sep]), Slot(x, 1), Slot([self._sep], 1)]
        place = [0, 1 if side == "a" else 2]
        cut = Cut(np.zeros((len(tokens), 3), np.int64), np.zeros((len(tokens), 3), np.int64))
        cut.kept[:, place], cut.full[:, place] = kept, needs
        return Encoded(self._assemble(slots, len(tokens)), cut)

    def _pieces(self, column: list[list[str | None]]) -> Pieces:
        if self.settings.raw_cell:
            column = [[json.dumps(turns)] for turns in column]
        elif self.settings.first_turn:
            column = [turns[:1] for turns in column]
        joint = "\n\n" if self.settings.joint is None else self.settings.joint
        texts = [
            f"{joint}{turn}" if turn and number else turn or "" for turns in column for number, turn in _seen(turns)
        ]
        turns = np.fromiter(map(len, column), np.int64, len(column))
        return Pieces.build(self.tokenizer.encode(texts), turns)

    def _texts(self, parts: Sequence[Pieces], kept: Counts) -> list[Sequences]:
        return [text_of(part, heads(part, kept[:, number])) for number, part in enumerate(parts)]

    def _assemble(self, slots: Sequence[Slot], n: int) -> Sequences:
        return assemble(slots, n, types=self.tokenizer.has_types)


def _seen(turns: Sequence[str | None]) -> list[tuple[bool, Any]]:
    """Each turn, with whether a turn that holds text stands before it."""
    out, before = [], False
    for turn in turns:
        out.append((before, turn))
        before = before or bool(turn)
    return out


def _needed(token: int | None, what: str) -> int:
    if token is None:
        raise JudgeError(f"the tokenizer has no {what}, which this template needs; set it in tokenizer_config.json")
    return token
