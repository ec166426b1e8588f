"""Turn battles into token ids: tokenized once, laid out in either order.

Neural models prepare their rows with `TextEncoder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.cells import json_cell
from votecast.errors import ConfigError
from votecast.text import templates
from votecast.text.sequences import Counts, Kept, Pieces, Sequences, Slot, assemble, offsets_of, per_row, text_of
from votecast.text.settings import TextSettings
from votecast.text.templates import Frames, Layout, assemble_chat, middle
from votecast.text.tokenization import Keep, Tokenized, TokenizeOptions, Tokenizer, tokenize_texts
from votecast.text.truncation import Mask, Room, TruncationReport, TurnTable, plan

Turns = Sequence[str | None]

_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True)
class Columns:
    """Prompt, A and B, each with the same number of turns in a row.

    Args:
        texts: The turns of each column, all rows one after the other.
        rows: Where each row starts among the turns, and the end of the last, shape (n + 1,).
        dropped: Characters of each column and turn that were dropped from it or behind it, shape (3, turns).
    """

    texts: tuple[list[str], list[str], list[str]]
    rows: Counts
    dropped: Counts

    @property
    def hidden(self) -> Counts:
        """Roughly the tokens that were dropped."""
        return -(-self.dropped // _CHARACTERS_A_TOKEN)


def read_columns(battles: Battles, settings: TextSettings) -> Columns:
    """The texts of battles; a turn that was never written is empty, and lists of different lengths are filled up."""
    texts: tuple[list[str], list[str], list[str]] = ([], [], [])
    turns: list[int] = []
    dropped: list[tuple[int, int, int]] = []
    columns = [battles.column(name).to_pylist() for name in TEXT_COLUMNS]
    for cells in zip(*columns, strict=True):
        row = _row(cells, settings)
        gone = [(0, 0, 0)] * len(row)
        if settings.characters is not None:
            row, gone = _shortened(row, settings.characters)
        turns.append(len(row))
        dropped.extend(gone)
        for column, text in zip(texts, zip(*row, strict=True), strict=True):
            column.extend(text)
    return Columns(texts, offsets_of(np.array(turns, np.int64)), np.array(dropped, np.int64).reshape(-1, 3).T)


def _row(cells: Sequence[Turns], settings: TextSettings) -> list[tuple[str, str, str]]:
    """The turns of a battle: (prompt, A, B) each; at least one."""
    if settings.raw_cell:
        return [(json_cell(cells[0]), json_cell(cells[1]), json_cell(cells[2]))]
    most = 1 if settings.only_first else max(1, *map(len, cells))
    filled = [[turn or "" for turn in cell[:most]] + [""] * (most - len(cell)) for cell in cells]
    return list(zip(*filled, strict=True))


def _shortened(
    row: list[tuple[str, str, str]], most: tuple[int, int, int]
) -> tuple[list[tuple[str, str, str]], list[tuple[int, int, int]]]:
    """System 2's rule: late turns go until all has `most[0]` characters; a single turn that is too long is cut."""
    used, stays = 0, 0
    for turn in row:
        used += sum(map(len, turn))
        if used > most[0]:
            break
        stays += 1
    kept = row[:stays]
    if not kept:
        prompt, a, b = row[0]
        kept = [(prompt[: most[1]], a[: most[2]], b[: most[2]])]
    lost = [sum(len(turn[part]) for turn in row) - sum(len(turn[part]) for turn in kept) for part in range(3)]
    return kept, [(0, 0, 0)] * (len(kept) - 1) + [(lost[0], lost[1], lost[2])]


def joined_turns(texts: Sequence[str], rows: Counts, joint: str) -> list[str]:
    """The turns of each row with a joint between each two."""
    return [joint.join(texts[start:stop]) for start, stop in zip(rows[:-1].tolist(), rows[1:].tolist(), strict=True)]


def led_turns(texts: Sequence[str], rows: Counts, joint: str, lead: str) -> list[str]:
    """Each turn with what stands before it: the lead before the first that holds text, the joint before the others.

    Example:
        >>> led_turns(["", "a", "", "b"], np.array([0, 4]), "/", " ")
        ['', ' a', '', '/b']
    """
    if not (joint or lead):
        return list(texts)
    out = []
    for start, stop in zip(rows[:-1].tolist(), rows[1:].tolist(), strict=True):
        before = lead
        for text in texts[start:stop]:
            out.append(before + text if text else "")
            before = joint if text else before
    return out


