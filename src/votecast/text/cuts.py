"""Cuts: which tokens of a battle stay when there are too many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from votecast.text.pieces import Counts, per_row
from votecast.text.sequences import offsets_of, ranges
from votecast.text.settings import TextSettings
from votecast.text.sharing import balanced, fill, in_shares, level, within_row

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
class Table:
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

    def take(self, rows: NDArray[np.int64]) -> tuple[Table, NDArray[np.int64]]:
        """Some battles, and which turns these are."""
        which = ranges(self.rows[:-1][rows], self.turns[rows])
        return Table(self.needs[which], offsets_of(self.turns[rows])), which


def plan(table: Table, sides: Sequence[Sequence[int]], room: Room, settings: TextSettings) -> tuple[Mask, list[Counts]]:
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
            shown = Table(part.needs[:, list(side)] * mask[which][:, None], part.rows)
            budget = room.of(per_row(mask[which].astype(np.int64), part.rows))
            kept[number][which] = _cut(shown, budget, room, settings)
    return mask, kept


def _turns(table: Table, sides: Sequence[Sequence[int]], room: Room, settings: TextSettings) -> Mask:
    """Which turns stay."""
    number = within_row(np.ones(len(table.needs), np.int64), table.rows)
    if settings.cut in ("right", "left", "shares"):
        return _with_frames(table, number, room, last=settings.cut == "left")
    most = settings.floor if settings.cut != "drop_turns" else None
    stays = np.ones(len(table.needs), np.bool_)
    for side in sides:
        stays &= (number == 0) | (_cost(table, side, number, room, most) <= room.total)
    return stays if settings.cut == "drop_turns" else _with_answers(table, stays)


def _cost(table: Table, side: Sequence[int], number: Counts, room: Room, most: int | None) -> Counts:
    """Tokens of all turns up to each, frames included; a turn counts at most `most`."""
    needs = table.needs[:, list(side)].sum(axis=1)
    needs = needs if most is None else np.minimum(needs, most)
    return np.asarray(within_row(needs, table.rows) + needs + room.cost(number + 1))


def _with_frames(table: Table, number: Counts, room: Room, *, last: bool) -> Mask:
    """As many turns as leave half of the room to their texts."""
    if len(room.frames) == 1:
        return np.ones(len(number), np.bool_)
    most = max(1, int(np.searchsorted(room.frames, room.total // 2, side="right")) - 1)
    return np.asarray(np.repeat(table.turns, table.turns) - number <= most if last else number < most)


def _with_answers(table: Table, stays: Mask) -> Mask:
    """Where an answer would lose all its turns, keep the first one of each part in place of the first turns."""
    lost = np.zeros(len(table.turns), np.bool_)
    for column in table.needs[:, 1:].T:
        lost |= (per_row(column, table.rows) > 0) & (per_row(column * stays, table.rows) == 0)
    first = np.zeros_like(stays)
    for column in table.needs.T:
        first |= (column > 0) & (within_row(column, table.rows) == 0)
    return np.where(np.repeat(lost, table.turns), first, stays)


def _cut(table: Table, budget: Counts, room: Room, settings: TextSettings) -> Counts:
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


def _shares(table: Table, budget: Counts, lent: int, prompt_share: float) -> Counts:
    shares = in_shares(table.tokens, budget + lent, prompt_share)
    shares[:, -1] -= np.maximum(shares.sum(axis=1) - budget, 0)
    columns = [fill(need, table.rows, share) for need, share in zip(table.needs.T, shares.T, strict=True)]
    return np.stack(columns, axis=1)


def _before(table: Table, room: Room) -> Counts:
    """Tokens that stand before each text in its sequence."""
    if room.by_turn:
        inside = np.cumsum(table.needs, axis=1) - table.needs
        return np.asarray(within_row(table.needs.sum(axis=1), table.rows)[:, None] + inside)
    inside = np.stack([within_row(column, table.rows) for column in table.needs.T], axis=1)
    columns = np.cumsum(table.tokens, axis=1) - table.tokens
    return np.asarray(np.repeat(columns, table.turns, axis=0) + inside)


def _clipped(counts: Counts, needs: Counts) -> Counts:
    return np.asarray(np.clip(counts, 0, needs), np.int64)
