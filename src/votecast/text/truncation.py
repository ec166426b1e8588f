"""Choose the tokens of a battle that stay when there are more than `max_length`.

The encoder calls `plan`; judges report the result as `TruncationReport`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.text.sequences import Counts, offsets_of, per_row, ranges
from votecast.text.settings import TextSettings


def in_shares(needs: Counts, budget: Counts, prompt_share: float) -> Counts:
    """System 1's shares: the prompt at most its share, A at most half of what remains, B the rest.

    Args:
        needs: Tokens of prompt and answers, in the order they stand, shape (n, parts).
        budget: Tokens to share out in each row, shape (n,).
        prompt_share: Share of the prompt.

    Example:
        >>> in_shares(np.array([[200, 300, 300], [9, 900, 9]]), np.array([510, 510]), 0.25).tolist()
        [[127, 191, 192], [9, 250, 9]]
    """
    kept = np.empty_like(needs)
    kept[:, 0] = np.minimum(needs[:, 0], (budget * prompt_share).astype(np.int64))
    left = budget - kept[:, 0]
    for part in range(1, needs.shape[1]):
        last = part == needs.shape[1] - 1
        kept[:, part] = np.minimum(needs[:, part], left if last else left // 2)
        left = left - kept[:, part]
    return kept


def balanced(needs: Counts, budget: Counts, prompt_share: float) -> Counts:
    """Shares that do not depend on the order of the answers; what one part does not need is handed on.

    Args:
        needs: Tokens of prompt and answers, shape (n, parts).
        budget: Tokens to share out in each row, shape (n,).
        prompt_share: Share of the prompt; the answers share the rest equally.

    Returns:
        Tokens of each part: at most what it needs, in all at most the budget. An odd last token that both answers
        want goes to neither.

    Example:
        >>> balanced(np.array([[300, 300, 300], [10, 300, 50]]), np.array([100, 100]), 0.2).tolist()
        [[20, 40, 40], [10, 45, 45]]
    """
    prompt, answers = needs[:, 0], needs[:, 1:]
    per_token = prompt_share / (1 - prompt_share) * answers.shape[1]
    low = np.minimum(budget // answers.shape[1], 1)
    high = np.maximum(low, budget)
    while (low < high).any():  # the most tokens an answer can have while the prompt has its share
        middle = (low + high + 1) // 2
        own = np.ceil(middle * per_token - 1e-9).astype(np.int64)
        fits = np.minimum(answers, middle[:, None]).sum(axis=1) + np.minimum(prompt, own) <= budget
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    kept = np.empty_like(needs)
    kept[:, 1:] = np.minimum(answers, low[:, None])
    kept[:, 0] = np.minimum(prompt, budget - kept[:, 1:].sum(axis=1))
    return kept


def level(needs: Counts, rows: Counts, budget: Counts) -> Counts:
    """Share out among the turns of each row: all the same, and what one does not need goes to the others.

    Args:
        needs: Tokens of each turn, shape (turns,).
        rows: Where each row starts among the turns, and the end of the last, shape (n + 1,).
        budget: Tokens to share out in each row, shape (n,).

    Example:
        >>> level(np.array([5, 90, 90]), np.array([0, 3]), np.array([100])).tolist()
        [5, 48, 47]
    """
    turns = np.diff(rows)
    low, high = np.zeros(len(turns), np.int64), np.maximum(budget, 0)
    while (low < high).any():
        middle = (low + high + 1) // 2
        fits = per_row(np.minimum(needs, np.repeat(middle, turns)), rows) <= budget
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    each = np.repeat(low, turns)
    kept = np.minimum(needs, each)
    wanting = (needs > each).astype(np.int64)
    spare = np.repeat(budget - per_row(kept, rows), turns)
    return kept + (wanting * (within_row(wanting, rows) < spare)).astype(np.int64)


def fill(needs: Counts, rows: Counts, budget: Counts) -> Counts:
    """Give the turns of each row what they need, the first first, until the budget is used.

    Example:
        >>> fill(np.array([5, 90, 90]), np.array([0, 3]), np.array([100])).tolist()
        [5, 90, 5]
    """
    kept: Counts = np.clip(np.repeat(budget, np.diff(rows)) - within_row(needs, rows), 0, needs)
    return kept


def within_row(values: Counts, rows: Counts) -> Counts:
    """Sum of the values that stand before each one in its row.

    Example:
        >>> within_row(np.array([5, 6, 7]), np.array([0, 2, 3])).tolist()
        [0, 5, 0]
    """
    before = offsets_of(values)
    return before[:-1] - np.repeat(before[rows[:-1]], np.diff(rows))


Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Room:
    """How many tokens there are to share out.

    Args:
        total: Tokens of a sequence beside those that stand in every one.
        frames: Tokens that a number of turns costs beside its texts, by that number, from 0 turns on; a single one
            where turns cost nothing.
        by_turn: Whether the texts stand turn by turn, as in a chat, or column by column.
        lent: Tokens over `total` that are shared out and then taken from the last answer: 1 for system 1.
    """

    total: int
    frames: NDArray[np.int64]
    by_turn: bool = False
    lent: int = 0

    def cost(self, turns: Counts) -> Counts:
        """Tokens of the frames of so many turns; one more than there is room for where that is not known."""
        known = len(self.frames) - 1
        cost = self.frames[np.minimum(turns, known)]
        return np.where(turns > known, self.total + 1, cost) if known else cost

    def of(self, turns: Counts) -> Counts:
        """Tokens for the texts of rows of so many turns."""
        return self.total - self.cost(turns)


@dataclass(frozen=True)
class TurnTable:
    """Tokens of battles by turn and part.

    Args:
        needs: Shape (turns, parts).
        rows: Where each battle starts among the turns, and the end of the last, shape (n + 1,).
    """

    needs: Counts
    rows: Counts

    @property
    def turns(self) -> Counts:
        """Turns of each battle."""
        return np.diff(self.rows)

    @property
    def tokens(self) -> Counts:
        """Tokens of each part of each battle, shape (n, parts)."""
        return np.stack([per_row(column, self.rows) for column in self.needs.T], axis=1)

    def take(self, rows: NDArray[np.int64]) -> tuple[TurnTable, NDArray[np.int64]]:
        """Some battles, and which turns these are."""
        which = ranges(self.rows[:-1][rows], self.turns[rows])
        return TurnTable(self.needs[which], offsets_of(self.turns[rows])), which


def plan(
    table: TurnTable, sides: Sequence[Sequence[int]], room: Room, settings: TextSettings
) -> tuple[Mask, list[Counts]]:
    """Decide what stays.

    Args:
        table: Tokens of prompt, A and B.
        sides: The sequences that are made of a battle, as the parts in each: one with all three, or two with an
            answer each. All show the same turns.
        room: The budget of a sequence.
        settings: The cut.

    Returns:
        Which turns stay, shape (turns,), and tokens kept of each turn and part for each side, shape (turns, parts).
    """
    mask = np.ones(len(table.needs), np.bool_)
    kept = [table.needs[:, list(side)] for side in sides]
    over = np.full(len(table.turns), settings.cut == "shares")  # system 1 cuts to its shares even where all would fit
    for side in sides:
        over |= table.tokens[:, list(side)].sum(axis=1) > room.of(table.turns)
    rows = np.flatnonzero(over)
    if len(rows):
        part, which = table.take(rows)
        mask[which] = _turns(part, sides, room, settings)
        for number, side in enumerate(sides):
            shown = TurnTable(part.needs[:, list(side)] * mask[which][:, None], part.rows)
            budget = room.of(per_row(mask[which].astype(np.int64), part.rows))
            kept[number][which] = _cut(shown, budget, room, settings)
    return mask, kept


def _turns(table: TurnTable, sides: Sequence[Sequence[int]], room: Room, settings: TextSettings) -> Mask:
    """Which turns stay."""
    number = within_row(np.ones(len(table.needs), np.int64), table.rows)
    if settings.cut in ("right", "left", "shares"):
        return _with_frames(table, number, room, last=settings.cut == "left")
    most = settings.floor if settings.cut != "drop_turns" else None
    stays = np.ones(len(table.needs), np.bool_)
    for side in sides:
        stays &= (number == 0) | (_cost(table, side, number, room, most) <= room.total)
    return stays if settings.cut == "drop_turns" else _with_answers(table, stays)


def _cost(table: TurnTable, side: Sequence[int], number: Counts, room: Room, most: int | None) -> Counts:
    """Tokens of all turns up to each, frames included; a turn counts at most `most`."""
    needs = table.needs[:, list(side)].sum(axis=1)
    needs = needs if most is None else np.minimum(needs, most)
    return np.asarray(within_row(needs, table.rows) + needs + room.cost(number + 1))


def _with_frames(table: TurnTable, number: Counts, room: Room, *, last: bool) -> Mask:
    """As many turns as leave half of the room to their texts."""
    if len(room.frames) == 1:
        return np.ones(len(number), np.bool_)
    most = max(1, int(np.searchsorted(room.frames, room.total // 2, side="right")) - 1)
    return np.asarray(np.repeat(table.turns, table.turns) - number <= most if last else number < most)


def _with_answers(table: TurnTable, stays: Mask) -> Mask:
    """Where an answer would lose all its turns, keep the first one of each part in place of the first turns."""
    lost = np.zeros(len(table.turns), np.bool_)
    for column in table.needs[:, 1:].T:
        lost |= (per_row(column, table.rows) > 0) & (per_row(column * stays, table.rows) == 0)
    first = np.zeros_like(stays)
    for column in table.needs.T:
        first |= (column > 0) & (within_row(column, table.rows) == 0)
    return np.where(np.repeat(lost, table.turns), first, stays)


def _cut(table: TurnTable, budget: Counts, room: Room, settings: TextSettings) -> Counts:
    """Tokens kept of each turn and part."""
    if settings.cut == "shares":
        return _shares(table, budget, room.lent, settings.share)
    if settings.cut == "right":
        return _clipped(np.repeat(budget, table.turns)[:, None] - _before(table, room), table.needs)
    if settings.cut == "left":
        gone = np.maximum(table.tokens.sum(axis=1) - budget, 0)
        return _clipped(_before(table, room) + table.needs - np.repeat(gone, table.turns)[:, None], table.needs)
    share = settings.share
    if settings.cut == "drop_turns" and settings.prompt_share is None and table.needs.shape[1] == 2:
        share = 1 / 4
    return balanced(table.needs, level(table.needs.sum(axis=1), table.rows, budget), share)


def _shares(table: TurnTable, budget: Counts, lent: int, prompt_share: float) -> Counts:
    shares = in_shares(table.tokens, budget + lent, prompt_share)
    shares[:, -1] -= np.maximum(shares.sum(axis=1) - budget, 0)
    columns = [fill(need, table.rows, share) for need, share in zip(table.needs.T, shares.T, strict=True)]
    return np.stack(columns, axis=1)


def _before(table: TurnTable, room: Room) -> Counts:
    """Tokens that stand before each text in its sequence."""
    if room.by_turn:
        inside = np.cumsum(table.needs, axis=1) - table.needs
        return np.asarray(within_row(table.needs.sum(axis=1), table.rows)[:, None] + inside)
    inside = np.stack([within_row(column, table.rows) for column in table.needs.T], axis=1)
    columns = np.cumsum(table.tokens, axis=1) - table.tokens
    return np.asarray(np.repeat(columns, table.turns, axis=0) + inside)


def _clipped(counts: Counts, needs: Counts) -> Counts:
    return np.asarray(np.clip(counts, 0, needs), np.int64)


PARTS = ("prompt", "a", "b")


@dataclass(frozen=True)
class TruncationReport:
    """Tokens of prompt and answers before and after a cut.

    Args:
        kept: Tokens kept of prompt, A and B, shape (n, 3).
        full: Tokens there were, shape (n, 3).

    Example:
        >>> cut = TruncationReport(np.array([[2, 3, 3], [1, 1, 1]]), np.array([[4, 3, 6], [1, 1, 1]]))
        >>> cut.rows_cut, cut.to_dict()
        (1, {'rows': 2, 'rows_cut': 1, 'kept': {'prompt': 0.6, 'a': 1.0, 'b': 0.571}})
    """

    kept: NDArray[np.int64]
    full: NDArray[np.int64]

    @classmethod
    def concat(cls, parts: Sequence[TruncationReport]) -> TruncationReport:
        """The rows of all parts, one part after the other."""
        empty = np.zeros((0, 3), np.int64)
        return cls(
            np.concatenate([empty, *(part.kept for part in parts)]),
            np.concatenate([empty, *(part.full for part in parts)]),
        )

    @classmethod
    def of_answers(cls, a: TruncationReport, b: TruncationReport) -> TruncationReport:
        """One report of two sequences a battle, (prompt, A) and (prompt, B); the prompt's is that of the shorter."""
        kept, full = a.kept + b.kept, a.full + b.full
        kept[:, 0], full[:, 0] = np.minimum(a.kept[:, 0], b.kept[:, 0]), a.full[:, 0]
        return cls(kept, full)

    def __len__(self) -> int:
        return len(self.full)

    def take(self, indices: ArrayLike) -> TruncationReport:
        """The rows at these positions, in this order."""
        rows = np.asarray(indices, np.int64)
        return TruncationReport(self.kept[rows], self.full[rows])

    @property
    def cut(self) -> NDArray[np.bool_]:
        """Which rows lost a token, shape (n,)."""
        return np.asarray((self.kept < self.full).any(axis=1))

    @property
    def rows_cut(self) -> int:
        """Number of rows that lost a token."""
        return int(self.cut.sum())

    def to_dict(self) -> dict[str, Any]:
        """Number of rows, of rows that were cut, and the share of the tokens kept of each part."""
        kept, full = self.kept.sum(axis=0), self.full.sum(axis=0)
        shares = {part: round(float(k / f), 3) if f else 1.0 for part, k, f in zip(PARTS, kept, full, strict=True)}
        return {"rows": len(self), "rows_cut": self.rows_cut, "kept": shares}