def encode_whole(
    texts: Sequence[Sequence[str]], layout: Layout, tokenizer: Tokenizer, settings: TextSettings
) -> tuple[Sequences, Counts, Counts]:
    """Join, tokenize, cut.

    Special tokens spelled out in a text count as such, since that is how the systems tokenize.

    Args:
        texts: The texts of each part, one a row.
        layout: What stands around them.
        tokenizer: The tokenizer.
        settings: TruncationReport and budget.

    Returns:
        The sequences, and tokens of each part kept and before the cut, shape (n, parts). A token belongs to the part
        in which it ends. Of a part that was not read to its end the number of tokens is an estimate.
    """
    room = settings.max_length - len(layout.opening) - len(layout.closing)
    joined = [layout.joined(row) for row in zip(*texts, strict=True)]
    keep: Keep = "tail" if settings.cut == "left" else "head"
    found = tokenize_texts(
        tokenizer, [text for text, _ in joined], TokenizeOptions(keep, room, spans=True, specials=True)
    )
    edges = np.array([edge for _, edge in joined], np.int64).reshape(-1, 2 * len(texts))
    n = len(joined)
    kept = _inside(found, edges)
    body = Sequences(found.ids, offsets_of(found.lengths))
    slots = [Slot(layout.opening), Slot(body), Slot(layout.closing)]
    return assemble(slots, n, types=tokenizer.has_types), kept, kept + _unseen(found, edges, keep)


def _inside(found: Tokenized, edges: Counts) -> Counts:
    """Tokens held that end inside each part, shape (n, parts)."""
    row = np.repeat(np.arange(len(found.lengths)), found.lengths)
    assert found.ends is not None
    columns = []
    for start, stop in zip(edges[:, 0::2].T, edges[:, 1::2].T, strict=True):
        inside = (found.ends > start[row]) & (found.ends <= stop[row])
        columns.append(np.bincount(row[inside], minlength=len(found.lengths)))
    return np.stack(columns, axis=1).astype(np.int64)


def _unseen(found: Tokenized, edges: Counts, keep: Keep) -> Counts:
    """Tokens that are not held, given to the parts by the characters of each that were not kept."""
    assert found.ends is not None
    offsets = offsets_of(found.lengths)
    ends = np.concatenate([found.ends.astype(np.int64), [0]])
    place = np.maximum(offsets[1:] - 1, 0) if keep == "head" else np.minimum(offsets[:-1], len(ends) - 1)
    edge = np.where(found.lengths > 0, ends[place], 0)[:, None]
    start, stop = edges[:, 0::2], edges[:, 1::2]
    gone = stop - np.clip(edge, start, stop) if keep == "head" else np.clip(edge, start, stop) - start
    shares = gone / np.maximum(gone.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.ceil(shares * found.hidden[:, None] - 1e-9), np.int64)


__all__ = ["Encoded", "TextEncoder", "TokenizedBattles", "TruncationReport"]

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
    cut: TruncationReport


class TextEncoder:
    """Template and cut over one tokenizer.

    Args:
        tokenizer: The tokenizer of the backbone.
        settings: Template, cut and budget.

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
        table = TurnTable(np.stack([part.lengths for part in tokens.parts], axis=1), tokens.parts[0].rows)
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
    def _reading(self) -> TokenizeOptions:
        ends: dict[str, Keep] = {"left": "tail", "middle": "ends"}
        keep = ends.get(self.settings.cut, "head")
        return TokenizeOptions(keep, self.settings.max_length, spans=keep == "ends", specials=self.settings.raw_cell)


def _cut(kept: Counts, full: Counts, side: Sequence[int]) -> TruncationReport:
    """Put what concerns the parts of a sequence where prompt, A and B stand in a report."""
    cut = TruncationReport(np.zeros((len(kept), 3), np.int64), np.zeros((len(kept), 3), np.int64))
    cut.kept[:, list(side)], cut.full[:, list(side)] = kept, full
    return cut
